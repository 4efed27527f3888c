"""Which of SoccerNet's label files a dataset has, where no name is given."""

from __future__ import annotations

import zipfile
from pathlib import Path

from e2espot.files.bundle import Bundle
from e2espot.formats.filenames import LABEL_FILES, label_file_of


def chosen_label_file(labels: Path, named: str, label_set: str | None = None) -> str:
    """Name of the label files to read.

    Args:
        labels: Folder or zip of labels, or another file, which is read as it is.
        named: What the user named; ``auto`` for the file of the label set, or the other one where only that is there.
        label_set: Name or path of the label set; None for any.

    Raises:
        ConfigurationError: a zip that cannot be listed.
    """
    if named != "auto":
        return named
    usual = label_file_of(label_set or "")
    if not labels.is_dir() and not zipfile.is_zipfile(labels):
        return usual
    present = {name.rpartition("/")[2] for name in Bundle(labels).names} & set(LABEL_FILES)
    return usual if usual in present or not present else present.pop()

"""Commands that read labels find SoccerNet's file where no name is given."""

import zipfile
from pathlib import Path

import pytest

from e2espot.formats.choose_label_file import chosen_label_file
from e2espot.formats.filenames import BALL_LABEL_FILE, V2_LABEL_FILE

V2 = "soccernet-v2-17"


@pytest.mark.parametrize(
    ("files", "label_set", "chosen"),
    [
        ((), None, BALL_LABEL_FILE),
        ((), V2, V2_LABEL_FILE),
        ((BALL_LABEL_FILE, V2_LABEL_FILE), None, BALL_LABEL_FILE),
        ((BALL_LABEL_FILE, V2_LABEL_FILE), V2, V2_LABEL_FILE),
        ((V2_LABEL_FILE,), "class.txt", V2_LABEL_FILE),
        ((BALL_LABEL_FILE,), V2, BALL_LABEL_FILE),
    ],
)
def test_the_file_of_the_label_set_is_read_or_the_one_that_is_there(
    files: tuple[str, ...], label_set: str | None, chosen: str, tmp_path: Path
) -> None:
    folder = tmp_path / "labels" / "game"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "labels.zip", "w") as archive:
        for file in files:
            (folder / file).write_text("{}")
            archive.writestr(f"game/{file}", "{}")
    for path in (tmp_path / "labels", tmp_path / "labels.zip"):
        assert chosen_label_file(path, "auto", label_set) == chosen
        assert chosen_label_file(path, "mine.json", label_set) == "mine.json"

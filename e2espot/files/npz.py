"""Reads npz files that are untrusted or damaged."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from e2espot.core.errors import one_line, shortened

_MAX_UNPACKED_BYTES = 1 << 31
"""Limit for all arrays of a file together; float32 scores of ninety minutes with 17 classes are 9 million bytes."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file by name; nothing in the file is executed.

    Raises:
        OSError: the file cannot be opened.
        ValueError: no npz file, a damaged one, or one that unpacks to more than 2 GiB.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(info.file_size for info in archive.infolist())
            if size > _MAX_UNPACKED_BYTES:
                raise ValueError(f"unpacks to {size} bytes")
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                return {name: np.asarray(stored[name]) for name in stored.files}
        # On damaged bytes zipfile and NumPy raise almost anything: also OSError, for a position before the file.
        except Exception as error:
            raise ValueError(f"not a readable npz file: {shortened(one_line(error), 200)}") from None

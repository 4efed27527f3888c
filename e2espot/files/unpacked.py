"""A zip of label files as a folder, so that every reader of a folder reads it."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2espot.core.errors import AnnotationError, ConfigurationError, E2ESpotError

_SUFFIXES = (".json", ".csv", ".tsv", ".xml", ".txt", ".gz", ".yaml", ".eaf")
_MAX_BYTES = 1 << 30
"""Limit for what a zip unpacks to; the labels of 500 games are some hundred million bytes."""


@contextmanager
def unpacked(path: Path, *, descend: bool = False) -> Iterator[Path]:
    """``path`` itself; or, for a zip, a temporary folder with the text files in it, for which errors name the zip.

    Args:
        path: A file or folder.
        descend: Begin in the one folder at the top of the zip, if there is nothing else.

    Raises:
        ConfigurationError: a zip that cannot be listed, has no such file, or is too large.
        AnnotationError: a file in it cannot be read, or would lie outside the folder.
    """
    if path.suffix.lower() != ".zip" or not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="e2espot-") as name:
        folder = Path(name).resolve()
        _unpack(path, folder)
        inner = folder
        while descend and len(entries := list(inner.iterdir())) == 1 and entries[0].is_dir():
            (inner,) = entries
        try:
            yield inner
        except E2ESpotError as error:
            raise type(error)(str(error).replace(str(folder), str(path)), option=error.option) from None


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                member
                for member in archive.infolist()
                if not member.is_dir() and member.filename.lower().endswith(_SUFFIXES)
            ]
            if not members:
                raise ConfigurationError(f"{path}: no {', '.join(_SUFFIXES)} file in it")
            if sum(member.file_size for member in members) > _MAX_BYTES:
                raise ConfigurationError(
                    f"{path}: its files unpack to more than {_MAX_BYTES} bytes; unpack it yourself"
                )
            for member in members:
                name = member.filename.replace("\\", "/")
                target = folder / name
                if ".." in Path(name).parts or not target.resolve().is_relative_to(folder):
                    raise AnnotationError(
                        f"{path}: {name!r} would be written outside of the folder; create the zip again"
                    )
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, zlib.error, OSError) as error:
        raise ConfigurationError(f"{path}: not a whole zip file ({error})") from None

"""The JSON files of a folder or a zip archive, behind one interface."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.files.json_fields import decode_text
from e2espot.files.walk import folders_below

_MAX_UNPACKED_BYTES = 1 << 28
"""Limit for one file in a zip; predictions for ninety minutes with twelve classes are about two million bytes."""


class Bundle:
    """The JSON files of a folder or a zip archive, by their paths relative to it; or one JSON file, by its name."""

    def __init__(self, path: Path) -> None:
        """List the files.

        Raises:
            ConfigurationError: no such path, no folder, zip or JSON file, or a zip that cannot be listed.
        """
        self.path = path
        self.is_file = path.is_file() and path.suffix == ".json"
        """Whether it is one JSON file."""
        if path.is_dir():
            self.names = {
                (folder / name).relative_to(path).as_posix()
                for folder, files in folders_below(path)
                for name in files
                if name.endswith(".json")
            }
        elif path.is_file() and zipfile.is_zipfile(path):
            try:
                with zipfile.ZipFile(path) as archive:
                    listed = [name for name in archive.namelist() if name.endswith(".json")]
            except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError) as error:
                raise ConfigurationError(f"{path}: not a whole zip file ({error})") from None
            self.names = set(listed)
            if len(listed) > len(self.names):
                repeated = next(name for name in sorted(self.names) if listed.count(name) > 1)
                raise ConfigurationError(f"{path}: it holds {repeated!r} twice; create the zip again")
        elif self.is_file:
            self.names = {path.name}
        else:
            kind = "neither a folder nor a zip file nor a .json file" if path.exists() else "no such file or folder"
            raise ConfigurationError(f"{path}: {kind}")

    def data(self, name: str) -> bytes:
        """Content of a file.

        Raises:
            AnnotationError: the file cannot be read.
        """
        try:
            if self.is_file:
                return self.path.read_bytes()
            if self.path.is_dir():
                return (self.path / name).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                if (size := archive.getinfo(name).file_size) > _MAX_UNPACKED_BYTES:
                    raise AnnotationError(f"{self.path}: {name}: unpacks to {size} bytes; no such file is that long")
                return archive.read(name)
        except (OSError, KeyError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise AnnotationError(f"{self.path}: {name}: cannot be read ({error})") from None

    def text(self, name: str) -> str:
        """Content of a file as text, decoded as JSON files are.

        Raises:
            AnnotationError: the file cannot be read or decoded.
        """
        return decode_text(self.data(name), f"{self.path}: {name}")

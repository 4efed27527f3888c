"""Keeps a fuzzed command line from writing where it was not told to, and remembers that it tried."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PATHS: dict[str, tuple[int, ...]] = {
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "shutil.rmtree": (0,),
}
"""Python's audit events that change the disk, and which of their arguments name what is changed."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """Refuses writes outside one folder while it is on; what a library writes without Python it cannot see."""

    def __init__(self) -> None:
        self.tried: list[Path] = []
        self._folder: Path | None = None
        sys.addaudithook(self._look)  # for the life of the process; does nothing while it is off

    @contextmanager
    def only(self, folder: Path) -> Iterator[None]:
        """Let the body write into ``folder`` alone."""
        self.tried, self._folder = [], folder
        try:
            yield
        finally:
            self._folder = None

    def _look(self, event: str, told: tuple[Any, ...]) -> None:
        if self._folder is None:
            return
        if event == "open":
            if not isinstance(told[2], int) or not told[2] & _WRITING:
                return
            places = (0,)
        elif event in _PATHS:
            places = _PATHS[event]
        else:
            return
        for number, place in enumerate(places):
            handle = told[number - len(places)] if event.startswith("os.") else -1
            self._judge(told[place], handle, making=event == "os.mkdir")

    def _judge(self, told: Any, handle: int, making: bool) -> None:
        if not isinstance(told, str | bytes | os.PathLike) or self._folder is None:
            return
        folder, self._folder = self._folder, None  # looking is not watched
        try:
            name = os.fsdecode(told)
            if isinstance(handle, int) and handle >= 0:  # relative to an open folder
                name = str(Path(f"/proc/self/fd/{handle}").readlink() / name)
            if name == os.devnull:
                return
            whole = Path(os.path.abspath(name))  # noqa: PTH100 (does not follow the last link)
            if making and os.path.lexists(whole):
                return  # says no by itself
            path = Path(os.path.realpath(whole.parent)) / whole.name
        finally:
            self._folder = folder
        if path != folder and folder not in path.parents:
            self.tried.append(path)
            raise PermissionError(13, "Permission denied", name)


def explained(path: Path, words: list[str], at: Path) -> bool:
    """Whether somebody who typed ``words`` in the folder ``at`` asked for something to be written to ``path``."""
    for word in words:
        for part in (word, word.partition("=")[2]) if "=" in word else (word,):
            on_the_way = [Path(os.path.normpath(at / folder)) for folder in Path(part).parents]
            if path in on_the_way and not os.path.lexists(path):
                return True
            plain = os.path.normpath(at / part)
            for named in {Path(plain), Path(os.path.realpath(plain))}:
                beside = path.parent == named.parent and path.name.startswith(".")  # the temporary name of a file
                above = path in named.parents and not os.path.lexists(path)
                if path == named or named in path.parents or beside or above:
                    return True
    return False

"""Refuses writes of a fuzzed command line outside one folder, and records the attempts."""

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


class WriteGuard:
    """Refuses writes outside one folder while it is active; it does not see what a library writes without Python."""

    def __init__(self) -> None:
        self.attempts: list[Path] = []
        self._folder: Path | None = None
        sys.addaudithook(self._audit)  # until the process ends; does nothing while no folder is set

    @contextmanager
    def only(self, folder: Path) -> Iterator[None]:
        """Let the body write into ``folder`` alone."""
        self.attempts, self._folder = [], folder
        try:
            yield
        finally:
            self._folder = None

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if self._folder is None:
            return
        if event == "open":
            if not isinstance(args[2], int) or not args[2] & _WRITING:
                return
            indexes = (0,)
        elif event in _PATHS:
            indexes = _PATHS[event]
        else:
            return
        for number, index in enumerate(indexes):
            handle = args[number - len(indexes)] if event.startswith("os.") else -1
            self._check(args[index], handle, making=event == "os.mkdir")

    def _check(self, path: Any, handle: int, making: bool) -> None:
        if not isinstance(path, str | bytes | os.PathLike) or self._folder is None:
            return
        folder, self._folder = self._folder, None  # the look-ups below are not audited
        try:
            name = os.fsdecode(path)
            if isinstance(handle, int) and handle >= 0:  # relative to an open folder
                name = str(Path(f"/proc/self/fd/{handle}").readlink() / name)
            if name == os.devnull:
                return
            whole = Path(os.path.abspath(name))  # noqa: PTH100 (does not follow the last link)
            if making and os.path.lexists(whole):
                return  # mkdir fails by itself
            resolved = Path(os.path.realpath(whole.parent)) / whole.name
        finally:
            self._folder = folder
        if resolved != folder and folder not in resolved.parents:
            self.attempts.append(resolved)
            raise PermissionError(13, "Permission denied", name)


def was_asked_for(path: Path, words: list[str], at: Path) -> bool:
    """Whether the arguments ``words``, typed in the folder ``at``, ask for a file at ``path``."""
    for word in words:
        for part in (word, word.partition("=")[2]) if "=" in word else (word,):
            on_the_way = [Path(os.path.normpath(at / folder)) for folder in Path(part).parents]
            if path in on_the_way and not os.path.lexists(path):
                return True
            plain = os.path.normpath(at / part)
            for named in {Path(plain), Path(os.path.realpath(plain))}:
                temporary = path.parent == named.parent and path.name.startswith(".")
                above = path in named.parents and not os.path.lexists(path)
                if path == named or named in path.parents or temporary or above:
                    return True
    return False

"""Links from a converted dataset to the videos that its source names, so that it can be trained on at once."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2espot.core.errors import ConfigurationError, E2ESpotError
from e2espot.files.json_fields import relative_path
from e2espot.files.walk import folders_below
from e2espot.formats.filenames import VIDEO_SUFFIXES
from e2espot.formats.game import is_game_video
from e2espot.formats.interchange import AnnotatedVideo
from e2espot.formats.video_paths import portable_parts

_SUFFIXES = (".mp4", ".mkv", ".webm")
_PART = re.compile(r"_part[0-9]+$")


@dataclass(frozen=True, kw_only=True)
class VideoLinks:
    """What links a dataset needs."""

    files: Mapping[Path, Path]
    """New path -> the video that it is a link to."""
    missing: tuple[str, ...]
    """Paths that the source states, of videos that do not exist on this machine."""


def likely_video(root: Path, folders: Sequence[str], name: str) -> str:
    """Path of a video that a source names without folder and ending, relative to the source, with forward slashes.

    Args:
        root: Folder of the labels.
        folders: Where such a video can be, relative to ``root``; the first is where it is expected if none has it.
        name: Name of the video without its ending.
    """
    names = [f"{folder}/{name}{suffix}" for folder in folders for suffix in _SUFFIXES]
    return next((path for path in names if (root / path).is_file()), names[0])


def plan_links(videos: Iterable[AnnotatedVideo], target: Path, source: Path, folder: Path | None) -> VideoLinks:
    """Find the videos of a dataset, and choose the names of their links in SoccerNet's layout.

    A path counts from the source; else the end of it is looked for in ``folder``, and then a video in the folder of the
    game is taken. A game without a path is looked for in ``folder`` by its name, ``derby.mp4`` or ``derby_2.mp4``.

    Args:
        videos: Videos with the paths that the source states.
        target: Folder of the new dataset.
        source: File or folder of the labels.
        folder: Folder with the videos, wherever they were when the labels were written; None for none.

    Raises:
        ConfigurationError: no such folder.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigurationError(f"{folder}: no such folder of videos", option="videos")
    root = source if source.is_dir() else source.parent
    games = _names_of_videos(videos, also_unnamed=folder is not None)
    names = [name for halves in games.values() for name in halves.values()]
    moved = _MovedVideos(folder, [file for name in names for file in (name, *_parts(name))])

    def find(stated: str) -> Path | None:
        return _at_stated_path(root, stated) or moved.find(stated)

    files: dict[Path, Path] = {}
    missing: list[str] = []
    for game, halves in games.items():
        for half, name in halves.items():
            paths = _files_of(name, find) or _in_folder_of_game(root, game, half)
            if not paths:
                missing.append(name)
            for path, link_name in zip(paths, _names(paths, half, alone=len(halves) == 1), strict=True):
                link = target / relative_path(game, "name of a game") / link_name
                if not _is_same(link, path):
                    files[link] = path
    return VideoLinks(files=files, missing=tuple(missing))


def _names_of_videos(videos: Iterable[AnnotatedVideo], *, also_unnamed: bool) -> dict[str, dict[int, str]]:
    """Game -> half -> the path that the source states; of a video without one, its name after the game."""
    stated: dict[str, dict[int, str]] = defaultdict(dict)
    for video in videos:
        if video.video or also_unnamed:
            stated[video.game][video.half] = video.video
    return {
        game: {half: path or (game if set(halves) == {1} else f"{game}_{half}") for half, path in halves.items()}
        for game, halves in stated.items()
    }


def _files_of(stated: str, find: Callable[[str], Path | None]) -> list[Path]:
    """The file that a path names, or those of a match in several files; empty if one of them does not exist."""
    whole = find(stated)
    if whole is not None:
        return [whole]
    files = [find(part) for part in _parts(stated)]
    return [file for file in files if file is not None] if all(files) else []


def _in_folder_of_game(root: Path, game: str, half: int) -> list[Path]:
    """The video of a half in SoccerNet's layout, in one file or several, such as a link that a conversion made."""
    folder = root / game
    try:
        names = [path.name for path in folder.iterdir() if is_game_video(path.name) and path.is_file()]
    except (OSError, ValueError):
        return []
    # By length first, so that part 10 comes after part 9.
    names.sort(key=lambda name: (len(name), name))
    of_half = [name for name in names if name.startswith(f"{half}_") or (half == 1 and name[1:2] != "_")]
    first = _PART.sub("", Path(of_half[0]).stem) if of_half else ""
    return [folder / name for name in of_half if _PART.sub("", Path(name).stem) == first]


def _parts(stated: str) -> list[str]:
    """The files of ``day/a.MP4+b.MP4``, the later ones in the folder of the first; empty for a path of one file."""
    first, *others = stated.replace("\\", "/").split("+")
    folder = first.rpartition("/")[0]
    later = [other if "/" in other or not folder else f"{folder}/{other}" for other in others]
    return [first, *later] if later else []


def _at_stated_path(root: Path, stated: str) -> Path | None:
    try:
        return root / stated if (root / stated).is_file() else None
    except (OSError, ValueError):  # a name that no file system accepts
        return None


class _MovedVideos:
    """Finds videos below a folder by the ends of the paths that they had elsewhere."""

    def __init__(self, folder: Path | None, stated: Iterable[str]) -> None:
        self._by_name = _videos_by_name(folder) if folder is not None else {}
        names = Counter(_stem(parts) for parts in map(portable_parts, set(stated)) if parts)
        self._stated_once = {name for name, count in names.items() if count == 1}

    def find(self, stated: str) -> Path | None:
        r"""The file with the most folders in common with the path; None if two have as many.

        ``D:\sn\a\1_224p.mkv`` is ``/disk/a/1_224p.mkv``, not ``/disk/b/1_224p.mkv``. A name alone, such as
        ``derby.mp4``, is enough if one file has it and one path states it; ``1_224p.mkv`` never is.
        """
        parts = portable_parts(stated)
        name = _stem(parts) if parts else ""
        ranked = sorted((-_shared_end(path, parts), path) for path in self._by_name.get(name, []))
        if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
            return None
        shared, path = -ranked[0][0], ranked[0][1]
        by_name_alone = name in self._stated_once and not is_game_video(parts[-1])
        return Path(*path) if shared >= min(2, len(parts)) or by_name_alone else None


def _shared_end(first: Sequence[str], second: Sequence[str]) -> int:
    """Number of names that two paths have in common at their ends; case and the ending of the file can differ."""
    count = 0
    for one, other in zip(_from_the_end(first), _from_the_end(second), strict=False):
        if one != other:
            break
        count += 1
    return count


def _from_the_end(parts: Sequence[str]) -> tuple[str, ...]:
    return (_stem(parts), *(name.lower() for name in reversed(parts[:-1]))) if parts else ()


def _stem(parts: Sequence[str]) -> str:
    return Path(parts[-1]).stem.lower()


def _videos_by_name(folder: Path) -> dict[str, list[tuple[str, ...]]]:
    """Name without its ending -> paths of the videos below a folder."""
    by_name: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for below, files in folders_below(folder):
        for file in files:
            if Path(file).suffix.lower() in VIDEO_SUFFIXES:
                by_name[Path(file).stem.lower()].append((below / file).absolute().parts)
    return by_name


def _names(paths: Sequence[Path], half: int, *, alone: bool) -> list[str]:
    """Names of the links to a video, or to the files of one in several."""
    if len(paths) < 2:
        return [_name(path, half, alone=alone) for path in paths]
    whole = Path(_PART.sub("", Path(_name(paths[0], half, alone=alone)).stem))
    return [
        f"{whole}_part{number}{Path(_name(path, half, alone=alone)).suffix}" for number, path in enumerate(paths, 1)
    ]


def _name(path: Path, half: int, *, alone: bool) -> str:
    """Name of a link: that of the video if SoccerNet's layout has it, else the name that is read by default."""
    if is_game_video(path.name) and (alone or path.name.startswith(f"{half}_")):
        return path.name
    # Readers look into the file, not at its ending.
    suffix = path.suffix.lower() if path.suffix.lower() in _SUFFIXES else ".mp4"
    return f"224p{suffix}" if alone and half == 1 else f"{half}_224p{suffix}"


def _is_same(link: Path, path: Path) -> bool:
    return link.exists() and link.samefile(path)


def write_links(links: Mapping[Path, Path], *, overwrite: bool) -> None:
    """Make the links; where the system has none, copies.

    Raises:
        ConfigurationError: another file is in the way.
        E2ESpotError: a link cannot be written.
    """
    for link in links:
        if link.is_symlink() and not overwrite:
            raise ConfigurationError(
                f"{link} leads to another video; move it away, or pass overwrite=True", option="overwrite"
            )
        if link.exists() and not link.is_symlink():
            raise ConfigurationError(f"{link} exists and is another video; move it away")
    for link, path in links.items():
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            try:
                link.symlink_to(os.path.relpath(path.resolve(), link.parent.resolve()))
            except (OSError, ValueError):  # Windows without the right to make links, or another drive
                shutil.copyfile(path, link)
        except OSError as error:
            raise E2ESpotError(f"{link}: cannot be written ({error.strerror})") from None

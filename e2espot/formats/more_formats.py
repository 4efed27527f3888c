"""Results of a game in other formats, next to its ``results_spotting.json``.

::

    out/derby/results_spotting.json     what every command reads
    out/derby/events.csv                table
    out/derby/derby_2.srt               srt of the second half
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import cast, get_args

from e2espot.core.errors import ConfigurationError
from e2espot.files.atomic import write_atomically
from e2espot.formats.conversion import Conversion, files_of
from e2espot.formats.filenames import RESULTS_FILE
from e2espot.formats.format_names import CutListName, FormatName
from e2espot.formats.game import Game
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.soccernet_interchange import read_soccernet
from e2espot.formats.sportscode import InstanceTimes

COPIES_FILE = ".also.json"
"""Lists the files in other formats next to results, so that those of older results are recognised."""
_SHORT_NAMES: Mapping[str, FormatName] = {"csv": "table", "xml": "sportscode"}
_FILES: Mapping[str, str] = {
    "table": "events.csv",
    "sportscode": "events.xml",
    "opensportslab": "opensportslab.json",
    "sn-gar": "sn-gar.json",
    "dfl": "dfl.csv",
    "footpass": "footpass.json",
    "e2e-spot": "e2e-spot",
    "soccertrack-v2": "soccertrack-v2",
}
"""Format -> file or folder of a game."""


@dataclass(frozen=True, kw_only=True)
class MoreFormats:
    """Which formats the results are written in, besides SoccerNet's."""

    names: tuple[FormatName | CutListName, ...] = ()
    """Formats in the order in which they were given."""
    times: InstanceTimes = field(default_factory=InstanceTimes)
    """How events become instances of SportsCode and cuts."""

    def check(self, games: Mapping[str, Game]) -> None:
        """Check that every format can be written for every game, before the work of spotting begins.

        Raises:
            ConfigurationError: one cannot, such as SportsCode's one time line without the start of half 2.
        """
        for name, game in games.items():
            event = Annotation(label="PASS", position_ms=0, confidence=1.0)
            halves = [AnnotatedVideo(game=name, half=video.half, annotations=(event,)) for video in game.videos]
            self._files(Path(name), AnnotationSet(videos=tuple(halves), predictions=True), DroppedFields())

    def write(self, out: Path, games: Collection[Game], dropped: DroppedFields, *, new: bool = True) -> list[Path]:
        """Write the results of games, each file completely or not at all.

        Files of earlier results that are not written again are deleted, unless they were changed since.

        Args:
            out: Folder of the results.
            games: Games with results.
            dropped: Counts what the formats cannot hold.
            new: Whether the results are new, so that files in formats that are not named now are of older ones.

        Returns:
            The files.

        Raises:
            AnnotationError: results that were changed, and are broken.
            E2ESpotError: a file cannot be written.
        """
        written = []
        for game in games:
            folder = out / game.name
            before = _read_copies(folder)
            if not self.names and not (new and before):
                continue
            paths = {video.half: str(video.path.absolute()) for video in game.videos if video.url is None}
            dataset = read_soccernet(folder / RESULTS_FILE, predictions=True)
            halves = (replace(half, game=game.name, video=paths.get(half.half, "")) for half in dataset.videos)
            files = self._files(folder, replace(dataset, videos=tuple(halves)), dropped)
            for path, data in files.items():
                write_atomically(path, data)
            copies = {path.relative_to(folder).as_posix(): _checksum(data) for path, data in files.items()}
            if new:
                _delete_copies(folder, {name: sha for name, sha in before.items() if name not in copies})
            else:
                copies = {**before, **copies}
            write_atomically(folder / COPIES_FILE, json.dumps(copies, indent=1).encode())
            written += list(files)
        return written

    def _files(self, folder: Path, dataset: AnnotationSet, dropped: DroppedFields) -> dict[Path, bytes]:
        files: dict[Path, bytes] = {}
        for name in self.names:
            target, of_format = folder / _FILES.get(name, ""), dataset
            if name in get_args(CutListName):  # these name their files after the game, without its folders
                of_format = replace(
                    dataset, videos=tuple(replace(v, game=PurePosixPath(v.game).name) for v in dataset.videos)
                )
            conversion = Conversion(
                source=folder / RESULTS_FILE,
                target=target,
                from_format="soccernet",
                to_format=name,
                predictions=True,
                times=self.times,
            )
            files |= files_of(conversion, of_format, dropped, {})
        return files


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_copies(folder: Path) -> dict[str, str]:
    """Files that were written next to the results, with their checksums; none if the list is missing or broken."""
    try:
        content = json.loads((folder / COPIES_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    names = content if isinstance(content, dict) else {}
    return {name: sha for name, sha in names.items() if isinstance(sha, str) and _is_below(name)}


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _delete_copies(folder: Path, copies: Mapping[str, str]) -> None:
    """Delete files that still have the content that was written."""
    for name, sha in copies.items():
        try:
            if _checksum((folder / name).read_bytes()) == sha:
                (folder / name).unlink()
        except OSError:  # deleted or moved by the user
            continue


def parse_more_formats(text: str, times: InstanceTimes) -> MoreFormats:
    """Formats as a person lists them: ``csv,xml,srt``.

    Raises:
        ConfigurationError: an unknown format.
    """
    known = [name for name in (*get_args(FormatName), *get_args(CutListName)) if name != "soccernet"]
    given = [part.strip() for part in text.split(",") if part.strip()]
    names = [_SHORT_NAMES.get(name, name) for name in given]
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"also names the format {name!r}; choose from csv, xml, {', '.join(known)}", option="also"
            )
    return MoreFormats(names=cast("tuple[FormatName, ...]", _unique(names)), times=times)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))

"""Cuts the clips of a game's videos, and writes the list of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2espot.core.errors import ConfigurationError, E2ESpotError
from e2espot.core.wording import counted
from e2espot.files.atomic import write_atomically
from e2espot.formats.interchange import Annotation
from e2espot.report.clip_plan import Clip, ClipOptions, plan_clips, rows_of, table_of
from e2espot.video.clip_files import clip_suffix, why_not_copied, write_clip
from e2espot.video.index import VideoIndex, closed_gops_only
from e2espot.video.indexing import require_readable
from e2espot.video.parts import indexes_of

_LOG = logging.getLogger(__name__)

LIST_FILE, TABLE_FILE = "clips.json", "clips.csv"
_MAX_SEGMENT = 1000
"""Pictures between closed GOPs up to which a reel is copied: each of its stretches begins with as many at worst."""


@dataclass(frozen=True, kw_only=True)
class PlannedVideo:
    """A video and the clips of it."""

    index: VideoIndex
    """The index of the file, or that of its closed GOPs."""
    clips: tuple[Clip, ...]
    """What is cut out of it."""


def plan_game(
    videos: Mapping[int, Path], events: Mapping[int, Sequence[Annotation]], options: ClipOptions
) -> list[PlannedVideo]:
    """Plan the clips of a game: half -> video, half -> events. Only indexes are read.

    Of a half in several files, a clip is cut out of the one that shows its event, and ends where that file does.

    Raises:
        VideoError: a video cannot be read.
    """
    planned = []
    for half, path in sorted(videos.items()):
        indexes = [require_readable(index) for index in indexes_of(path)]
        ends_ms = 1000 * (indexes[-1].starts_at_s + indexes[-1].duration_s)
        of_half = events.get(half, ())
        if late := sum(event.position_ms >= ends_ms for event in of_half):
            _LOG.warning("%s: %s after its end left out", path, counted(late, "event"))
        for number, index in enumerate(indexes, 1):
            first_ms, last_ms = 1000 * index.starts_at_s, 1000 * (index.starts_at_s + index.duration_s)
            inside = [event for event in of_half if first_ms <= event.position_ms < last_ms]
            planned.append(_plan_file(index, half, inside, options, number if len(indexes) > 1 else None))
        cut_off = sum(
            event.position_ms - options.before_ms < 1000 * index.starts_at_s < event.position_ms + options.after_ms
            for index in indexes[1:]
            for event in of_half
        )
        if cut_off:
            _LOG.warning("%s: %s cut off where the match goes on in another file", path, counted(cut_off, "clip"))
    return planned


def _plan_file(
    index: VideoIndex, half: int, events: Sequence[Annotation], options: ClipOptions, part: int | None
) -> PlannedVideo:
    reason = None if options.exact else why_not_copied(index)
    if options.reel and not options.exact and reason is None:
        closed = closed_gops_only(index)
        if closed.longest_segment > _MAX_SEGMENT:
            reason = "its pictures refer to others across key pictures"
        else:
            index = closed
    if reason is not None:
        _LOG.warning("%s: encoded again, as its packets cannot be copied: %s", index.path, reason)
    copied = reason is None and not options.exact
    suffix = clip_suffix(index, copied=copied)
    clips = plan_clips(index, half, events, options, suffix=suffix, copied=copied, part=part)
    return PlannedVideo(index=index, clips=tuple(clips))


def cut_game(
    planned: Sequence[PlannedVideo],
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
) -> int:
    """Cut what was planned, and write the list as JSON and as CSV.

    Args:
        planned: The clips of a game.
        folder: Where they go.
        resume: Leave files of the same plan that exist as they are: they are whole.
        overwrite: Replace what is there.
        progress: Called with the number of clips that are done since the last call.

    Returns:
        How many were cut.

    Raises:
        ConfigurationError: there are clips of other settings, or files of these names; or both ``resume`` and
            ``overwrite`` are given.
        VideoError: a clip cannot be cut.
    """
    if resume and overwrite:
        raise ConfigurationError(
            "resume leaves clips that exist, and overwrite replaces them; give one of the two", option="overwrite"
        )
    document, names = _document(planned), [clip.name for of in planned for clip in of.clips]
    _check_folder(document, folder, names, resume, overwrite)
    if overwrite:
        _remove_clips(folder, names)
    # Written first, so that an interrupted run knows on resuming whether the files are of the same plan.
    write_atomically(folder / LIST_FILE, _dumped({**document, "complete": False}))
    count = 0
    for of_video in planned:
        for clip in of_video.clips:
            target = folder / clip.name
            if not (resume and target.exists()):
                write_clip(of_video.index, clip.stretches, target, copied=clip.copied)
                count += 1
            if progress is not None:
                progress(1)
    write_atomically(folder / TABLE_FILE, table_of(document["clips"]))
    write_atomically(folder / LIST_FILE, _dumped({**document, "complete": True}))
    return count


def _remove_clips(folder: Path, names: Sequence[str]) -> None:
    """Remove the clips of other settings, whose names may be the same.

    Before the new list is written: if this run is interrupted, resuming it would take them for clips of its own.
    """
    for name in names:
        path = folder / name
        try:
            if path.is_file():
                path.unlink()
        except OSError as error:
            raise E2ESpotError(f"{path}: cannot be replaced ({error.strerror}); check the permissions") from None


def _document(planned: Sequence[PlannedVideo]) -> dict[str, Any]:
    return {
        "videos": [
            {"path": str(of.index.path), "byte_size": of.index.byte_size, "mtime_ns": of.index.mtime_ns}
            for of in planned
        ],
        "clips": [row for of in planned for clip in of.clips for row in rows_of(of.index, clip)],
    }


def _dumped(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode("utf-8", "backslashreplace") + b"\n"


def _check_folder(
    document: Mapping[str, Any], folder: Path, names: Sequence[str], resume: bool, overwrite: bool
) -> None:
    if overwrite:
        return
    listed = folder / LIST_FILE
    if resume and listed.exists():
        try:
            before = json.loads(listed.read_bytes())
        except ValueError:
            before = None
        if not isinstance(before, dict) or {**before, "complete": None} != {**document, "complete": None}:
            raise ConfigurationError(
                f"{listed}: is of other events, videos or settings; choose another folder, or pass overwrite=True",
                option="overwrite",
            )
        return
    for name in (LIST_FILE, *names):
        if (folder / name).exists():
            raise ConfigurationError(
                f"{folder / name} exists; choose another folder, or pass overwrite=True", option="overwrite"
            )


def videos_of_game(paths: Sequence[Path], halves: Sequence[int]) -> dict[int, Path]:
    """Half -> video, for files given in the order of the halves; a single one of a single half is that one's.

    Raises:
        E2ESpotError: fewer videos than halves.
    """
    if len(paths) == 1 and len(halves) == 1:
        return {halves[0]: paths[0]}
    if halves and max(halves) > len(paths):
        raise E2ESpotError(
            f"there are events of half {max(halves)}, and {counted(len(paths), 'video')}; name one video for each "
            "half, or put all events on the clock of the one: convert them with join_halves, such as 0:00,47:12",
            option="videos",
        )
    return dict(enumerate(paths, 1))

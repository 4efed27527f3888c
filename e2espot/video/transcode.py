"""Conversion of any video that FFmpeg can decode to plain H.264, which every backend reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from e2espot.core.errors import VideoError, one_line
from e2espot.core.picture_options import PictureOptions
from e2espot.files.atomic import check_folder
from e2espot.video.container import open_container, select_stream
from e2espot.video.encode_pictures import CLOCK, WrittenPictures, encode_pictures
from e2espot.video.first_look import look_at_start
from e2espot.video.indexing import index_of, index_video
from e2espot.video.interlacing import FieldOrder, deinterlaced
from e2espot.video.parts import parts_of
from e2espot.video.preparation import preparation_of
from e2espot.video.restarted_clock import log_restarts
from e2espot.video.stream_copy import hides_between
from e2espot.video.timed_pictures import Damage, timed_pictures, without_times

if TYPE_CHECKING:
    from e2espot.video.index import VideoIndex


def transcode(
    source: Path,
    target: Path,
    progress: Callable[[int], object] | None = None,
    *,
    decode_friendly: bool = False,
    allow_truncated: bool = False,
    video_stream: int | None = None,
    source_fps: Fraction | None = None,
    deinterlace: Literal["auto", "off"] = "auto",
) -> int:
    """Decode every picture in order and encode it with its own time; audio is dropped.

    A picture without a time stamp is shown one period of the stream's rate after the previous one, and so is one at
    which the clock goes back: what is added to the times from there on is logged. One that goes back a little is moved
    just behind the previous one. Pixels keep their aspect ratio and their size, except for an odd last row or column,
    which H.264 in 4:2:0 cannot store. The new file is read back: it shows every picture at its time, or it is deleted.

    In ``.mkv``, which counts whole milliseconds, times from the first picture are rounded up. That changes no frame of
    a grid whose middles are whole milliseconds, such as 25 or 12.5 frames a second.

    Args:
        source: Any video that FFmpeg opens.
        target: ``.mp4`` or ``.mkv``; written completely or not at all.
        progress: Called with the number of pictures written since the last call.
        decode_friendly: For reading clips at random again and again: a closed GOP every 25 pictures, no B-frames,
            width and height scaled to the nearest multiples of 16, the blocks in which decoders work.
        allow_truncated: Accept a file whose pictures end well before its header declares, as far as they go.
        video_stream: Number of the stream among the video streams of ``source``, counted from 0; None for the one that
            players choose.
        source_fps: Pictures per second of a raw stream, which states no times; None for 25 of those, as in players.
        deinterlace: ``auto`` deinterlaces interlaced pictures, as the readers do, since the new file could not say
            that they are interlaced. ``off`` leaves both fields in one picture.

    Returns:
        Pictures written.

    Raises:
        ConfigurationError: a file is named as the folder of ``target``.
        VideoError: ``source`` has nothing to decode or ends early, ``target`` is no such container, or is not read
            back with every picture at its time.
    """
    import av

    _check_files(source, target)
    # Written next to the target and renamed at the end, so that the target is never half a file.
    part = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_container(source) as original, av.open(f"file:{part}", "w") as converted:
            stream = select_stream(original, source, number=video_stream)
            damage = Damage(source, allow_truncated=allow_truncated)
            index = _index_if_readable(source, video_stream)
            has_joins = index is not None and hides_between(index)
            pictures = timed_pictures(source, original, stream, damage, has_joins=has_joins)
            if source_fps is not None:
                pictures = without_times(source, pictures, source_fps)
            order = _field_order(source, video_stream, index) if deinterlace == "auto" else None
            if order is not None:
                pictures = deinterlaced(pictures, order)
            written = encode_pictures(
                pictures, stream, converted, progress, decode_friendly, source_fps or stream.average_rate
            )
            declared_s, tolerance_s = _declared_duration(original, stream)
        log_restarts(source, written.restarts)
        damage.log()
        _check_length(source, written, 0 if allow_truncated else declared_s - tolerance_s, declared_s)
        _check_read_back(source, part, written.ticks)
        part.replace(target)
    except (av.error.FFmpegError, IndexError) as error:
        raise VideoError(f"{source}: cannot be converted to {target.name} ({one_line(error)})") from None
    finally:
        part.unlink(missing_ok=True)
    return len(written.ticks)


def _check_files(source: Path, target: Path) -> None:
    """Refuse what can be refused before anything is decoded."""
    if target.suffix not in (".mp4", ".mkv"):
        raise VideoError(f"{target}: give a name that ends in .mp4 or .mkv")
    parts = parts_of(source)
    if len(parts) > 1:
        raise VideoError(f"{source}: names {len(parts)} files; convert them one by one, then join the new ones with +")
    if not source.is_file():
        raise VideoError(f"{source}: no such file")
    if target.exists() and target.samefile(source):
        raise VideoError(f"{target}: is the source itself; give the new file another name")
    check_folder(target.parent)


def _check_length(source: Path, written: WrittenPictures, least_s: Fraction | int, declared_s: Fraction) -> None:
    """Refuse a source without pictures, or whose pictures end before ``least_s``."""
    if not written.ticks:
        raise VideoError(f"{source}: holds no picture that can be decoded")
    if written.shown_s < least_s:
        raise VideoError(
            f"{source}: breaks off after {float(written.shown_s):.2f} s of {float(declared_s):.2f}; "
            "copy or download it again, or convert that much with allow_truncated=True",
            option="allow_truncated",
        )


def _index_if_readable(source: Path, video_stream: int | None) -> VideoIndex | None:
    """The index of a file that the readers take; None of one that only this command is for."""
    try:
        return index_of(source, allow_truncated=True, video_stream=video_stream)
    except VideoError:
        return None


def _field_order(source: Path, video_stream: int | None, index: VideoIndex | None) -> FieldOrder | None:
    """Order of the fields of an interlaced file, None for a progressive one; as for reading, where it can be read."""
    if index is None:
        return look_at_start(source, video_stream).field_order
    return preparation_of(index, PictureOptions(tone_map="off", crop_bars="off")).deinterlace


def _check_read_back(source: Path, part: Path, ticks: list[int]) -> None:
    """Refuse a new file in which not every picture is read back at its time, so that it never replaces its source.

    Raises:
        VideoError: the new file is not indexed, or shows its pictures at other times.
    """
    try:
        index = index_video(part)
    except VideoError as error:
        reason = str(error).removeprefix(f"{part}: ")
        raise VideoError(f"{source}: its copy cannot be read back ({reason}); it is deleted") from None
    read_P = [round((int(pts) - int(index.pts_P[0])) * index.time_base / CLOCK) for pts in index.pts_P]
    wanted_P = [tick - ticks[0] for tick in ticks]
    if read_P == wanted_P:
        return
    if len(read_P) != len(wanted_P):
        raise VideoError(f"{source}: its copy shows {len(read_P)} pictures instead of {len(wanted_P)}; it is deleted")
    wrong = next(number for number, pair in enumerate(zip(read_P, wanted_P, strict=True)) if pair[0] != pair[1])
    raise VideoError(
        f"{source}: its copy shows picture {wrong} at {float(read_P[wrong] * CLOCK):.3f} s instead of "
        f"{float(wanted_P[wrong] * CLOCK):.3f}; it is deleted"
    )


def _declared_duration(container: Any, stream: Any) -> tuple[Fraction, Fraction]:
    """Seconds of pictures that the header declares, 0 if it does not; and how many of them may be missing."""
    if stream.duration is not None:
        declared_s = stream.duration * stream.time_base
        return declared_s, max(Fraction(1, 2), declared_s / 100)
    declared_s = Fraction(container.duration or 0, 1_000_000)
    is_alone = len(container.streams) == 1  # else it is the duration of the longest stream, which may be audio
    return declared_s, max(Fraction(1, 2 if is_alone else 1), declared_s / (100 if is_alone else 20))

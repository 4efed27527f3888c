"""Conversion of any video that FFmpeg can decode to plain H.264, which every backend reads."""

from __future__ import annotations

import heapq
import logging
import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from e2espot.core.errors import DamagedVideoError, VideoError, one_line
from e2espot.core.picture_options import PictureOptions
from e2espot.core.timeline import DEFAULT_FPS, clock_text
from e2espot.video.demux import open_container
from e2espot.video.demux import video_stream as select_stream
from e2espot.video.first_look import look_at_start
from e2espot.video.indexing import index_of, index_video
from e2espot.video.interlacing import FieldOrder, deinterlaced
from e2espot.video.parts import parts_of
from e2espot.video.preparation import preparation_of
from e2espot.video.pyav_reader import MAX_HOLD_S
from e2espot.video.raw_streams import source_fps_error
from e2espot.video.restarted_clock import ContinuousClock, Restart, log_restarts
from e2espot.video.stream_copy import hides_between

if TYPE_CHECKING:
    from e2espot.video.index import VideoIndex

_LOG = logging.getLogger(__name__)

_CLOCK = Fraction(1, 90_000)
"""Time base of the new file, in which all common frame rates are exact."""
_MILLISECOND = 90
"""Ticks of a millisecond, the clock of Matroska."""
_MAX_TRIAL_PACKETS = 300
"""Packets by which stamps are judged."""
_MAX_OVERLAP = 8
"""Pictures by which the entries of an edit list overlap at most, in FFmpeg's reading of them."""
_OPTIONS = {"crf": "18", "preset": "veryfast", "g": "50"}
_DECODE_FRIENDLY = {"crf": "18", "preset": "veryfast", "g": "25", "bf": "0", "x264-params": "open-gop=0:scenecut=0"}
_BLOCK = 16
"""Pixels of a macroblock's side."""
_COLOUR_TAGS = ("colorspace", "color_range", "color_primaries", "color_trc")


@dataclass(frozen=True, kw_only=True)
class _Written:
    """What was written to the new file."""

    ticks: list[int]
    """Time of each picture in ticks of ``_CLOCK``, increasing."""
    shown_s: Fraction
    """Seconds from the first picture to the end of the last."""
    restarts: list[Restart]
    """Where the clock of the source was restarted."""


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
        VideoError: ``source`` has nothing to decode or ends early, ``target`` is no such container, or is not read
            back with every picture at its time.
    """
    import av

    if target.suffix not in (".mp4", ".mkv"):
        raise VideoError(f"{target}: give a name that ends in .mp4 or .mkv")
    parts = parts_of(source)
    if len(parts) > 1:
        raise VideoError(f"{source}: names {len(parts)} files; convert them one by one, then join the new ones by +")
    if not source.is_file():
        raise VideoError(f"{source}: no such file")
    if target.exists() and target.samefile(source):
        raise VideoError(f"{target}: is the source itself; give the new file another name")
    # Written next to the target and renamed at the end, so that the target is never half a file.
    part = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_container(source) as original, av.open(f"file:{part}", "w") as converted:
            stream = select_stream(original, source, number=video_stream)
            damage = _Damage(source, allow_truncated=allow_truncated)
            index = _index_if_readable(source, video_stream)
            has_joins = index is not None and hides_between(index)
            pictures = _pictures_in_time(source, original, stream, damage, has_joins=has_joins)
            if source_fps is not None:
                pictures = _without_times(source, pictures, source_fps)
            order = _field_order(source, video_stream, index) if deinterlace == "auto" else None
            if order is not None:
                pictures = deinterlaced(pictures, order)
            written = encode_pictures(
                pictures, stream, converted, progress, decode_friendly, source_fps or stream.average_rate
            )
            declared_s, tolerance_s = _declared_duration(original, stream)
        log_restarts(source, written.restarts)
        damage.log()
        if not written.ticks:
            raise VideoError(f"{source}: holds no picture that can be decoded")
        if not allow_truncated and written.shown_s < declared_s - tolerance_s:
            raise VideoError(
                f"{source}: breaks off after {float(written.shown_s):.2f} s of {float(declared_s):.2f}; "
                "copy or download it again, or convert that much with allow_truncated=True",
                option="allow_truncated",
            )
        _check_read_back(source, part, written.ticks)
        part.replace(target)
    except (av.error.FFmpegError, IndexError) as error:
        raise VideoError(f"{source}: cannot be converted to {target.name} ({one_line(error)})") from None
    finally:
        part.unlink(missing_ok=True)
    return len(written.ticks)


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
    read_P = [round((int(pts) - int(index.pts_P[0])) * index.time_base / _CLOCK) for pts in index.pts_P]
    wanted_P = [tick - ticks[0] for tick in ticks]
    if read_P == wanted_P:
        return
    if len(read_P) != len(wanted_P):
        raise VideoError(f"{source}: its copy shows {len(read_P)} pictures instead of {len(wanted_P)}; it is deleted")
    wrong = next(number for number, pair in enumerate(zip(read_P, wanted_P, strict=True)) if pair[0] != pair[1])
    raise VideoError(
        f"{source}: its copy shows picture {wrong} at {float(read_P[wrong] * _CLOCK):.3f} s instead of "
        f"{float(wanted_P[wrong] * _CLOCK):.3f}; it is deleted"
    )


def _declared_duration(container: Any, stream: Any) -> tuple[Fraction, Fraction]:
    """Seconds of pictures that the header declares, 0 if it does not; and how many of them may be missing."""
    if stream.duration is not None:
        declared_s = stream.duration * stream.time_base
        return declared_s, max(Fraction(1, 2), declared_s / 100)
    declared_s = Fraction(container.duration or 0, 1_000_000)
    is_alone = len(container.streams) == 1  # else it is the duration of the longest stream, which may be audio
    return declared_s, max(Fraction(1, 2 if is_alone else 1), declared_s / (100 if is_alone else 20))


class _Damage:
    """Packets of the source that do not decode; the picture before is held, as in a player."""

    def __init__(self, source: Path, *, allow_truncated: bool) -> None:
        self._source, self._allow_truncated = source, allow_truncated
        self._num_packets = self._num_pictures = 0
        self._is_since_last_picture = False
        self._first_s: Fraction | None = None
        self._latest_s: Fraction | None = None
        self._first_held = ""

    def add_packet(self) -> None:
        """Count a packet that does not decode."""
        self._num_packets += 1
        self._is_since_last_picture = True
        self._first_held = self._first_held or self._position()

    def add_picture(self, time_s: Fraction | None) -> None:
        """Note a picture that decodes.

        Raises:
            DamagedVideoError: the picture before the damage would be held for longer than ``MAX_HOLD_S``.
        """
        is_held = self._is_since_last_picture and time_s is not None and self._latest_s is not None
        if is_held and time_s - self._latest_s > MAX_HOLD_S and not self._allow_truncated:  # type: ignore[operator]
            raise DamagedVideoError(
                f"{self._source}: cannot be decoded from {self._position()} on; the file is damaged there. Copy or "
                "download it again, or convert what can be read with allow_truncated=True",
                option="allow_truncated",
            )
        self._is_since_last_picture = False
        self._num_pictures += 1
        if time_s is not None:
            self._latest_s = time_s
            self._first_s = time_s if self._first_s is None else self._first_s

    def log(self) -> None:
        """Log how many packets do not decode, and where the first of them is."""
        if self._num_packets:
            _LOG.warning(
                "%s: %d of its packets do not decode; the picture before is held, first at %s",
                self._source,
                self._num_packets,
                self._first_held,
            )

    def _position(self) -> str:
        """The latest picture that decodes: its time from the first one, and its number."""
        position_s = (self._latest_s or Fraction(0)) - (self._first_s or Fraction(0))
        return f"{clock_text(position_s)} (picture {max(0, self._num_pictures - 1)})"


def _pictures_in_time(
    source: Path, container: Any, stream: Any, damage: _Damage, *, has_joins: bool
) -> Iterator[tuple[Any, Fraction | None]]:
    """Yield (picture, seconds) in display order; None for a picture without a time stamp.

    ``has_joins`` says that the edit list has several entries.
    """
    if not _has_decoding_times_only(source, stream.index):
        decoded = _decodable(container, stream, damage)
        for picture in _overlaps_resolved(decoded) if has_joins else decoded:
            time_s = None if picture.pts is None else Fraction(picture.pts * picture.time_base)
            damage.add_picture(time_s)
            yield picture, time_s
        return
    # The stamps say when pictures are decoded: a picture carries that of another one, but together they are right.
    #   decoded I0 B1 B2 P3, stamps 0 2 3 1 -> 0 1 2 3
    stamps: list[int] = []
    for packet in container.demux(stream):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.size and stamp is not None:
            heapq.heappush(stamps, stamp)
        for picture in packet.decode():
            yield picture, heapq.heappop(stamps) * Fraction(stream.time_base) if stamps else None


def _overlaps_resolved(pictures: Iterator[Any]) -> Iterator[Any]:
    """Pictures of an edit list with several entries: a later one replaces one of the same time, as in the readers.

    FFmpeg lets the second entry of an edit list begin some pictures early, if there are B-frames::

        decoded  132 133 134 10 11 12        yielded  132 10 11 12
        times     42  43  44 43 44 45                  42 43 44 45
    """
    waiting: deque[Any] = deque()  # the latest pictures, whose times increase
    for picture in pictures:
        replaced = next((n for n, other in enumerate(waiting) if other.pts == picture.pts), None)
        if picture.pts is not None and replaced is not None:
            for _ in range(len(waiting) - replaced):
                waiting.pop()
        waiting.append(picture)
        if len(waiting) > _MAX_OVERLAP:
            yield waiting.popleft()
    yield from waiting


def _decodable(container: Any, stream: Any, damage: _Damage) -> Iterator[Any]:
    """Every picture that decodes; packets that do not are added to ``damage``."""
    for packet in container.demux(stream):
        pictures = _decoded(packet)
        if pictures is None:
            damage.add_packet()
        else:
            yield from pictures


def _decoded(packet: Any) -> Any:
    """Pictures that the decoder outputs for a packet; None if it does not decode."""
    import av

    try:
        return packet.decode()
    except av.error.InvalidDataError:
        return None


def _has_decoding_times_only(source: Path, stream_index: int) -> bool:
    """Whether pictures are reordered and the stamps are not, as in AVI and in files with the pts set to the dts.

    Only the beginning of the file is decoded.
    """
    with open_container(source) as container:
        stream = select_stream(container, source, stream_index)
        latest_stored = latest_shown = goes_back = None
        for _, packet in zip(range(_MAX_TRIAL_PACKETS), container.demux(stream), strict=False):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.size and stamp is not None:
                if latest_stored is not None and stamp < latest_stored:
                    return False  # stamps are reordered as well, or the clock goes back
                latest_stored = stamp
            for picture in _decoded(packet) or ():
                goes_back = goes_back or (
                    latest_shown is not None and picture.pts is not None and picture.pts < latest_shown
                )
                latest_shown = latest_shown if picture.pts is None else picture.pts
        return bool(goes_back)


def _without_times(
    source: Path, pictures: Iterator[tuple[Any, Fraction | None]], source_fps: Fraction
) -> Iterator[tuple[Any, Fraction | None]]:
    """The pictures of a raw stream.

    Raises:
        VideoError: the file states times of its own, which another rate would contradict.
    """
    for picture, position_s in pictures:
        if position_s is not None:
            raise source_fps_error(source, source_fps)
        yield picture, None


def encode_pictures(
    pictures: Iterator[tuple[Any, Fraction | None]],
    stream: Any,
    converted: Any,
    progress: Callable[[int], object] | None,
    decode_friendly: bool,
    rate: Fraction | None,
) -> _Written:
    """Encode pictures in order; those without a time of their own follow at ``rate`` pictures a second.

    Args:
        pictures: Decoded pictures with their seconds.
        stream: The stream that they are from.
        converted: The open new file, to which a stream is added.
        progress: Called with the number of pictures written since the last call.
        decode_friendly: See ``transcode``.
        rate: Pictures per second of the source; None if it is unknown.
    """
    period_s = 1 / Fraction(rate or DEFAULT_FPS)
    clock = ContinuousClock(period_s)
    output, first_s, end_s = None, Fraction(0), Fraction(0)
    unit = _MILLISECOND if "matroska" in converted.format.name else 1
    ticks: list[int] = []
    for picture, source_s in pictures:
        upright = _rotated(picture)
        if output is None:
            output = _add_output(converted, stream, (upright.width, upright.height), period_s, decode_friendly)
            output.codec_context.sample_aspect_ratio = _aspect_ratio(stream, picture)
        position_s = clock.position(source_s)
        first_s = first_s if ticks else position_s
        first_tick = math.ceil(first_s / (unit * _CLOCK))
        ticks.append(unit * (first_tick + math.ceil((position_s - first_s) / (unit * _CLOCK))))
        # The last picture may be a still that lasts for seconds. Read here: ``plain`` may be the very same object.
        end_s = position_s + max(period_s, Fraction((getattr(picture, "duration", 0) or 0) * picture.time_base))
        plain = upright.reformat(output.width, output.height, format="yuv420p")
        plain.pts, plain.time_base = ticks[-1], _CLOCK
        converted.mux(output.encode(plain))
        if progress is not None:
            progress(1)
    if output is not None:
        converted.mux(output.encode())
    return _Written(ticks=ticks, shown_s=end_s - first_s, restarts=clock.restarts)


def _aspect_ratio(stream: Any, picture: Any) -> Fraction:
    """Width of a pixel by its height, as the picture is shown; 0 if the source declares none."""
    ratio = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 0)
    is_on_its_side = round(picture.rotation / 90) % 2 == 1
    return 1 / ratio if ratio and is_on_its_side else ratio


def _add_output(converted: Any, stream: Any, size: tuple[int, int], period_s: Fraction, decode_friendly: bool) -> Any:
    """The H.264 stream of the new file."""
    options = _DECODE_FRIENDLY if decode_friendly else _OPTIONS
    output = converted.add_stream("libx264", rate=round(1 / period_s) or 25, options=options)
    output.width, output.height = (_output_side(length, decode_friendly) for length in size)
    output.pix_fmt = "yuv420p"
    output.codec_context.time_base = _CLOCK
    for tag in _COLOUR_TAGS:  # YUV values are copied, so their meaning must be declared again
        setattr(output.codec_context, tag, getattr(stream.codec_context, tag))
    return output


def _rotated(picture: Any) -> Any:
    """The picture as it is shown: the new file declares no rotation."""
    quarter_turns = round(picture.rotation / 90) % 4
    if not quarter_turns:
        return picture
    import av

    # 4:4:4, since halved chroma planes of odd sizes cannot be turned.
    planes_3HW = picture.reformat(format="yuv444p").to_ndarray()
    rotated_3HW = np.ascontiguousarray(np.rot90(planes_3HW, quarter_turns, (1, 2)))
    return av.VideoFrame.from_ndarray(rotated_3HW, format="yuv444p")


def _output_side(length: int, decode_friendly: bool) -> int:
    """Width or height of the new pictures: 398 -> 400 if decode-friendly; 399 -> 398 if not."""
    return max(1, round(length / _BLOCK)) * _BLOCK if decode_friendly else length // 2 * 2

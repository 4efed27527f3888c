"""Conversion of any video that FFmpeg can decode to plain H.264, which every backend reads."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.errors import VideoError, one_line
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.video.demux import open_container
from e2espot.video.demux import video_stream as select_stream

_CLOCK = Fraction(1, 90_000)
"""Time base of the new file, in which all common frame rates are exact."""
_MIN_STEP_S = 90 * _CLOCK
"""Distance to the previous picture, one millisecond, of a picture whose time would go back."""
_MAX_STEP_BACK_S = Fraction(1, 2)
"""Steps back up to this are single wrong stamps; farther ones mean that the clock was set again."""
_MAX_TRIAL_PACKETS = 300
"""Packets by which stamps are judged."""
_OPTIONS = {"crf": "18", "preset": "veryfast", "g": "50"}
_DECODE_FRIENDLY = {"crf": "18", "preset": "veryfast", "g": "25", "bf": "0", "x264-params": "open-gop=0:scenecut=0"}
_BLOCK = 16
"""Pixels of a macroblock's side."""
_COLOUR_TAGS = ("colorspace", "color_range", "color_primaries", "color_trc")


def transcode(
    source: Path,
    target: Path,
    progress: Callable[[int], object] | None = None,
    *,
    decode_friendly: bool = False,
    allow_truncated: bool = False,
    video_stream: int | None = None,
) -> int:
    """Decode every picture in order and encode it with its own time; audio is dropped.

    A picture without a time stamp is shown one period of the stream's rate after the previous one, and so is one at
    which the clock goes back; one that goes back a little is moved just behind the previous one. Pixels keep their
    aspect ratio and their size, except for an odd last row or column, which H.264 in 4:2:0 cannot store.

    Args:
        source: Any video that FFmpeg opens.
        target: ``.mp4`` or ``.mkv``; written completely or not at all.
        progress: Called with the number of pictures written since the last call.
        decode_friendly: For reading clips at random again and again: a closed GOP every 25 pictures, no B-frames,
            width and height scaled to the nearest multiples of 16, the blocks in which decoders work.
        allow_truncated: Accept a file whose pictures end well before its header declares, as far as they go.
        video_stream: Number of the stream among the video streams of ``source``, counted from 0; None for the one that
            players choose.

    Returns:
        Pictures written.

    Raises:
        VideoError: ``source`` has nothing to decode or ends early, or ``target`` is no such container.
    """
    import av

    if target.suffix not in (".mp4", ".mkv"):
        raise VideoError(f"{target}: give a name that ends in .mp4 or .mkv")
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
            pictures = _pictures_in_time(source, original, stream)
            count, shown_s = _transcode_pictures(pictures, stream, converted, progress, decode_friendly)
            declared_s, tolerance_s = _declared_duration(original, stream)
        if not count:
            raise VideoError(f"{source}: holds no picture that can be decoded")
        if not allow_truncated and shown_s < declared_s - tolerance_s:
            raise VideoError(
                f"{source}: breaks off after {float(shown_s):.2f} s of {float(declared_s):.2f}; "
                "copy or download it again, or convert that much with allow_truncated=True",
                option="allow_truncated",
            )
        part.replace(target)
    except (av.error.FFmpegError, IndexError) as error:
        raise VideoError(f"{source}: cannot be converted to {target.name} ({one_line(error)})") from None
    finally:
        part.unlink(missing_ok=True)
    return count


def _declared_duration(container: Any, stream: Any) -> tuple[Fraction, Fraction]:
    """Seconds of pictures that the header declares, 0 if it does not; and how many of them may be missing."""
    if stream.duration is not None:
        declared_s = stream.duration * stream.time_base
        return declared_s, max(Fraction(1, 2), declared_s / 100)
    declared_s = Fraction(container.duration or 0, 1_000_000)
    is_alone = len(container.streams) == 1  # else it is the duration of the longest stream, which may be audio
    return declared_s, max(Fraction(1, 2 if is_alone else 1), declared_s / (100 if is_alone else 20))


def _pictures_in_time(source: Path, container: Any, stream: Any) -> Iterator[tuple[Any, Fraction | None]]:
    """Yield (picture, seconds) in display order; None for a picture without a time stamp."""
    if not _has_decoding_times_only(source, stream.index):
        for picture in container.decode(stream):
            yield picture, None if picture.pts is None else Fraction(picture.pts * picture.time_base)
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
            for picture in packet.decode():
                goes_back = goes_back or (
                    latest_shown is not None and picture.pts is not None and picture.pts < latest_shown
                )
                latest_shown = latest_shown if picture.pts is None else picture.pts
        return bool(goes_back)


class _Clock:
    """Times of the new file: those of the source, without steps back."""

    def __init__(self, period_s: Fraction) -> None:
        """Place pictures without a time of their own ``period_s`` after the previous one."""
        self._period_s = period_s
        self._previous_s: Fraction | None = None
        self._offset_s = self._offset_before_jump_s = Fraction(0)

    def position(self, source_s: Fraction | None) -> Fraction:
        """Time of a picture in seconds, always later than the previous one's.

        A step back of more than ``_MAX_STEP_BACK_S`` is a clock that was set again: pictures follow one period apart.
        Example at 25 fps: 3.92, 3.96, 1.96, 2.00 -> 3.92, 3.96, 4.00, 4.04.
        """
        if self._previous_s is None:
            self._previous_s = source_s or Fraction(0)
            return self._previous_s
        following_s = self._previous_s + self._period_s
        position_s = following_s if source_s is None else source_s + self._offset_s
        if source_s is not None and position_s < self._previous_s - _MAX_STEP_BACK_S:
            self._offset_before_jump_s, self._offset_s = self._offset_s, following_s - source_s
            position_s = following_s
        elif source_s is not None and 0 < source_s + self._offset_before_jump_s - self._previous_s <= _MAX_STEP_BACK_S:
            # A single wrong stamp, not another clock.
            self._offset_s = self._offset_before_jump_s
            position_s = source_s + self._offset_s
        self._previous_s = max(position_s, self._previous_s + _MIN_STEP_S)
        return self._previous_s


def _transcode_pictures(
    pictures: Iterator[tuple[Any, Fraction | None]],
    stream: Any,
    converted: Any,
    progress: Callable[[int], object] | None,
    decode_friendly: bool,
) -> tuple[int, Fraction]:
    """Number of pictures, and seconds from the first to the end of the last."""
    period_s = 1 / Fraction(stream.average_rate or DEFAULT_FPS)
    clock = _Clock(period_s)
    output, first_s, end_s, count = None, Fraction(0), Fraction(0), 0
    for picture, source_s in pictures:
        upright = _rotated(picture)
        if output is None:
            output = _add_output(converted, stream, (upright.width, upright.height), period_s, decode_friendly)
            output.codec_context.sample_aspect_ratio = _aspect_ratio(stream, picture)
        position_s = clock.position(source_s)
        # The last picture may be a still that lasts for seconds. Read here: ``plain`` may be the very same object.
        end_s = position_s + max(period_s, Fraction((getattr(picture, "duration", 0) or 0) * picture.time_base))
        plain = upright.reformat(output.width, output.height, format="yuv420p")
        plain.pts, plain.time_base = round(position_s / _CLOCK), _CLOCK
        converted.mux(output.encode(plain))
        first_s = position_s if count == 0 else first_s
        count += 1
        if progress is not None:
            progress(1)
    if output is None:
        return 0, Fraction(0)
    converted.mux(output.encode())
    return count, end_s - first_s


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

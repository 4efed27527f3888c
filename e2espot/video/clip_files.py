"""Stretches of a video as files of their own, with its audio: copied packet by packet, or encoded again.

::

    pictures      0 . . . . . 6 . . . . . 12 . . .     0, 6 and 12 are key pictures
    wanted              3 ----------- 9
    copied        0 ------------------ 9               begins at the key picture before
    encoded             3 ----------- 9                begins where it was wanted

A copy holds every picture at its own time and unchanged. Both are read back before they get their name.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.errors import VideoError, one_line
from e2espot.core.picture_options import PictureOptions
from e2espot.video.container import open_container
from e2espot.video.encode_pictures import encode_pictures
from e2espot.video.index import VideoIndex
from e2espot.video.indexing import index_video, require_readable
from e2espot.video.interlacing import deinterlaced
from e2espot.video.packets import PacketSource, compute_decoding_times
from e2espot.video.preparation import preparation_of
from e2espot.video.stream_copy import plan_cut, why_inexact

_MP4_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")
_MP4_AUDIO_CODECS = ("aac", "mp3", "opus", "flac", "ac3", "eac3", "alac")
_AUDIO_MARGIN_S = 2
"""Seconds of audio that are read before a stretch, as packets of audio and video are not stored side by side."""
_NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Pictures of a video that become part of a file."""

    first: int
    """Rank of the first picture."""
    last: int
    """Rank of the last picture."""


def stretch_of(index: VideoIndex, start_ms: int | Fraction, stop_ms: int | Fraction, *, copied: bool) -> Stretch:
    """The pictures on show from ``start_ms`` to ``stop_ms``, which are cut off at the ends of the video.

    Args:
        index: The index of the file.
        start_ms: Milliseconds from the first picture.
        stop_ms: The same; not before ``start_ms``.
        copied: Begin at a key picture, and end where no picture between would be missing.
    """
    first, last = (picture_at(index, position_ms) for position_ms in (start_ms, stop_ms))
    if copied:
        first = index.pictures_of_segment(index.segment_of(first))[0]
        # The last picture wanted may be stored after later ones, which come along:
        #   file order  I0 P3 B1 B2, wanted up to 1 -> 0 1 3 come; with 2 as well, none is missing between
        while (stop := int(plan_cut(index, first, last).ranks_N.max())) > last:
            last = stop
    return Stretch(first=first, last=last)


def picture_at(index: VideoIndex, position_ms: int | Fraction) -> int:
    """Rank of the picture on show at a time from the first one."""
    ticks = int(Fraction(max(0, position_ms)) / 1000 / index.time_base)
    return max(0, int(np.searchsorted(index.pts_P - index.pts_P[0], ticks, side="right")) - 1)


def position_s(index: VideoIndex, picture: int) -> Fraction:
    """Seconds from the first picture at which a picture begins; the end of the last for the number of pictures."""
    if picture == index.num_pictures:
        return index.duration_s
    return int(index.pts_P[picture] - index.pts_P[0]) * index.time_base


def why_not_copied(index: VideoIndex) -> str | None:
    """Why stretches of a file must be encoded; None if its packets can be copied."""
    reason = why_inexact(index)
    if reason is None and not bool(index.shown_M.all()):
        is_mp4 = index.format_name.startswith("mov")
        reason = "its edit list hides pictures" if is_mp4 else "it begins between two key pictures"
    if reason is None and index.codec_name not in _matroska_codecs():
        reason = f"Matroska does not hold {index.codec_name}"
    return "some of its pictures share a time stamp" if reason is None and _repeats(index) else reason


@cache
def _matroska_codecs() -> frozenset[str]:
    import av

    with av.open(io.BytesIO(), "w", format="matroska") as output:
        return frozenset(output.supported_codecs)


def _repeats(index: VideoIndex) -> bool:
    return bool((np.diff(index.pts_P) <= 0).any())


def clip_suffix(index: VideoIndex, *, copied: bool) -> str:
    """Ending of the files: ``.mp4``, or ``.mkv`` for what MP4 does not hold."""
    with open_container(index.path) as container:
        audio = _audio_stream(container)
        name = None if audio is None else audio.codec_context.codec.canonical_name
    holds_video = not copied or index.codec_name in _MP4_CODECS
    return ".mp4" if holds_video and (name is None or name in _MP4_AUDIO_CODECS) else ".mkv"


def write_clip(index: VideoIndex, stretches: Sequence[Stretch], target: Path, *, copied: bool) -> None:
    """Write stretches of a video one after another to a new file; whole or not at all.

    Args:
        index: The index of the file.
        stretches: In order, without overlap; from ``stretch_of`` with the same ``copied``.
        target: The new file, with the ending of ``clip_suffix``.
        copied: Copy packets; else encode the pictures as H.264. Audio is copied in either case. Copied stretches after
            the first one must begin at closed GOPs: decoders put pictures in order by counting from the last of those.

    Raises:
        VideoError: the file cannot be read, or the new one is not read back with every picture at its time.
    """
    import av

    part = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_container(index.path) as source, av.open(f"file:{part}", "w") as output:
            audio = _Audio(index, source, output)
            (_copy if copied else _encode)(index, stretches, output, audio)
        _check_read_back(index, stretches, part, same_pictures=copied)
        part.replace(target)
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _NOT_WRITABLE:  # FFmpeg's own class for what the system says
            raise VideoError(f"{target}: cannot be written ({error.strerror})") from None
        raise VideoError(f"{index.path}: {target.name} cannot be cut from it ({one_line(error)})") from None
    except OSError as error:
        raise VideoError(f"{target}: cannot be written ({error.strerror})") from None
    finally:
        part.unlink(missing_ok=True)


def offsets_s(index: VideoIndex, stretches: Sequence[Stretch]) -> list[Fraction]:
    """Seconds of the new file at which each stretch begins, and the end of the last."""
    offsets = [Fraction(0)]
    for stretch in stretches:
        offsets.append(offsets[-1] + position_s(index, stretch.last + 1) - position_s(index, stretch.first))
    return offsets


def _copy(index: VideoIndex, stretches: Sequence[Stretch], output: Any, audio: _Audio) -> None:
    packets = PacketSource(index)
    try:
        video = output.add_stream_from_template(packets.stream, opaque=True)
        audio.add_stream()
        earliest = None
        for stretch, offset_s in zip(stretches, offsets_s(index, stretches), strict=False):
            plan = plan_cut(index, stretch.first, stretch.last)
            wanted = dict(
                zip(plan.packets_N.tolist(), compute_decoding_times(index.pts_M[plan.packets_N]).tolist(), strict=True)
            )
            shift = round(offset_s / index.time_base) - int(index.pts_P[stretch.first])
            for number, packet in packets.read(int(plan.packets_N[0]), int(plan.packets_N[-1]) + 1):
                if number not in wanted:
                    continue
                packet.time_base = index.time_base
                packet.pts, packet.dts = int(index.pts_M[number]) + shift, wanted[number] + shift
                if earliest is not None:  # a later stretch begins to decode before the end of the one before
                    packet.dts = max(packet.dts, earliest)
                earliest = packet.dts + 1
                packet.stream = video
                shown_s = packet.pts * index.time_base
                output.mux(packet)
                audio.copy_until(stretch, index, offset_s, shown_s)
            audio.finish(stretch, index, offset_s)
    finally:
        packets.close()


def _encode(index: VideoIndex, stretches: Sequence[Stretch], output: Any, audio: _Audio) -> None:
    audio.add_stream()
    packets = PacketSource(index)
    order = preparation_of(index, PictureOptions(tone_map="off", crop_bars="off")).deinterlace

    def pictures() -> Iterator[tuple[Any, Fraction | None]]:
        for stretch, offset_s in zip(stretches, offsets_s(index, stretches), strict=False):
            decoded: Iterator[tuple[Any, Any]] = _decoded(index, stretch, packets)
            if order is not None:
                decoded = deinterlaced(decoded, order)
            start_s = position_s(index, stretch.first)
            for picture, picture_s in decoded:
                yield picture, picture_s - start_s + offset_s
                audio.copy_until(stretch, index, offset_s, picture_s - start_s + offset_s)
            audio.finish(stretch, index, offset_s)

    try:
        turn = index.rotation_degrees, index.is_mirrored
        encode_pictures(pictures(), packets.stream, output, None, False, packets.stream.average_rate, turn)
    finally:
        packets.close()


def _decoded(index: VideoIndex, stretch: Stretch, packets: PacketSource) -> Iterator[tuple[Any, Fraction]]:
    """Pictures of a stretch with their seconds from the first one of the video."""
    if index.identified_by == "decode_order":
        for rank, picture in enumerate(_pictures_from(index, packets, 0)):
            if stretch.first <= rank <= stretch.last:
                yield picture, position_s(index, rank)
            if rank > stretch.last:
                return
        return
    first_pts, last_pts = int(index.pts_P[stretch.first]), int(index.pts_P[stretch.last])
    # A picture that is deinterlaced needs the one before, which may be of the segment before.
    start = int(index.start_packet_S[max(0, index.segment_of(stretch.first) - 1)])
    for picture in _pictures_from(index, packets, start):
        if picture.pts is not None and picture.pts > last_pts:
            return
        if picture.pts is not None and picture.pts >= first_pts:
            yield picture, (picture.pts - int(index.pts_P[0])) * index.time_base


def _pictures_from(index: VideoIndex, packets: PacketSource, start: int) -> Iterator[Any]:
    """Every picture that a new decoder outputs from a packet on; ``PacketSource`` seeks where a container may not."""
    import av

    codec = packets.stream.codec_context
    codec.flush_buffers()
    numbered = packets.read(start, index.num_packets)
    for packet in chain((packet for _, packet in numbered), (None,)):
        try:
            pictures = codec.decode(packet)
        except av.error.InvalidDataError:  # a damaged packet, or leading ones after an open GOP
            continue
        for picture in pictures:
            picture.time_base = index.time_base  # pictures at the end of a file have none
            yield picture


def _audio_stream(container: Any) -> Any:
    """The first audio stream that can be read; None if there is none."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


class _Audio:
    """Copies the audio of stretches, in step with their pictures."""

    def __init__(self, index: VideoIndex, source: Any, output: Any) -> None:
        self._source, self._output = source, output
        self._from = _audio_stream(source)
        self._to: Any = None
        self._first_picture_s = index.first_picture_s
        self._packets: Iterator[Any] = iter(())
        self._waiting: Any = None
        self._stretch: Stretch | None = None
        self._earliest: int | None = None

    def add_stream(self) -> None:
        """Add a stream to the new file, if the video has audio."""
        if self._from is not None:
            self._to = self._output.add_stream_from_template(self._from, opaque=True)

    def copy_until(self, stretch: Stretch, index: VideoIndex, offset_s: Fraction, until_s: Fraction) -> None:
        """Copy the packets of a stretch up to a time of the new file."""
        if self._from is None:
            return
        start_s, stop_s = position_s(index, stretch.first), position_s(index, stretch.last + 1)
        if self._stretch != stretch:
            self._stretch, self._waiting = stretch, None
            begin_s = max(Fraction(0), start_s + self._first_picture_s - _AUDIO_MARGIN_S)
            self._source.seek(int(begin_s / self._from.time_base), stream=self._from, backward=True)
            self._packets = self._source.demux(self._from)
        while (packet := self._waiting or next(self._packets, None)) is not None:
            self._waiting = packet
            if packet.pts is not None and packet.size:
                shown_s = packet.pts * Fraction(packet.time_base) - self._first_picture_s
                if shown_s >= stop_s or shown_s - start_s + offset_s > until_s:
                    return
                if shown_s >= start_s:
                    self._mux(packet, offset_s - start_s - self._first_picture_s)
            self._waiting = None

    def finish(self, stretch: Stretch, index: VideoIndex, offset_s: Fraction) -> None:
        """Copy the rest of a stretch."""
        self.copy_until(stretch, index, offset_s, offset_s + index.duration_s)

    def _mux(self, packet: Any, shift_s: Fraction) -> None:
        ticks = packet.pts + round(shift_s / Fraction(packet.time_base))
        if self._earliest is not None:
            ticks = max(ticks, self._earliest)
        self._earliest = ticks + 1
        packet.pts = packet.dts = ticks
        packet.stream = self._to
        self._output.mux(packet)


def _check_read_back(index: VideoIndex, stretches: Sequence[Stretch], part: Path, *, same_pictures: bool) -> None:
    """Refuse a new file that does not show every picture at its time.

    Raises:
        VideoError: it does not.
    """
    clip = require_readable(index_video(part))
    offsets = offsets_s(index, stretches)
    wanted = [
        offset_s + position_s(index, rank) - position_s(index, stretch.first)
        for stretch, offset_s in zip(stretches, offsets, strict=False)
        for rank in range(stretch.first, stretch.last + 1)
    ]
    shown_as = (clip.rotation_degrees, clip.is_mirrored, clip.codec_name)
    if same_pictures and shown_as != (index.rotation_degrees, index.is_mirrored, index.codec_name):
        raise VideoError(f"{index.path}: a copy of its packets is not shown as they are; cut it exactly")
    if clip.num_pictures != len(wanted):
        raise VideoError(f"{index.path}: a clip shows {clip.num_pictures} pictures instead of {len(wanted)}")
    for rank, time_s in enumerate(wanted):
        if abs(position_s(clip, rank) - time_s) > Fraction(1, 500):
            raise VideoError(
                f"{index.path}: a clip shows picture {rank} at {float(position_s(clip, rank)):.3f} s instead of "
                f"{float(time_s):.3f}"
            )

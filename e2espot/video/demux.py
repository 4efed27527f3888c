"""The demuxing pass: every packet of a video stream is read once, and one picture is decoded.

Findings are returned as plain arrays; ``index.py`` interprets them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import VideoError, one_line
from e2espot.video.container import NEW_HEADER, demux_errors, discard_other_streams, open_container, select_stream
from e2espot.video.declared_end import declared_duration, declared_end, only_cues_missing
from e2espot.video.field_pictures import FieldPairing, FieldRole, Fields
from e2espot.video.keyframes import keyframe_kind, length_prefix_size
from e2espot.video.mp4 import reject_skipped_codecs
from e2espot.video.mp4_packets import mp4_table
from e2espot.video.orientation import is_mirrored, rotation_degrees
from e2espot.video.packet_columns import NO_PTS, PacketColumns
from e2espot.video.packet_table import NUM_COMPARED, PacketRows, rows_of_table
from e2espot.video.stream_format import FormatTracker
from e2espot.video.webm_packets import webm_table

if TYPE_CHECKING:
    from pathlib import Path

_FIRST_HEADER_ONLY = ("mpeg4", "vc1", "wmv3")
"""Codecs whose decoders in FFmpeg ignore ``NEW_HEADER``."""
_MAX_PROBE_PACKETS = 600
"""Packets among which one must decode."""
_MAX_FIRST_PACKETS = 64
"""Packets among which one must decode for the container's tables to be used."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Scan:
    """Raw findings of one pass over a file; arrays have one row a packet, in file order (suffix M).

    The two packets of a picture whose fields are stored apart are one row.
    """

    path: Path
    """The file."""
    byte_size: int
    """Its size."""
    mtime_ns: int
    """Its modification time."""
    stream_index: int
    """The video stream within the container."""
    format_name: str
    """FFmpeg's name of the container."""
    codec_name: str
    """FFmpeg's name of the codec."""
    time_base: Fraction
    """Seconds of one tick."""
    average_rate: Fraction | None
    """Pictures per second as the container declares them; None if it does not."""
    truncated: bool
    """Whether the file ends before its header declares, or reading ended in an error."""
    declared_duration_s: Fraction | None
    """Seconds from the container's time zero to the end the header declares; None if it declares none."""
    decoder_delay: int
    """Pictures that the decoder waits for before it outputs one; 0 if none is stored in another order than shown."""
    pixel_format: str
    """FFmpeg's name of the pixel format."""
    width: int
    """Width of a decoded picture in pixels."""
    height: int
    """Height of a decoded picture in pixels."""
    rotation_degrees: int
    """Counter-clockwise rotation that a player applies: 0, 90, 180 or 270."""
    is_mirrored: bool
    """Whether a player flips pictures upside down before it rotates them."""
    colorspace: int
    """FFmpeg's number of the YUV matrix."""
    pts_M: np.ndarray
    """int64 ticks; display time, or ``NO_PTS``."""
    dts_M: np.ndarray
    """int64 ticks; decoding time, or ``NO_PTS``."""
    duration_M: np.ndarray
    """int64 ticks; 0 if unknown."""
    shown_M: np.ndarray
    """bool; False for packets that an edit list hides, or that are only referred to."""
    first_pts: int
    """Display time of the first picture that decodes, in ticks; no program can show an earlier one."""
    keyframe_M: np.ndarray
    """int8 ``KeyframeKind``; whether decoding may begin at the packet."""
    num_parts_M: np.ndarray
    """int8; stored packets that were joined to one: 2 where the fields of a picture are stored apart."""
    damaged_M: np.ndarray
    """bool; whether the container reports that a part of the packet is lost."""
    fields: Fields
    """How pictures are stored as fields."""
    format_change_packet: int | None = None
    """First packet with pictures of another size, or with another codec header, than before; None if there is none."""
    shows_again: bool = False
    """Whether packets show a picture that was decoded before, and hold none (VP9, "show existing")."""


def scan_video(path: Path, number: int | None = None, *, use_tables: bool = True) -> Scan:
    """List every packet of the video stream of a file, and decode one picture.

    Args:
        path: The file.
        number: As in ``select_stream``.
        use_tables: Whether the container's tables may stand in for the packets; see ``packet_table.py``.

    Raises:
        VideoError: see ``index_video``.
    """
    with open_container(path) as container:
        status = path.stat()  # before the pass: a file that grows meanwhile has another state then
        stream = select_stream(container, path, number=number)
        discard_other_streams(container, stream)
        name = container.format.name
        if name.startswith("mov"):
            reject_skipped_codecs(path, stream)
        first = _FirstPicture(stream.codec_context)
        listed = _listed_rows(path, container, stream, first, status.st_size) if use_tables else None
        if listed is None and first.num_fed:
            return scan_video(path, number, use_tables=False)  # from the beginning, with a new decoder
        rows = listed or _demuxed_rows(container, stream, first, path)
        picture = first.properties_or_raise(path)
        if not len(rows.pts_M):
            raise VideoError(f"{path}: its video stream holds no pictures; the file may have broken off")
        duration_s = declared_duration(path, container, stream)
        truncated = rows.truncated
        if listed is None and declared_end(path, name, stream) > status.st_size:  # tables that go beyond are not used
            truncated |= NO_PTS in rows.pts_M or not only_cues_missing(
                name, duration_s, rows.pts_M, rows.duration_M, Fraction(stream.time_base)
            )
        return Scan(
            path=path,
            byte_size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            stream_index=stream.index,
            format_name=name,
            codec_name=stream.codec_context.codec.canonical_name,
            time_base=Fraction(stream.time_base),
            average_rate=stream.average_rate,
            truncated=truncated,
            declared_duration_s=duration_s,
            pts_M=rows.pts_M,
            dts_M=rows.dts_M,
            duration_M=rows.duration_M,
            shown_M=rows.shown_M,
            keyframe_M=rows.keyframe_M,
            num_parts_M=rows.num_parts_M,
            damaged_M=rows.damaged_M,
            fields=rows.fields,
            format_change_packet=rows.tracker.first_change,
            shows_again=rows.tracker.shows_again,
            **picture,
        )


def _listed_rows(path: Path, container: Any, stream: Any, first: _FirstPicture, byte_size: int) -> PacketRows | None:
    """Rows of all packets by the container's tables; None where every packet must be demuxed."""
    codec, extradata = stream.codec_context.codec.canonical_name, bytes(stream.codec_context.extradata or b"")
    name = container.format.name
    with path.open("rb") as file:
        if name.startswith("mov") and codec == "h264" and length_prefix_size(codec, extradata):
            table = mp4_table(path, stream, byte_size)
        elif name.startswith("matroska") and codec == "vp9":
            table = webm_table(file.fileno(), byte_size)
        else:
            return None
        if table is None:
            return None
        packets: list[Any] = []
        try:
            for packet in container.demux(stream):
                if len(packets) >= NUM_COMPARED and not first.is_wanted:
                    break
                if first.is_wanted and not first.feed(packet):
                    return None
                if packet.size:
                    packets.append(packet)
                if len(packets) > _MAX_FIRST_PACKETS:
                    return None
            return rows_of_table(table, file.fileno(), codec, extradata, packets)
        except demux_errors():
            return None


def _demuxed_rows(container: Any, stream: Any, first: _FirstPicture, path: Path) -> PacketRows:
    """Rows of all packets, each of which is read."""
    codec, extradata = stream.codec_context.codec.canonical_name, bytes(stream.codec_context.extradata or b"")
    pairing = FieldPairing(extradata, length_prefix_size(codec, extradata)) if codec == "h264" else None
    tracker, is_vp8, columns = FormatTracker(codec, extradata), codec == "vp8", PacketColumns()
    is_damaged = broke_off = False
    try:
        for packet in container.demux(stream):
            if first.is_wanted and not first.feed(packet):
                break
            if packet.size == 0:  # the end of the stream, or a picture that an AVI writer dropped
                continue
            is_damaged, is_keyframe = packet.is_corrupt, packet.is_keyframe
            if pairing is not None and (is_keyframe or pairing.may_have_fields):
                role = pairing.role(memoryview(packet), is_keyframe=is_keyframe)
                if role == FieldRole.SECOND_FIELD:
                    columns.add_second_field(packet, damaged=is_damaged)
                    continue
            if tracker.may_change(packet, is_keyframe=is_keyframe) and _is_format_change(tracker, packet):
                _reject_ignored_header(path, codec, packet, len(columns))
                tracker.first_change = len(columns)
            kind = keyframe_kind(codec, extradata, memoryview(packet)) if is_keyframe else 0
            # VP8 has packets that only later ones refer to ("altref"); bit 4 of byte 0 is show_frame (RFC 6386).
            shown = not packet.is_discard and not (is_vp8 and not memoryview(packet)[0] & 16)
            columns.add(packet, kind, shown=shown, damaged=is_damaged)
    except demux_errors() as error:
        broke_off = True
        first.problem = one_line(error)
    if len(columns) and is_damaged:
        columns.drop_last()  # the file ends within it
    fields = "none" if pairing is None else pairing.kind()
    return columns.rows(fields=fields, tracker=tracker, truncated=bool(is_damaged or broke_off))


def _reject_ignored_header(path: Path, codec: str, packet: Any, number: int) -> None:
    if codec in _FIRST_HEADER_ONLY and packet.has_sidedata(NEW_HEADER):
        raise VideoError(
            f"{path}: its codec header changes at picture {number}, where FFmpeg goes on decoding "
            f"{codec} by the first one; split it there with another program"
        )


def _is_format_change(tracker: FormatTracker, packet: Any) -> bool:
    header = bytes(packet.get_sidedata(NEW_HEADER)) if packet.has_sidedata(NEW_HEADER) else None
    return tracker.is_change(memoryview(packet), is_keyframe=packet.is_keyframe, new_header=header)


class _FirstPicture:
    """Decodes packets in the course of the demuxing pass until one gives a picture."""

    def __init__(self, codec: Any) -> None:
        codec.thread_count = 1
        self._codec, self.num_fed, self.problem = codec, 0, ""
        self._properties: dict[str, Any] | None = None
        self.is_wanted = True

    def feed(self, packet: Any) -> bool:
        """Decode the next packet; False if none of so many packets decodes that the file is given up."""
        import av

        self.num_fed += 1
        try:
            pictures = self._codec.decode(packet if packet.size else None)
        except av.error.FFmpegError as error:
            self.problem, pictures = one_line(error), []
        if pictures:
            self._properties, self.is_wanted = _picture_properties(pictures[0], self._codec), False
        return not self.is_wanted or self.num_fed < _MAX_PROBE_PACKETS

    def properties_or_raise(self, path: Path) -> dict[str, Any]:
        """Properties of the stream that only a decoded picture gives: fields of ``Scan``.

        Raises:
            VideoError: no packet gave a picture.
        """
        if self._properties is None:
            detail = f": {self.problem}" if self.problem else ""
            raise VideoError(
                f"{path}: no picture of its {self._codec.name} stream can be decoded{detail}; the file is damaged"
            )
        return self._properties


def _picture_properties(picture: Any, codec: Any) -> dict[str, Any]:
    return {
        "first_pts": NO_PTS if picture.pts is None else picture.pts,
        "pixel_format": picture.format.name,
        "width": picture.width,
        "height": picture.height,
        "rotation_degrees": rotation_degrees(picture),
        "is_mirrored": is_mirrored(picture),
        "colorspace": int(picture.colorspace),
        "decoder_delay": int(codec.has_b_frames),
    }

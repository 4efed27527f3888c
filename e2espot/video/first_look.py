"""The first look at a file: a few keyframes over its whole length, to see how its pictures must be prepared.

Most files are progressive and fill their pictures. After six keyframes that is certain, in some 20 ms. Only a file
that looks interlaced or barred is looked at further.

The same file gives the same answer in every process, and nothing here raises: what cannot be decoded shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.video.black_bars import Area, LitShares, area_without_bars, lit_shares, may_have_bars
from e2espot.video.container import demux_errors, open_container, select_stream
from e2espot.video.interlacing import FieldOrder, is_combed, measured_order
from e2espot.video.packets import PacketSource
from e2espot.video.tone_map import HdrColour, hdr_colour

if TYPE_CHECKING:
    from pathlib import Path

    from e2espot.video.index import VideoIndex

_QUICK, _THOROUGH = 6, 24
"""Positions looked at in any file, and in one that looks interlaced or barred."""
_PACKETS_OF_RUN, _MAX_RUNS = 6, 8
"""Packets among which two consecutive pictures are, though stored out of order; and how often so many are decoded."""
_MAX_PACKETS = 1500
"""Packets up to which a file with few keyframes is decoded completely to see whether its bars stay."""
_MIN_COMBED_FLAGGED, _MIN_COMBED_UNFLAGGED = 0.05, 0.3
"""Share of combed pictures that makes a file interlaced, where it is declared interlaced, and where it is not."""
_MIN_COMBED_PICTURES = 2
_MAX_PAIRS = 12
_MAX_PICTURES_AT_START = 100

# FFmpeg's AVFieldOrder: progressive is 1; of two letters, the first is the field stored first, the second that shown.
_FIELD_ORDERS: dict[int, FieldOrder] = {2: "top", 3: "bottom", 4: "bottom", 5: "top"}
_FULL_RANGE = 2


@dataclass(frozen=True, kw_only=True)
class FirstLook:
    """What a file's pictures are like."""

    field_order: FieldOrder | None = None
    """Order of the fields of an interlaced file; None for progressive pictures, whatever the file says."""
    hdr: HdrColour | None = None
    """Colour of an HDR file."""
    area: Area | None = None
    """Area inside black bars, in pixels as stored, before rotation; None without bars."""


@dataclass(kw_only=True, eq=False)
class _Evidence:
    """What the pictures so far have shown."""

    declared_order: FieldOrder | None = None
    """Order of the fields as the stream declares it; None if it declares progressive pictures or nothing."""
    hdr: HdrColour | None = None
    """Colour of HDR pictures."""
    lit: list[LitShares] = field(default_factory=list)
    """What of each picture is not black; those of another size than the first are left out."""
    combed: list[bool] = field(default_factory=list)
    """Whether each picture is combed."""
    is_flagged: bool = False
    """Whether the stream or a picture is declared interlaced."""
    num_runs: int = 0
    """How often several pictures in a row were decoded."""
    pairs: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    """Luma of combed pictures and the next ones."""

    def declare(self, codec: Any) -> None:
        """Take in what the stream says."""
        self.declared_order = _FIELD_ORDERS.get(int(getattr(codec, "field_order", 0)))  # PyAV 14 lacks it
        self.is_flagged = self.declared_order is not None

    @property
    def needs_more(self) -> bool:
        """Whether more pictures could show something to prepare."""
        return self.is_flagged or any(self.combed) or may_have_bars(self.lit)

    def add(self, pictures: Sequence[Any], pts_P: np.ndarray) -> None:
        """Take in pictures that were decoded one after another; ``pts_P`` as in ``VideoIndex``."""
        previous: tuple[int, np.ndarray] | None = None
        for picture in pictures:
            luma_HW, black = luma_of(picture)
            shares = lit_shares(luma_HW, black)
            if not self.lit or shares.size == self.lit[0].size:
                self.lit.append(shares)
            self.is_flagged |= bool(picture.interlaced_frame)
            self.hdr = self.hdr or hdr_colour(int(picture.color_trc), int(picture.color_primaries))
            combed = is_combed(luma_HW)
            self.combed.append(combed)
            rank = -1 if picture.pts is None else int(np.searchsorted(pts_P, picture.pts))
            is_next = previous is not None and previous[0] + 1 == rank and previous[1].shape == luma_HW.shape
            if combed and is_next and previous is not None and len(self.pairs) < _MAX_PAIRS:
                self.pairs.append((previous[1], luma_HW))
            previous = rank, luma_HW

    def field_order(self) -> FieldOrder | None:
        """Order of the fields; None if the pictures are progressive."""
        num_combed = sum(self.combed)
        least = _MIN_COMBED_FLAGGED if self.is_flagged else _MIN_COMBED_UNFLAGGED
        if num_combed < max(_MIN_COMBED_PICTURES, least * len(self.combed)):
            return None
        # Where the file declares nothing, the order must show as well: fine lines that stand still look like combs.
        fallback: FieldOrder | None = (self.declared_order or "top") if self.is_flagged else None
        return measured_order(self.pairs) or fallback


def take_first_look(index: VideoIndex) -> FirstLook:
    """Look at a file; see the module."""
    evidence = _Evidence()
    segments = _spread_segments(index, _THOROUGH)
    quick = segments[:: max(1, len(segments) // _QUICK)]
    with suppress(VideoError):  # a file that cannot be read on: its reader reports it
        source = PacketSource(index)
        try:
            evidence.declare(source.stream.codec_context)
            _look_at(source, index, quick, evidence)
            if evidence.needs_more:
                _look_at(source, index, [segment for segment in segments if segment not in quick], evidence)
                if len(segments) < _QUICK and may_have_bars(evidence.lit):
                    _look_at_all(source, index, evidence)
        finally:
            source.close()
    # With few keyframes in a long file, most of it was not seen: what looks like a bar may not stay.
    has_seen_all = len(segments) >= _QUICK or index.num_packets <= _MAX_PACKETS
    area = area_without_bars(evidence.lit) if has_seen_all else None
    return FirstLook(field_order=evidence.field_order(), hdr=evidence.hdr, area=area)


def look_at_start(path: Path, video_stream: int | None = None) -> FirstLook:
    """The order of fields by the first pictures, for a file that cannot be indexed; nothing else is looked at.

    Raises:
        VideoError: the file cannot be opened, or holds no such stream.
    """
    import av

    evidence = _Evidence()
    pictures: list[Any] = []
    with open_container(path) as container, suppress(av.error.FFmpegError, *demux_errors()):
        stream = select_stream(container, path, number=video_stream)
        evidence.declare(stream.codec_context)
        for picture in container.decode(stream):
            pictures.append(picture)
            if len(pictures) >= _MAX_PICTURES_AT_START:
                break
    evidence.add(pictures, np.sort(np.array([p.pts for p in pictures if p.pts is not None], dtype=np.int64)))
    return FirstLook(field_order=evidence.field_order())


def _spread_segments(index: VideoIndex, count: int) -> list[int]:
    """Segments at even distances in time: 24 of a match, each one of a file with fewer."""
    ranks = (np.arange(count) + 0.5) * index.num_pictures / count
    return sorted({index.segment_of(int(rank)) for rank in ranks})


def _look_at(source: PacketSource, index: VideoIndex, segments: Sequence[int], evidence: _Evidence) -> None:
    """Decode the first picture of each segment, or the first few where the order of fields is to be measured."""
    for segment in segments:
        first = int(index.start_packet_S[segment])
        wants_pairs = (evidence.is_flagged or any(evidence.combed)) and evidence.num_runs < _MAX_RUNS
        evidence.num_runs += int(wants_pairs)
        end = min(first + (_PACKETS_OF_RUN if wants_pairs else 1), index.num_packets)
        evidence.add(list(_decoded(source, first, end)), index.pts_P)


def _look_at_all(source: PacketSource, index: VideoIndex, evidence: _Evidence) -> None:
    """Decode a short file completely, and look at pictures at even distances."""
    if index.num_packets <= _MAX_PACKETS:
        pictures = _decoded(source, int(index.start_packet_S[0]), index.num_packets)
        for picture in islice(pictures, 0, None, max(1, index.num_pictures // _THOROUGH)):
            evidence.add([picture], index.pts_P)


def _decoded(source: PacketSource, first: int, end: int) -> Iterator[Any]:
    """The pictures of packets ``first`` to ``end``, exclusive, in display order; those that decode."""
    import av

    source.go_to(first)  # may open the file again, with another codec context
    codec = source.stream.codec_context
    codec.flush_buffers()
    for _, packet in source.read(first, end):
        with suppress(av.error.FFmpegError):
            yield from codec.decode(packet)
    with suppress(av.error.FFmpegError):
        yield from codec.decode(None)
    codec.flush_buffers()


def luma_of(picture: Any) -> tuple[np.ndarray, int]:
    """Luma of a decoded picture.

    Returns:
        uint8 ``luma_HW``, 10 bits and more scaled down; and the level of black, 16 or 0.
    """
    name, component = picture.format.name, picture.format.components[0]
    is_full_range = int(picture.color_range) == _FULL_RANGE or name.startswith("yuvj")
    if not name.startswith(("yuv", "nv12", "nv21")) or name.endswith("be") or not picture.format.is_planar:
        picture = picture.reformat(format="gray")
        component = picture.format.components[0]
        is_full_range = False  # the darker of the two possible blacks counts as black as well
    plane = picture.planes[0]
    wide = component.bits > 8
    samples = np.frombuffer(plane, dtype="<u2" if wide else np.uint8)
    luma_HW = samples.reshape(plane.height, -1)[:, : plane.width]
    if wide:
        luma_HW = (luma_HW >> (component.bits - 8)).astype(np.uint8)
    return luma_HW, 0 if is_full_range else 16

"""Write MP4 files box by box: edit lists with several entries, tracks with several sample descriptions.

FFmpeg's muxer writes neither; programs that cut without encoding, and cameras, write both.
Box layouts: ISO/IEC 14496-12.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path

import av

TIMESCALE = 25
"""Ticks a second of movie and track: one tick is one picture."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A coded picture as it is stored."""

    data: bytes
    """Its bytes."""
    offset: int
    """Ticks from decoding to display."""
    is_keyframe: bool
    """Whether the sync sample table lists it."""
    description: int = 1
    """Number of its entry in the table of sample descriptions, from 1."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """An entry of the table of sample descriptions (``stsd``)."""

    header: bytes
    """The codec's header: AVCDecoderConfigurationRecord, HEVCDecoderConfigurationRecord, ..."""
    size: tuple[int, int]
    """Width and height."""
    entry_name: str = "avc1"
    """Name of the entry: ``avc1``, ``avc3``, ``hvc1``."""
    header_name: str = "avcC"
    """Name of the box that holds the header."""


def read_samples(path: Path, description: int = 1) -> list[Sample]:
    """Samples of a file with 25 pictures a second."""
    samples = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.size:
                offset = round((packet.pts - packet.dts) * packet.time_base * TIMESCALE)
                samples.append(
                    Sample(data=bytes(packet), offset=offset, is_keyframe=packet.is_keyframe, description=description)
                )
    return samples


def read_header(path: Path) -> bytes:
    """The codec's header of a file."""
    with av.open(str(path)) as container:
        return bytes(container.streams.video[0].codec_context.extradata or b"")


def read_box(path: Path, name: str) -> bytes:
    """Content of the first box of this name."""
    data = path.read_bytes()
    start = data.find(name.encode())
    return data[start + 4 : start - 4 + int.from_bytes(data[start - 4 : start], "big")]


def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """State in the header of the first track how a player turns its pictures: (a, b, c, d) of the display matrix."""
    data = bytearray(path.read_bytes())
    first = data.find(b"tkhd") + 44  # of a header of version 0
    a, b, c, d = (value << 16 for value in matrix)
    data[first : first + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def metadata_first(path: Path) -> None:
    """Move the metadata of an MP4 before its tracks, as some taggers write it: the cover becomes stream 0."""
    data = path.read_bytes()
    ((_, start, end),) = [box for box in _boxes(data, 0, len(data)) if box[0] == b"moov"]
    children = sorted(_boxes(data, start + 8, end), key=lambda box: box[0] != b"udta")
    path.write_bytes(data[: start + 8] + b"".join(data[a:b] for _, a, b in children) + data[end:])


def _boxes(data: bytes, start: int, end: int) -> list[tuple[bytes, int, int]]:
    """(name, start, end) of the boxes between two offsets."""
    boxes = []
    while start < end:
        length = int.from_bytes(data[start : start + 4], "big")
        boxes.append((data[start + 4 : start + 8], start, start + length))
        start += length
    return boxes


def write_mp4(
    path: Path,
    samples: Sequence[Sample],
    descriptions: Sequence[Description],
    edits: Sequence[tuple[int, int]] = (),
) -> Path:
    """Write a file with one video track.

    Args:
        path: The file.
        samples: Coded pictures in decoding order, one tick each.
        descriptions: Entries of the table of sample descriptions.
        edits: (first tick, end) of the track, shown one after the other; -1 as the first tick shows nothing for ``end``
            ticks. These are display times, so with B-frames the first picture is not at tick 0. Without any, there is
            no edit list.
    """
    data = b"".join(sample.data for sample in samples)
    head = _box("ftyp", b"isom", _u32(512), b"isomiso2avc1mp41")
    first_byte = len(head) + 8
    length = len(samples)
    shown = sum(end if first < 0 else end - first for first, end in edits) or length
    track = _box(
        "trak",
        _full_box("tkhd", 3, 0, 0, 1, 0, shown, 0, 0, 0, 0, _MATRIX, *(v << 16 for v in descriptions[0].size)),
        _edit_list(edits) if edits else b"",
        _box(
            "mdia",
            _full_box("mdhd", 0, 0, 0, TIMESCALE, length, 0x55C40000),
            _full_box("hdlr", 0, 0, b"vide", 0, 0, 0, b"video\0"),
            _box(
                "minf",
                _full_box("vmhd", 1, 0, 0),
                _box("dinf", _full_box("dref", 0, 1, _full_box("url ", 1))),
                _sample_table(samples, descriptions, first_byte),
            ),
        ),
    )
    movie_header = (0, 0, TIMESCALE, shown, 0x10000, 0x01000000, 0, 0, _MATRIX, 0, 0, 0, 0, 0, 0, 2)
    movie = _box("moov", _full_box("mvhd", 0, *movie_header), track)
    path.write_bytes(head + _box("mdat", data) + movie)
    return path


_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def _sample_table(samples: Sequence[Sample], descriptions: Sequence[Description], first_byte: int) -> bytes:
    # One chunk for each run of samples with the same description.
    runs = [(number, len(list(run))) for number, run in groupby(sample.description for sample in samples)]
    starts = [0, *accumulate(count for _, count in runs)]
    bytes_before = [0, *accumulate(len(sample.data) for sample in samples)]
    keyframes = [number for number, sample in enumerate(samples, 1) if sample.is_keyframe]
    to_chunk = [v for chunk, (number, count) in enumerate(runs, 1) for v in (chunk, count, number)]
    return _box(
        "stbl",
        _full_box("stsd", 0, len(descriptions), *(_visual_sample_entry(entry) for entry in descriptions)),
        _full_box("stts", 0, 1, len(samples), 1),
        _full_box("ctts", 0, len(samples), *(v for sample in samples for v in (1, sample.offset))),
        _full_box("stss", 0, len(keyframes), *keyframes),
        _full_box("stsc", 0, len(runs), *to_chunk),
        _full_box("stsz", 0, 0, len(samples), *(len(sample.data) for sample in samples)),
        _full_box("stco", 0, len(runs), *(first_byte + bytes_before[start] for start in starts[:-1])),
    )


def _visual_sample_entry(entry: Description) -> bytes:
    return _box(
        entry.entry_name,
        struct.pack(">6xH16x2H2I4xH32xHh", 1, *entry.size, 0x480000, 0x480000, 1, 24, -1),
        _box(entry.header_name, entry.header),
    )


def _edit_list(edits: Sequence[tuple[int, int]]) -> bytes:
    rows = [(end, 0xFFFFFFFF) if first < 0 else (end - first, first) for first, end in edits]
    return _box("edts", _full_box("elst", 0, len(rows), *(v for row in rows for v in (*row, 0x10000))))


def _u32(value: int) -> bytes:
    return struct.pack(">I", value)


def _box(name: str, *content: bytes) -> bytes:
    body = b"".join(content)
    return _u32(8 + len(body)) + name.encode() + body


def _full_box(name: str, flags: int, *content: int | bytes) -> bytes:
    """A box with version 0 and flags; numbers take four bytes."""
    return _box(name, _u32(flags), *(_u32(value) if isinstance(value, int) else value for value in content))

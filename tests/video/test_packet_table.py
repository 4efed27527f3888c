import dataclasses
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.video import demux
from e2espot.video.demux import Scan, scan_video
from e2espot.video.keyframes import is_h264_keyframe, may_be_h264_keyframe
from e2espot.video.packet_columns import NO_PTS
from tests.support.numbered_video import constant, remux, write

COUNT = 90
"""Pictures of most files: more than are compared."""


def video(**more: Any) -> Callable[[Path], Path]:
    return lambda folder: write(folder / "video", constant(Fraction(25), COUNT, **more))


def shifted(folder: Path) -> Path:
    source = video(options={"g": "30", "bf": "0"})(folder)
    return remux(source, folder / "shifted.mp4", shift=-10 * 512)


X264 = {"g": "12", "bf": "2", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"}
VPX = {"deadline": "realtime", "cpu-used": "8", "g": "20"}
HIDDEN = {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16", "g": "30"}
LISTED = {
    "closed groups": video(options={"g": "12", "bf": "0"}),
    "open groups": video(options=X264),
    "access unit delimiters": video(options={"g": "12", "x264-params": "aud=1"}),
    "timing in every packet": video(options={"g": "12", "x264-params": "nal-hrd=vbr:vbv-maxrate=900:vbv-bufsize=900"}),
    "tables first": video(container_options={"movflags": "faststart"}),
    "no edit list": video(container_options={"use_editlist": "0"}),
    "hidden start": shifted,
    "shorter than what is compared": lambda folder: write(folder / "short", constant(Fraction(25), 7)),
    "VP9": video(codec="libvpx-vp9", suffix=".webm", options=VPX),
    "VP9 with hidden pictures": video(codec="libvpx-vp9", suffix=".webm", options=HIDDEN),
}


def assert_same_scan(path: Path) -> None:
    """The container's tables and its packets give the same index, or the same error."""
    scans: list[Scan | str] = []
    for use_tables in (True, False):
        try:
            scans.append(scan_video(path, use_tables=use_tables))
        except VideoError as error:
            scans.append(str(error))
    by_table, by_packets = scans
    if isinstance(by_table, str) or isinstance(by_packets, str):
        assert by_table == by_packets
        return
    for field in dataclasses.fields(Scan):
        listed, demuxed = getattr(by_table, field.name), getattr(by_packets, field.name)
        if field.name == "dts_M":  # where FFmpeg gives none, the display time stands in
            listed, demuxed = (np.where(dts_M == NO_PTS, by_packets.pts_M, dts_M) for dts_M in (listed, demuxed))
        assert np.array_equal(listed, demuxed), field.name


@pytest.mark.parametrize("name", LISTED)
def test_scan_video_lists_packets_as_ffmpeg_gives_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = LISTED[name](tmp_path)
    assert_same_scan(path)

    def refuse(*_: Any) -> None:
        raise AssertionError("demuxed every packet")

    monkeypatch.setattr(demux, "_demuxed_rows", refuse)
    scan_video(path)


def moved_box(path: Path, box: bytes, offset: int, value: int) -> Path:
    """A copy whose box holds ``value`` as the 4 bytes at ``offset`` of its content."""
    data = bytearray(path.read_bytes())
    at = data.index(box) + 4 + offset
    data[at : at + 4] = value.to_bytes(4, "big")
    copy = path.with_stem("moved")
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize(
    ("box", "offset", "value"),
    [
        (b"stss", 12, 30),  # the second keyframe is not where the table says
        (b"stss", 4, 2),  # only two of the keyframes are in the table
        (b"stsz", 12 + 4 * 60, 9000),  # a packet that is larger than what follows it
        (b"stts", 12, 0),  # no time from packet to packet
        (b"ctts", 4, 3),  # offsets for the first few packets only
        (b"stco", 8, 60),  # other bytes
        (b"elst", 12, 700),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else str(value),
)
def test_scan_video_takes_ffmpegs_word_over_odd_tables(box: bytes, offset: int, value: int, tmp_path: Path) -> None:
    assert_same_scan(moved_box(LISTED["open groups"](tmp_path), box, offset, value))


@pytest.mark.parametrize(("offset", "new"), [(0, 0xC9), (0, 0x01), (-1, 0xFF), (3, 0x06), (1, 0xC6)])
def test_scan_video_takes_ffmpegs_word_over_odd_blocks(offset: int, new: int, tmp_path: Path) -> None:
    path = LISTED["VP9"](tmp_path)
    data = bytearray(path.read_bytes())
    # The block of picture 70, 2,800 ms from the beginning:  A3 A4 | 81 | 0A F0 | 00 | ...
    data[data.index(b"\x81\x0a\xf0\0") + offset] = new
    path.write_bytes(data)
    assert_same_scan(path)


def test_scan_video_demuxes_live_matroska(tmp_path: Path) -> None:
    options = {"live": "1"}
    assert_same_scan(video(codec="libvpx-vp9", suffix=".webm", options=VPX, container_options=options)(tmp_path))


SLICE, IDR, DELIMITER = b"\0\0\0\2\x41\x9a", b"\0\0\0\2\x65\x88", b"\0\0\0\2\x09\x30"
RECOVERY, TIMING = b"\0\0\0\4\x06\x06\x01\xc4", b"\0\0\0\4\x06\x01\x01\x04"
LONG_MESSAGE = b"\0\0\1\x07\x06\x05\xff\1" + bytes([9]) * 256 + b"\x06\x01\xc4"


@pytest.mark.parametrize(
    ("packet", "is_asked", "is_keyframe"),
    [
        (SLICE, False, None),
        (DELIMITER + SLICE, False, None),
        (IDR, True, True),
        (DELIMITER + IDR, True, True),
        (TIMING + SLICE, True, False),
        (RECOVERY + SLICE, True, True),
        (RECOVERY, True, False),  # no picture
        (TIMING + RECOVERY + SLICE, True, True),
        (LONG_MESSAGE + SLICE, True, True),
        (SLICE + b"\0", False, None),
        (b"\0\0\0\x63" + SLICE[4:], True, None),  # longer than the packet
    ],
)
def test_h264_keyframes_are_those_of_ffmpegs_parser(packet: bytes, is_asked: bool, is_keyframe: bool | None) -> None:
    head = np.frombuffer(packet.ljust(48, b"\0")[:48], dtype=np.uint8)
    assert may_be_h264_keyframe(head[None], np.array([len(packet)]), 4).tolist() == [is_asked]
    if is_asked:
        assert is_h264_keyframe(memoryview(packet), 4) is is_keyframe

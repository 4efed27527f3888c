"""On a coarser grid, H.264 pictures that nothing refers to are not decoded, and nothing else changes."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.video import index_video, open_reader
from e2espot.video.index import VideoIndex, pictures_of_grid
from e2espot.video.packets import PacketSource
from e2espot.video.unneeded_pictures import UnneededPictures, is_disposable
from tests.support.numbered_video import constant, numbers_in, write

COUNT, HALF_RATE = 60, Fraction(25, 2)
# I0 b1 b2 P3 b4 b5 P6 ...
OPTIONS = {"g": "30", "x264-params": "bframes=2:b-adapt=0:b-pyramid=none:scenecut=0:keyint=30:min-keyint=30:open-gop=1"}


@pytest.fixture(scope="module", params=[".mp4", ".mkv", ".ts"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unneeded")
    return write(folder / "a", constant(Fraction(25), COUNT, suffix=request.param, options=OPTIONS))


def left_out(index: VideoIndex, ranks: np.ndarray) -> list[int]:
    """Ranks of the pictures that are left out where ``ranks`` are wanted."""
    source = PacketSource(index)
    unneeded = UnneededPictures(index, ranks, source.stream.codec_context.extradata or b"")
    packets = [number for number, packet in source.read(0, index.num_packets) if unneeded.can_leave_out(number, packet)]
    source.close()
    return sorted(np.flatnonzero(np.isin(index.packet_P, packets)).tolist())


def spoil(path: Path, index: VideoIndex, ranks: list[int]) -> Path:
    """A copy of the file in which the slices of some pictures are unreadable, and still pictures by their headers."""
    data = bytearray(path.read_bytes())
    source = PacketSource(index)
    numbers = index.packet_P[ranks].tolist()
    for number, packet in source.read(0, index.num_packets):
        if number in numbers:
            content = bytes(packet)
            start = data.index(content)
            data[start + 5 : start + len(content)] = b"\xff" * (len(content) - 5)
    source.close()
    target = path.with_stem(f"spoilt{'_'.join(map(str, ranks))}")
    target.write_bytes(data)
    return target


def test_pictures_that_others_refer_to_are_never_left_out(path: Path) -> None:
    index = index_video(path)
    wanted = pictures_of_grid(index, HALF_RATE)
    assert wanted.tolist() == list(range(1, COUNT, 2))
    # Every third picture of a group of 30 is referred to.
    assert left_out(index, wanted) == [rank for rank in range(0, COUNT, 2) if rank % 30 % 3]
    assert left_out(index, np.arange(COUNT)) == []


def test_frames_of_half_the_rate_equal_those_of_the_full_one(path: Path) -> None:
    with open_reader(path) as full, open_reader(path, fps=HALF_RATE) as half:
        expected = full.read(range(1, COUNT, 2))
        assert np.array_equal(half.read(range(COUNT // 2)), expected)
        assert numbers_in(expected) == list(range(1, COUNT, 2))
        for frame in (25, 3, 14, 15, 16, 0):
            assert np.array_equal(half.read([frame])[0], expected[frame])
        assert half.is_reliable(range(COUNT // 2)).all()


@pytest.mark.parametrize("path", [".mp4"], indirect=True)
def test_picture_before_a_damaged_one_is_held_though_it_was_left_out(path: Path) -> None:
    spoilt = spoil(path, index_video(path), [5])
    with open_reader(spoilt) as full, open_reader(spoilt, fps=HALF_RATE) as half:
        assert numbers_in(full.read([4, 5, 7])) == [4, 4, 7]
        for frames in ([2, 3], [3], [2]):
            assert numbers_in(half.read(frames)) == [{2: 4, 3: 7}[frame] for frame in frames]
        assert half.is_reliable([1, 2, 3]).tolist() == [True, False, False]


@pytest.mark.parametrize("path", [".mp4"], indirect=True)
def test_damage_of_a_picture_that_is_left_out_concerns_no_other(path: Path) -> None:
    spoilt = spoil(path, index_video(path), [4, 11])
    with open_reader(spoilt, fps=HALF_RATE) as half:
        before = half.is_reliable([3]) if numbers_in(half.read([3])) == [7] else None
        assert numbers_in(half.read([5])) == [10], "held in place of 11, for which everything is decoded"
        half.read([3])
        assert before is not None
        assert before.tolist() == half.is_reliable([3]).tolist() == [True]


@pytest.mark.parametrize(
    ("units", "disposable"),
    [
        ([0x01], True),  # a slice of reference priority 0
        ([0x09, 0x06, 0x01, 0x01], True),  # delimiter, messages, two slices
        ([0x41], False),  # priority 2
        ([0x65], False),  # IDR
        ([0x01, 0x41], False),  # two fields, the second of which is referred to
        ([0x67, 0x68, 0x01], False),  # parameters that later pictures need
        ([0x01, 0x74], False),  # another view
        ([0x06], False),  # no picture
    ],
)
def test_is_disposable_reads_every_unit_of_a_packet(units: list[int], disposable: bool) -> None:
    prefixed = b"".join(b"\0\0\0\x03" + bytes([unit, 0x88, 0x80]) for unit in units)
    marked = b"".join(b"\0\0\x01" + bytes([unit, 0x88, 0x80]) for unit in units)
    assert is_disposable(prefixed, 4) is is_disposable(marked, 0) is disposable

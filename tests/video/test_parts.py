"""A match in several files: frame i of the match is frame i, whatever file it is in and however it is read."""

import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.video import HostBackend, indexes_of, open_reader, parts_of, probe, stream_frames
from e2espot.video.clock_gaps import seen_frames
from e2espot.video.index import frames_of_file, pictures_of_grid
from e2espot.video.parts import stem_of
from tests.support.numbered_video import Video, constant, numbers_in, overwrite_packets, write

PARTS = (
    constant(Fraction(30000, 1001), 50, options={"g": "12"}),
    constant(Fraction(25), 33, suffix=".mkv", size=(320, 180), options={"g": "10", "bf": "0"}),
    Video(stamps=tuple(range(7, 7 + 17 * 61, 61)), time_base=Fraction(1, 1000)),
)
"""None lasts a whole number of frames at 25 fps: 1.668, 1.32 and 1.037 s; the last one begins late."""
LENGTHS_S = (50 * Fraction(1001, 30000), 33 * Fraction(1, 25), 17 * Fraction(61, 1000))
SIZE = (160, 96)


def write_parts(folder: Path) -> str:
    names = [write(folder / f"GX0{number}", part) for number, part in enumerate(PARTS, start=1)]
    return "+".join(str(name) for name in names)


@pytest.fixture(scope="module")
def match(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_parts(tmp_path_factory.mktemp("match"))


def shown(fps: Fraction) -> list[int]:
    """Number in each frame, by the definition: the picture of the joined pictures on show at (k + 1/2) / fps."""
    starts: list[tuple[Fraction, int]] = []
    begin = Fraction(0)
    for part, length_s in zip(PARTS, LENGTHS_S, strict=True):
        starts += [
            (begin + (stamp - part.stamps[0]) * part.time_base, number) for number, stamp in enumerate(part.stamps)
        ]
        begin += length_s
    numbers, k = [], 0
    while (middle_s := (k + Fraction(1, 2)) / fps) < begin:
        numbers.append(max((start, number) for start, number in starts if start <= middle_s)[1])
        k += 1
    return numbers


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(25, 2), Fraction(30000, 1001), Fraction(50)])
@pytest.mark.parametrize("reader", ["auto", "decord"])
def test_frames_of_a_match_in_several_files_are_those_of_one_clock(
    reader: HostBackend, fps: Fraction, match: str
) -> None:
    wanted = shown(fps)
    info = probe(match, fps)
    assert info.num_frames == len(wanted)
    assert info.num_pictures == 100
    assert info.duration_s == sum(LENGTHS_S)
    with open_reader(match, fps=fps, size=SIZE, reader=reader) as opened:
        assert numbers_in(opened.read(range(len(wanted)))) == wanted
        mixed = np.random.default_rng(3).integers(0, len(wanted), 60).tolist()
        assert numbers_in(opened.read(mixed)) == [wanted[frame] for frame in mixed]
        for frame in mixed[:12]:
            assert numbers_in(opened.read([frame, frame])) == [wanted[frame]] * 2
        assert opened.is_reliable(mixed).all()
        with pytest.raises(IndexError, match=f"frame {len(wanted)} asked for"):
            opened.read([0, len(wanted)])
    for in_process in (True, False):
        chunks = list(stream_frames(match, fps=fps, size=SIZE, reader=reader, chunk_len=16, in_process=in_process))
        assert [after.first_frame - before.first_frame for before, after in pairwise(chunks)] == [
            len(chunk.frames_THWC) for chunk in chunks[:-1]
        ]
        assert numbers_in(np.concatenate([chunk.frames_THWC for chunk in chunks])) == wanted
    first, stop = 30, len(wanted) - 5
    part = stream_frames(match, fps=fps, size=SIZE, reader=reader, start=first, stop=stop, in_process=True)
    assert numbers_in(np.concatenate([chunk.frames_THWC for chunk in part])) == wanted[first:stop]


def test_without_a_size_all_frames_have_that_of_the_first_file(match: str) -> None:
    with open_reader(match) as reader:
        frames_THWC = reader.read([60, 3, 70])
    assert frames_THWC.shape == (3, 96, 160, 3)


def test_frames_of_files_follow_each_other_without_gap_or_overlap_at_any_rate(match: str) -> None:
    indexes = indexes_of(match)
    for fps in (Fraction(25), Fraction(7), Fraction(1001, 7), Fraction(10**9, 7)):
        ranges = [frames_of_file(index, fps) for index in indexes]
        assert ranges[0].start == 0
        assert all(before.stop == after.start for before, after in pairwise(ranges))
        if fps < 1000:
            for index, frames in zip(indexes, ranges, strict=True):
                pictures_K = pictures_of_grid(index, fps)
                assert len(pictures_K) == len(frames)
                assert pictures_K.min() >= 0
                assert pictures_K.max() < index.num_pictures


def test_frames_that_do_not_decode_are_counted_on_the_clock_of_the_match(tmp_path: Path) -> None:
    first = write(tmp_path / "a", constant(Fraction(30), 50))
    second = write(tmp_path / "b", constant(Fraction(25), 120, options={"g": "40", "bf": "0"}))
    overwrite_packets(second, slice(40, 80))
    missing: list[range] = []
    chunks = list(stream_frames(f"{first}+{second}", missing=missing, chunk_len=10))
    start = frames_of_file(indexes_of(f"{first}+{second}")[1], Fraction(25)).start
    assert start == 42  # 50 / 30 s are 41.67 frames
    # Frame k of the match is at (k + 1/2) / 25 s; pictures 40 to 79 of the second file are lost; 39 is held for 1 s.
    picture_K = [math.floor(k + Fraction(1, 2) - Fraction(50 * 25, 30)) for k in range(start + 120)]
    lost = [k for k, number in enumerate(picture_K) if 39 + 25 < number < 80]
    assert [frame for gap in missing for frame in gap] == lost
    assert not np.concatenate([chunk.frames_THWC for chunk in chunks])[lost].any()


def test_a_file_whose_name_holds_a_plus_is_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "a+b"
    folder.mkdir()
    for name in ("one+two.mp4", "one", "two.mp4", "three.mp4", "+.mp4"):
        (folder / name).write_bytes(b"x")
    assert parts_of(folder / "one+two.mp4") == (folder / "one+two.mp4",)
    assert parts_of(f"{folder}/one+two.mp4+three.mp4") == (folder / "one+two.mp4", folder / "three.mp4")
    assert parts_of(f"{folder}/two.mp4+{folder}/three.mp4") == (folder / "two.mp4", folder / "three.mp4")
    assert parts_of(f"{folder}/two.mp4+one+two.mp4") == (folder / "two.mp4", folder / "one+two.mp4")
    assert parts_of(f"{folder}/three.mp4++.mp4") == (folder / "three.mp4", folder / "+.mp4")
    assert parts_of(folder) == (folder,)
    assert parts_of(folder / "missing+.mp4") == (folder / "missing+.mp4",)
    assert stem_of(f"{folder}/two.mp4+three.mp4") == "two+three"
    assert stem_of(folder / "one+two.mp4") == "one+two"


def test_a_missing_or_broken_part_is_named_in_one_line(tmp_path: Path) -> None:
    first = write(tmp_path / "a", constant(Fraction(25), 100, suffix=".mkv"))
    second = write(tmp_path / "b", constant(Fraction(25), 100, suffix=".mkv"))
    with pytest.raises(VideoError, match=r"there is no file .*c\.mkv; name every file"):
        probe(f"{first}+c.mkv")
    with pytest.raises(VideoError, match=r"nothing\.mkv.*No such file"):
        probe(tmp_path / "nothing.mkv+c.mkv")
    for broken in (first, second):
        whole = broken.read_bytes()
        broken.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(VideoError, match=f"{broken.name}: breaks off after"):
            probe(f"{first}+{second}")
        if broken is first:
            with pytest.raises(VideoError, match=r"a.mkv: breaks off, so it is not known when b.mkv goes on"):
                probe(f"{first}+{second}", allow_truncated=True)
        else:
            info = probe(f"{first}+{second}", allow_truncated=True)
            assert info.truncated
            assert info.declared_duration_s == 8
            assert 100 < info.num_frames < 200
        broken.write_bytes(whole)


@pytest.mark.parametrize(("group", "cut_at", "is_seen"), [(12, 0.5, True), (60, 0.2, False)])
def test_the_clock_of_a_recording_that_was_cut_by_its_size_goes_on(
    group: int, cut_at: float, is_seen: bool, tmp_path: Path
) -> None:
    whole = write(tmp_path / "match", constant(Fraction(25), 120, suffix=".ts", options={"g": str(group), "bf": "2"}))
    data = whole.read_bytes()
    cut = int(len(data) * cut_at) // 188 * 188
    parts = [whole.with_name(f"0000{number}.MTS") for number in (1, 2)]
    for part, half in zip(parts, (data[:cut], data[cut:]), strict=True):
        part.write_bytes(half)
    path = "+".join(map(str, parts))
    first, second = indexes_of(path)
    begins = frames_of_file(second, Fraction(25)).start
    assert probe(path, Fraction(25)).num_frames == 120
    with open_reader(path, size=SIZE) as reader:
        numbers = numbers_in(reader.read([*range(6), begins - 1, *range(begins, 120)]))
    assert numbers == [*range(6), numbers[6], *range(begins, 120)]
    assert numbers[6] < begins  # held since the cut, which counts as not seen from a second on
    assert seen_frames(first, Fraction(25)).all() == is_seen

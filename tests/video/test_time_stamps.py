"""Time stamps that repeat are accepted; a clock that goes back is refused when the file is indexed."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.video import index_video, open_reader, stream_frames
from tests.support.numbered_video import constant, numbers_in, write

COUNT, STEP = 200, 90_000 // 25


def encode(folder: Path, *, bf: int, gop: int = 25) -> Path:
    options = {"g": str(gop), "bf": str(bf), "x264-params": "scenecut=0:b-adapt=0"}
    return write(folder / "plain", constant(Fraction(25), COUNT, size=(96, 64), options=options))


def copy(source: Path, target: Path, packets: range, shift_of_packet: dict[int, int], shift: int = 0) -> Path:
    """Copy packets; shifts are in pictures of 1/25 s: ``shift`` for all stamps, and more for single display times."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        step = round(Fraction(1, 25) / stream.time_base)
        written: Any = new.add_stream_from_template(stream)
        for number, packet in enumerate(old.demux(stream)):
            if packet.size and number in packets:
                packet.pts += (shift + shift_of_packet.get(number, 0)) * step
                packet.dts = min(packet.dts + shift * step, packet.pts)
                packet.stream = written
                new.mux(packet)
    return target


@pytest.mark.parametrize("bf", [0, 2])
@pytest.mark.parametrize("reader", ["auto", "decord"])
def test_reader_shows_the_later_picture_of_a_repeated_time_stamp(reader: Any, bf: int, tmp_path: Path) -> None:
    path = copy(encode(tmp_path, bf=bf), tmp_path / "repeated.mkv", range(COUNT), {60: -1})
    index = index_video(path)
    repeated = int(np.flatnonzero(np.diff(index.pts_P) == 0)[0])
    assert index.num_pictures == COUNT
    # Pictures 59 and 60 begin together: frame 59 shows 60, and so does frame 60, until 61 begins.
    wanted = [number + (number == repeated) for number in range(COUNT)]
    with open_reader(path, reader=reader) as frames:
        assert numbers_in(frames.read(range(COUNT))) == wanted
        jumps = np.random.default_rng(0).integers(0, COUNT, 30).tolist()
        for frame in [*jumps, repeated + 1, repeated, repeated - 1]:
            assert numbers_in(frames.read([frame])) == [wanted[frame]]
    chunks = list(stream_frames(path, reader=reader, in_process=True))
    assert numbers_in(np.concatenate([chunk.frames_THWC for chunk in chunks])) == wanted


@pytest.mark.parametrize("gop", [25, 999])
@pytest.mark.parametrize("bf", [0, 2])
@pytest.mark.parametrize("back_s", [0.2, 1.2, 2, 3.5])
def test_index_refuses_a_clock_that_goes_back(back_s: float, bf: int, gop: int, tmp_path: Path) -> None:
    plain = encode(tmp_path, bf=bf, gop=gop)
    first = copy(plain, tmp_path / "first.ts", range(100), {}, 25)
    second = copy(plain, tmp_path / "second.ts", range(100, COUNT), {}, 25 - round(25 * back_s))
    path = tmp_path / "reconnected.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    for read in (index_video, open_reader, lambda path: next(stream_frames(path))):
        with pytest.raises(
            VideoError, match=r"time stamps jump back after 0:00:0(3\.9|4\.0)\d\d, at picture 1\d\d;"
        ) as caught:
            read(path)  # type: ignore[operator]
        assert "\n" not in str(caught.value)
        assert int(str(caught.value).split("picture ")[1].split(";")[0]) in range(100, 104)


def test_pictures_of_a_program_stream_are_right_in_any_order(tmp_path: Path) -> None:
    options = {"g": "12", "bf": "0"}
    video = write(tmp_path / "dvd", constant(Fraction(25), 200, codec="mpeg2video", suffix=".vob", options=options))
    order = [150, 84, 20, 80, 79, 199, 3]
    with open_reader(video, size=(160, 96)) as reader:
        assert [numbers_in(reader.read([rank]))[0] for rank in order] == order

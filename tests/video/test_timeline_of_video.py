"""On written files, grid frame k is the picture that a player shows at (k + 1/2) / fps."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.video import index_video, open_reader, probe, stream_frames
from e2espot.video.transcode import transcode
from tests.support.mp4_boxes import set_matrix
from tests.support.numbered_video import Video, constant, expected, number_in, numbers_in, remux, write

FAST_VP9 = {"deadline": "realtime", "cpu-used": "8", "g": "30"}
X264_OPEN = {"g": "25", "bf": "3", "x264-params": "open-gop=1:b-pyramid=normal:scenecut=0:ref=4"}
VARIABLE = tuple(np.cumsum([0, *np.random.default_rng(3).integers(5, 90, 119)]).tolist())
MISSING = tuple(k for k in range(121) if k not in (60, 61, 62, 90))

CASES = {
    "25": constant(Fraction(25), 110, options={"g": "25", "bf": "2"}),
    "24.5": constant(Fraction(49, 2), 110, options={"g": "40"}),
    "29.97": constant(Fraction(30000, 1001), 130, options={"g": "50"}),
    "50": constant(Fraction(50), 150, options={"g": "64"}),
    "59.94": constant(Fraction(60000, 1001), 170, options={"g": "60"}),
    "variable": Video(stamps=VARIABLE, time_base=Fraction(1, 1000), options={"g": "30", "bf": "3"}),
    "late start": Video(
        stamps=tuple(70 + k for k in range(90)), time_base=Fraction(1, 25), suffix=".mkv", options={"g": "30"}
    ),
    "missing pictures": Video(stamps=MISSING, time_base=Fraction(1, 25), options={"g": "50"}),
    "long group": constant(Fraction(25), 260, options={"g": "250", "bf": "3", "x264-params": "scenecut=0"}),
    "open groups": constant(Fraction(25), 120, options=X264_OPEN),
    "hevc open groups": constant(
        Fraction(25),
        100,
        codec="libx265",
        options={"x265-params": "keyint=25:min-keyint=25:open-gop=1:bframes=3:log-level=none"},
    ),
    "one key picture": constant(Fraction(25), 70, suffix=".mkv", options={"g": "999", "x264-params": "scenecut=0"}),
    "intra only": constant(Fraction(25), 40, options={"g": "1"}),
    "vp9 webm": constant(Fraction(25), 90, codec="libvpx-vp9", suffix=".webm", options=FAST_VP9),
    "vp9 mp4 29.97": constant(Fraction(30000, 1001), 90, codec="libvpx-vp9", options=FAST_VP9),
    "transport stream": constant(Fraction(50), 120, suffix=".ts", options={"g": "25", "bf": "2"}),
    "4:4:4": constant(Fraction(25), 60, pixel_format="yuv444p", options={"g": "25"}),
    "mpeg4 avi": constant(Fraction(25), 60, codec="mpeg4", suffix=".avi", options={"g": "12", "bf": "2"}),
    "mpeg2 open groups": constant(Fraction(25), 60, codec="mpeg2video", suffix=".mkv", options={"g": "12", "bf": "2"}),
}
GRIDS = [Fraction(25), Fraction(25, 2), Fraction(30000, 1001)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("written")
    return {name: write(folder / f"{turn}", video) for turn, (name, video) in enumerate(CASES.items())}


def check(path: Path, times_s: list[Fraction], numbers: list[int], fps: Fraction, reader: str) -> None:
    wanted = expected(times_s, numbers, fps)
    with open_reader(path, fps=fps, reader=reader) as frames:  # type: ignore[arg-type]
        assert frames.info.num_frames == probe(path, fps).num_frames == len(wanted)
        in_order = frames.read(range(len(wanted)))
        assert numbers_in(in_order) == wanted
        jumps = np.random.default_rng(0).integers(0, len(wanted), 12)
        assert np.array_equal(frames.read(jumps.tolist()), in_order[jumps])
    with open_reader(path, fps=fps, reader=reader) as frames:  # type: ignore[arg-type]
        for frame in [len(wanted) - 1, 0, len(wanted) // 2, len(wanted) // 2 + 1, max(0, len(wanted) // 2 - 20), 7, 7]:
            assert np.array_equal(frames.read([frame])[0], in_order[frame])
    for chunk_len in (7, 64):
        chunks = list(stream_frames(path, fps=fps, chunk_len=chunk_len, in_process=True, reader=reader))  # type: ignore[arg-type]
        assert [chunk.first_frame for chunk in chunks] == list(range(0, len(wanted), chunk_len))
        assert np.array_equal(np.concatenate([chunk.frames_THWC for chunk in chunks]), in_order)


def times_of(video: Video) -> list[Fraction]:
    return [stamp * video.time_base for stamp in video.stamps]


@pytest.mark.parametrize("name", CASES)
def test_reader_shows_the_picture_of_each_frame(name: str, files: dict[str, Path]) -> None:
    times_s, video = times_of(CASES[name]), CASES[name]
    if video.suffix in (".mkv", ".webm"):  # whole milliseconds are all that Matroska can say
        times_s = [Fraction(round(time_s * 1000), 1000) for time_s in times_s]
    for fps in GRIDS:
        check(files[name], times_s, list(range(len(times_s))), fps, "auto")


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith(("4:4:4", "mpeg", "hevc"))])
def test_decord_backend_shows_the_picture_of_each_frame(name: str, files: dict[str, Path]) -> None:
    times_s, video = times_of(CASES[name]), CASES[name]
    if video.suffix in (".mkv", ".webm"):
        times_s = [Fraction(round(time_s * 1000), 1000) for time_s in times_s]
    check(files[name], times_s, list(range(len(times_s))), Fraction(25), "decord")
    ours, theirs = (open_reader(files[name], reader=reader).read(range(40)) for reader in ("auto", "decord"))
    assert np.abs(ours.astype(int) - theirs).mean() < 1


def test_reader_at_25_fps_of_25_and_50_fps_videos(files: dict[str, Path]) -> None:
    assert numbers_in(open_reader(files["25"]).read(range(110))) == list(range(110))
    assert numbers_in(open_reader(files["50"]).read(range(75))) == [2 * k + 1 for k in range(75)]


@pytest.mark.parametrize("reader", ["auto", "decord"])
@pytest.mark.parametrize("ticks", [-10 * 512, -10 * 512 + 200, -40 * 512])
def test_reader_obeys_edit_lists(ticks: int, reader: str, files: dict[str, Path], tmp_path: Path) -> None:
    path = remux(
        files["25"], tmp_path / "cut.mp4", shift=ticks, options={"avoid_negative_ts": "disabled", "use_editlist": "1"}
    )
    index = index_video(path)
    hidden = 110 - index.num_pictures
    assert hidden in (-ticks // 512, -ticks // 512 + 1)
    numbers = list(range(hidden, 110))
    check(path, [Fraction(number, 25) for number in numbers], numbers, Fraction(25), reader)


def test_probe_reports_a_late_start_that_shifts_no_frame(files: dict[str, Path]) -> None:
    info = probe(files["late start"])
    assert info.first_picture_s == Fraction(70, 25)
    assert number_in(open_reader(files["late start"]).read([0])[0]) == 0


@pytest.mark.parametrize("reader", ["auto", "decord"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_reader_applies_the_rotation(degrees: int, reader: str, files: dict[str, Path], tmp_path: Path) -> None:
    path = write(tmp_path / "turned", constant(Fraction(25), 8, rotation_degrees=degrees))
    upright = write(tmp_path / "upright", constant(Fraction(25), 8))
    info = probe(path)
    assert (info.width, info.height) == ((96, 160) if degrees != 180 else (160, 96))
    turned = open_reader(path, reader=reader).read([5])[0]  # type: ignore[arg-type]
    plain = open_reader(upright, reader=reader).read([5])[0]  # type: ignore[arg-type]
    assert np.array_equal(turned, np.rot90(plain, degrees // 90))
    small = open_reader(path, size=(46, 80), reader=reader).read([5])  # type: ignore[arg-type]
    assert small.shape == (1, 80, 46, 3)


@pytest.mark.parametrize("reader", ["auto", "decord"])
@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((0, -1, -1, 0), lambda image: np.rot90(image[::-1])),
        ((0, 1, 1, 0), lambda image: np.swapaxes(image, 0, 1)),
    ],
)
def test_reader_and_transcode_mirror_as_the_display_matrix_says(
    matrix: tuple[int, int, int, int], shown: Callable[[np.ndarray], np.ndarray], reader: str, tmp_path: Path
) -> None:
    upright = write(tmp_path / "upright", constant(Fraction(25), 8))
    path = set_matrix(write(tmp_path / "mirrored", constant(Fraction(25), 8)), matrix)
    wanted = shown(open_reader(upright).read([5])[0]).astype(int)
    assert np.abs(open_reader(path, reader=reader).read([5])[0] - wanted).mean() < 2  # type: ignore[arg-type]
    transcode(path, tmp_path / "new.mp4")
    assert np.abs(open_reader(tmp_path / "new.mp4").read([5])[0] - wanted).mean() < 2


@pytest.mark.parametrize("reader", ["auto", "decord"])
@pytest.mark.parametrize(("colour", "matrix"), [((1, 1), "bt709"), ((5, 1), "bt601"), ((1, 2), "bt709")])
def test_reader_converts_colours_by_the_tagged_matrix(
    colour: tuple[int, int], matrix: str, reader: str, tmp_path: Path
) -> None:
    from tests.support.numbered_video import picture

    path = write(tmp_path / "tinted", constant(Fraction(25), 12, colour=colour, options={"crf": "4"}))
    assert probe(path).matrix == matrix
    read = open_reader(path, reader=reader).read([9])[0].astype(int)  # type: ignore[arg-type]
    truth = picture(9, tint=True)
    for y in range(16, 96, 32):  # the middles of the blocks, away from edges
        for x in range(20, 160, 40):
            assert np.abs(read[y, x] - truth[y, x]).max() <= 4


def test_read_refuses_frames_outside_the_video(files: dict[str, Path]) -> None:
    with open_reader(files["25"]) as frames:
        for frame in (-1, 110):
            with pytest.raises(IndexError, match="110"):
                frames.read([3, frame])
        assert frames.read([]).shape == (0, 96, 160, 3)


def test_index_has_a_segment_for_each_keyframe(files: dict[str, Path]) -> None:
    assert len(index_video(files["open groups"]).start_packet_S) > 3
    assert len(index_video(files["25"]).start_packet_S) > 3
    assert len(index_video(files["one key picture"]).start_packet_S) == 1
    assert len(index_video(files["intra only"]).start_packet_S) == 40

"""Conversion to plain H.264: times, pixels, errors, and what decode-friendly files are made of."""

import logging
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from e2espot.core.errors import VideoError
from e2espot.video import index_video, open_reader
from e2espot.video import transcode as module
from e2espot.video.stream_copy import decode_overhead
from e2espot.video.transcode import transcode
from tests.support.numbered_video import (
    Video,
    constant,
    expected,
    number_in,
    numbers_in,
    picture,
    turn_by_message,
    write,
)

FULL_709 = (int(Colorspace.ITU709), int(ColorRange.JPEG))


def test_transcode_keeps_the_time_of_every_picture(tmp_path: Path) -> None:
    stamps = tuple(np.cumsum([0, *np.random.default_rng(1).integers(15, 70, 80)]).tolist())
    source = write(tmp_path / "source", Video(stamps=stamps, time_base=Fraction(1, 1000), options={"g": "30"}))
    assert transcode(source, tmp_path / "out" / "new.mp4") == 81
    with open_reader(tmp_path / "out" / "new.mp4", fps=Fraction(25)) as reader:
        shown = numbers_in(reader.read(range(reader.info.num_frames)))
    wanted = expected([Fraction(stamp, 1000) for stamp in stamps], list(range(81)), Fraction(25))
    # Only how long the last picture lasts may differ.
    assert shown[: len(wanted) - 2] == wanted[:-2]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new.mp4"]


def pixels(path: Path) -> np.ndarray:
    with open_reader(path, fps=Fraction(25)) as reader:
        return np.asarray(reader.read(range(reader.info.num_frames)))


@pytest.mark.parametrize("more", [{"rotation_degrees": 90}, {"rotation_degrees": 180}, {"colour": FULL_709}])
def test_transcode_keeps_size_rotation_and_colours(more: dict[str, Any], tmp_path: Path) -> None:
    source = write(tmp_path / "source", replace(constant(Fraction(25), 12), **more))
    transcode(source, tmp_path / "new.mp4")
    before, after = pixels(source), pixels(tmp_path / "new.mp4")
    assert before.shape == after.shape
    assert np.abs(before.astype(int) - after).mean() < 1.5


def test_transcode_turns_every_picture_of_a_stream_whose_message_turns_it(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain", constant(Fraction(25), 12))
    transcode(turn_by_message(plain, tmp_path / "phone.mp4"), tmp_path / "new.mp4")
    wanted, shown = pixels(plain), pixels(tmp_path / "new.mp4")
    assert np.abs(shown - np.rot90(wanted, axes=(1, 2)).astype(int)).mean(axis=(1, 2, 3)).max() < 2


def test_transcode_converts_a_truncated_file_only_if_allowed(tmp_path: Path) -> None:
    source = write(tmp_path / "source", constant(Fraction(25), 200, suffix=".mkv", options={"g": "10"}))
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(VideoError, match=r"breaks off after .* of 8.*allow_truncated=True") as caught:
        transcode(source, tmp_path / "new.mp4")
    assert caught.value.option == "allow_truncated"
    assert not (tmp_path / "new.mp4").exists()
    assert 20 < transcode(source, tmp_path / "new.mp4", allow_truncated=True) < 190
    with pytest.raises(VideoError, match="is the source itself"):
        transcode(tmp_path / "new.mp4", tmp_path / "new.mp4")


def test_transcode_keeps_the_old_target_on_errors(tmp_path: Path) -> None:
    target = write(tmp_path / "target", constant(Fraction(25), 10))
    before = target.read_bytes()
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        transcode(tmp_path / "text.mp4", target)
    assert target.read_bytes() == before
    (tmp_path / "more.mp4").touch()
    with pytest.raises(VideoError, match="names 2 files; convert them one by one"):
        transcode(Path(f"{tmp_path / 'text.mp4'}+more.mp4"), tmp_path / "new.mp4")
    with pytest.raises(VideoError, match=r"\.mp4 or \.mkv"):
        transcode(target, tmp_path / "new.webm")


def test_transcode_decode_friendly_writes_short_closed_gops_in_order(tmp_path: Path) -> None:
    heavy = constant(Fraction(25), 260, size=(398, 224), options={"g": "250", "bf": "3", "x264-params": "scenecut=0"})
    source, target = write(tmp_path / "heavy", heavy), tmp_path / "friendly.mp4"
    assert transcode(source, target, decode_friendly=True) == 260
    before, after = index_video(source), index_video(target)
    assert (after.width, after.height) == (400, 224)
    assert after.start_picture_S.tolist() == list(range(0, 260, 25))
    assert after.is_closed_gop_S.all()
    assert (after.packet_P == np.arange(260)).all()
    assert numbers_in(open_reader(target).read(range(260))) == list(range(260))
    assert decode_overhead(before, 100) > 1.6
    assert decode_overhead(after, 100) < 1.2


def copy_packets(source: Path, target: Path, change: Callable[[list[Any]], None], packets: range = range(100)) -> Path:
    """Copy some packets of an MP4 of 25 pictures a second, after ``change`` has altered the list of them."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream: Any = old.streams.video[0]
        written: Any = new.add_stream_from_template(stream)
        chosen = [packet for packet in old.demux(stream) if packet.size][packets.start : packets.stop]
        change(chosen)
        for packet in chosen:
            packet.stream = written
            new.mux(packet)
    return target


def shown_by(path: Path) -> list[int]:
    with open_reader(path) as reader:
        return numbers_in(reader.read(range(reader.info.num_frames)))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_transcode_of_decoding_times_with_b_frames_shows_every_picture_in_its_turn(suffix: str, tmp_path: Path) -> None:
    def display_when_decoded(packets: list[Any]) -> None:
        for packet in packets:
            packet.pts = packet.dts = packet.dts + 1024

    video = constant(Fraction(25), 100, options={"g": "25", "bf": "2"})
    if suffix == ".avi":
        path = write(tmp_path / "plain", replace(video, suffix=suffix))
    else:
        path = copy_packets(write(tmp_path / "plain", video), tmp_path / f"decoding{suffix}", display_when_decoded)
    with av.open(str(path)) as container:
        assert any(after.pts < before.pts for before, after in pairwise(container.decode(video=0)))  # type: ignore[operator]
    assert index_video(path).identified_by == "decode_order"
    assert shown_by(path) == list(range(100))
    transcode(path, tmp_path / "new.mp4")
    assert shown_by(tmp_path / "new.mp4") == list(range(100))


@pytest.mark.parametrize("bf", [0, 2])
def test_transcode_continues_where_the_clock_goes_back(
    bf: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def shift(pictures: int) -> Callable[[list[Any]], None]:
        def change(packets: list[Any]) -> None:
            for packet in packets:
                packet.pts, packet.dts = packet.pts + pictures * 512, packet.dts + pictures * 512

        return change

    options = {"g": "25", "bf": str(bf), "x264-params": "scenecut=0:b-adapt=0"}
    plain = write(tmp_path / "plain", constant(Fraction(25), 100, options=options))
    first = copy_packets(plain, tmp_path / "first.ts", shift(25), range(50))
    second = copy_packets(plain, tmp_path / "second.ts", shift(-25), range(50, 100))
    path = tmp_path / "reconnected.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with caplog.at_level(logging.WARNING):
        assert transcode(path, tmp_path / "new.mp4") == 100
    assert shown_by(tmp_path / "new.mp4") == list(range(100))
    # Pictures 0 to 49 are at 1 to 3 s, and 50 to 99 at 1 to 3 s again.
    message = (
        f"{path}: its clock was restarted at 0:00:02.000, picture 50; 2.000 s are added to its times from there on"
    )
    assert [record.getMessage() for record in caplog.records] == [message]


def test_transcode_deletes_a_copy_that_is_not_read_back_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write(tmp_path / "plain", constant(Fraction(25), 20)), tmp_path / "out" / "new.mp4"
    for change, message in (
        (lambda pts_P: pts_P[:-1], "its copy shows 19 pictures instead of 20; it is deleted"),
        (
            lambda pts_P: pts_P + 900 * (np.arange(len(pts_P)) == 7),
            "its copy shows picture 7 at 0.290 s instead of 0.280",
        ),
    ):

        def altered(path: Path, change: Any = change) -> Any:
            index = index_video(path)
            return replace(index, pts_P=change(index.pts_P))

        monkeypatch.setattr(module, "index_video", altered)
        with pytest.raises(VideoError, match=message):
            transcode(source, target)
        assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("degrees", [0, 90])
def test_transcode_keeps_the_aspect_ratio_of_pixels(degrees: int, tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        if degrees:
            stream.set_display_rotation(degrees)
        for number in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")))
        container.mux(stream.encode(None))
    transcode(path, tmp_path / "new.mp4")
    with av.open(str(tmp_path / "new.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == (Fraction(3, 4) if degrees else Fraction(4, 3))


def test_transcode_writes_to_a_name_with_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # only a relative name may be taken for a protocol
    transcode(write(tmp_path / "plain", constant(Fraction(25), 10)), Path("half:1.mp4"))
    assert number_in(open_reader(Path("half:1.mp4")).read([7])[0]) == 7


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_transcode_accepts_a_still_at_the_end(suffix: str, tmp_path: Path) -> None:
    def hold_last(packets: list[Any]) -> None:
        packets[-1].duration = 3 * 12800

    plain = write(tmp_path / "plain", constant(Fraction(25), 100, options={"bf": "0"}))
    path = copy_packets(plain, tmp_path / f"still{suffix}", hold_last)
    with av.open(str(path)) as container:
        assert container.duration == 6_960_000
    assert transcode(path, tmp_path / "new.mp4") == 100

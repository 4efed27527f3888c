"""Matches in several files, other video streams, copies for the browser, and files it cannot decode, in Chromium."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from e2espot.video import indexes_of, open_reader, probe
from e2espot.video.index import frames_of_file, pictures_of_grid
from tests.support.numbered_video import Video, constant, number_in, overwrite_packets, picture, write
from tests.support.review_process import RESTS, Server, number, opened, press, until
from tests.support.situation_files import doubled_stamp, two_descriptions

PLAIN = constant(Fraction(25), 60, options={"g": "20", "bf": "2"})


@pytest.fixture
def show(browser, tmp_path: Path):
    """Starts a server on a source and opens its page."""
    started: list[Any] = []

    def start(source: object, *options: object, unplayable: str | None = None) -> Any:
        server = Server(source, "--cache", tmp_path / "cache", *options)
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        if unplayable is not None:
            context.route(unplayable, lambda route: route.fulfill(body="no video", content_type="video/mp4"))
        started.append((server, context))
        return opened(context, server.url)

    yield start
    for server, context in started:
        context.close()
        server.stop()


def expected_numbers(path: str) -> list[int]:
    """Number of the picture that each frame of the match shows."""
    with open_reader(path, size=(160, 96)) as reader:
        return [number_in(frame) for frame in reader.read(range(reader.info.num_frames))]


def test_times_run_on_from_file_to_file(tmp_path: Path, show) -> None:
    # 47 pictures at 29.97 are 1.568 s, no whole number of frames; the second file is copied, of another size and codec.
    first = write(tmp_path / "GX01", replace(constant(Fraction(30000, 1001), 47), options={"g": "15"}))
    vp9 = {"codec": "libvpx-vp9", "suffix": ".mkv", "options": {"deadline": "realtime", "cpu-used": "8"}}
    second = write(tmp_path / "GX02", constant(Fraction(25), 40, size=(320, 180), **vp9))
    match = f"{first}+{second}"
    wanted = expected_numbers(match)
    folder = tmp_path / "GX01+GX02"
    folder.mkdir()
    frames = [3, len(wanted) // 2, 39, 40, 41, len(wanted) - 2]
    rows = [{"gameTime": "1 - 00:00", "label": "PASS", "position": str(k * 40 + 20)} for k in frames]
    (folder / "Labels-ball.json").write_text(json.dumps({"annotations": rows}))
    page = show(match)
    assert page.evaluate("e2espotReview.player.pictures.length") == len(wanted)
    assert page.evaluate("e2espotReview.player.frames.length") == 47 + 40
    for frame in sorted(frames):
        press(page, "n")
        assert page.evaluate("e2espotReview.player.frame") == frame
        assert number(page) == wanted[frame]
    for frame in sorted(frames, reverse=True)[1:]:  # back over the join
        press(page, "p")
        assert number(page) == wanted[frame]
    press(page, "End")
    assert number(page) == 39
    press(page, *["ArrowLeft"] * 45)  # faster than files open
    assert page.evaluate("e2espotReview.player.picture") == 86 - 45
    assert number(page) == 41
    press(page, *["ArrowRight"] * 6)
    assert number(page) == 0
    press(page, "Home")
    assert number(page) == 0
    assert page.evaluate("e2espotReview.player.file") == 0


def test_playing_goes_on_in_the_next_file(tmp_path: Path, show) -> None:
    parts = [write(tmp_path / f"GX0{n}", PLAIN) for n in (1, 2)]
    page = show(f"{parts[0]}+{parts[1]}")
    press(page, *["ArrowRight"] * 40)
    page.keyboard.press(" ")
    until(page, "e2espotReview.player.picture > 75")
    assert page.evaluate("e2espotReview.player.file") == 1
    page.keyboard.press(" ")
    until(page, "!e2espotReview.player.playing")
    until(page, RESTS)
    until(page, f"e2espotReview.player.picture === {60 + number(page)}")


def test_a_recording_that_was_cut_by_its_size_holds_its_last_picture_until_the_next_file(tmp_path: Path, show) -> None:
    whole = write(tmp_path / "whole", constant(Fraction(25), 120, suffix=".ts", options={"g": "24", "bf": "2"}))
    data = whole.read_bytes()
    cut = len(data) // 2 // 188 * 188
    parts = [tmp_path / name for name in ("00001.MTS", "00002.MTS")]
    for part, half in zip(parts, (data[:cut], data[cut:]), strict=True):
        part.write_bytes(half)
    match = "+".join(map(str, parts))
    wanted = expected_numbers(match)
    begins = frames_of_file(indexes_of(match)[1], Fraction(25)).start
    held = [frame for frame in range(begins) if wanted[frame] == wanted[begins - 1]]
    assert len(held) > 4
    frames = [3, held[0], held[2], held[-1], begins, begins + 1, 117]
    folder = tmp_path / "00001+00002"
    folder.mkdir()
    rows = [{"gameTime": "1 - 00:00", "label": "PASS", "position": str(k * 40 + 20)} for k in frames]
    (folder / "Labels-ball.json").write_text(json.dumps({"annotations": rows}))
    page = show(match)
    for key, there in (("n", frames), ("p", frames[-2::-1])):
        for frame in there:
            press(page, key)
            # Chromium reaches the end of a file as soon as it shows the last picture, and must not play on then.
            assert (page.evaluate("e2espotReview.player.frame"), number(page)) == (frame, wanted[frame])
    press(page, "Home", *["ArrowRight"] * (held[0] - 4))
    page.keyboard.press(" ")
    until(page, "e2espotReview.player.file === 1")
    page.keyboard.press(" ")
    until(page, "!e2espotReview.player.playing")
    until(page, RESTS)
    assert number(page) >= begins


def two_streams(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for default in (0, 1):
            stream: Any = container.add_stream("libx264", rate=25, options={"g": "10"})
            stream.width, stream.height, stream.pix_fmt, stream.disposition = 160, 96, "yuv420p", default
            streams.append(stream)
        for position in range(30):
            for stream, shown in zip(streams, (position, 1000 - position), strict=True):
                image = av.VideoFrame.from_ndarray(picture(shown), "rgb24")
                image.pts, image.time_base = position, Fraction(1, 25)
                container.mux(stream.encode(image))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("options", "first"), [((), 1000), (("--video_stream", 0), 0), (("--video_stream", 1), 1000)])
def test_page_shows_the_stream_that_was_scored(options: tuple[object, ...], first: int, tmp_path: Path, show) -> None:
    path = two_streams(tmp_path / "two.mp4")
    page = show(path, *options)
    press(page, *["ArrowRight"] * 4)
    assert number(page) == (1000 - 4 if first else 4)


@pytest.mark.parametrize(
    "change",
    [
        {"suffix": ".ts"},
        {"suffix": ".mkv", "codec": "libsvtav1", "options": {"preset": "10", "svtav1-params": "tune=0"}},
    ],
    ids=["transport stream", "AV1 in Matroska"],
)
def test_files_that_browsers_do_not_open_are_copied_without_encoding(
    change: dict[str, Any], tmp_path: Path, show
) -> None:
    page = show(write(tmp_path / "source", replace(PLAIN, **change)))
    assert page.is_hidden("#video-error")
    press(page, *["ArrowRight"] * 17)
    assert number(page) == 17


OPEN_GOPS = {"g": "12", "bf": "2", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"}


def test_jumps_into_open_gops_show_the_right_picture(tmp_path: Path, show) -> None:
    page = show(write(tmp_path / "open", replace(PLAIN, options=OPEN_GOPS)))
    for frame in (14, 50, 28, 35, 7):
        page.evaluate(f"e2espotReview.player.showFrame({frame})")
        until(page, RESTS)
        assert number(page) == frame
    assert page.is_hidden("#video-error")


def test_jumps_in_a_track_with_two_codec_headers_show_the_right_picture(tmp_path: Path, show) -> None:
    page = show(two_descriptions(tmp_path))
    press(page, "End")
    assert number(page) == 59
    press(page, *["ArrowLeft"] * 24)
    assert number(page) == 35
    press(page, "Home", *["ArrowRight"] * 14)
    assert number(page) == 14
    assert page.is_hidden("#video-error")


def test_jumps_to_two_pictures_of_one_time_show_the_last_one(tmp_path: Path, show) -> None:
    page = show(doubled_stamp(tmp_path))
    for frame, shown in ((40, 40), (30, 31), (5, 5), (29, 29), (30, 31)):
        page.evaluate(f"e2espotReview.player.showFrame({frame})")
        until(page, RESTS)
        assert number(page) == shown
    assert page.is_hidden("#video-error")


ENCODED = {
    "open GOPs without closed ones": constant(Fraction(25), 1100, options=OPEN_GOPS | {"preset": "ultrafast"}),
    "a codec that browsers do not play, with gaps": Video(
        stamps=tuple(k * 40 + 3000 * (k >= 30) + 3 * (k % 7) for k in range(70)),
        time_base=Fraction(1, 1000),
        codec="mpeg4",
        suffix=".mkv",
        options={"g": "12", "bf": "2"},
    ),
}


@pytest.mark.parametrize("kind", ENCODED)
def test_files_that_browsers_show_wrongly_are_encoded_in_fragments(kind: str, tmp_path: Path, show) -> None:
    count = len(ENCODED[kind].stamps)
    page = show(write(tmp_path / "match", ENCODED[kind]))
    assert number(page) == 0
    # In long files fragments far from the picture on screen are dropped, and loaded again.
    for one in (count - 1, count - 2, *range(13, count, 101), 26, 25, 24, 50, 49, 30, 29, 0):
        show_picture(page, one)
    press(page, *["ArrowRight"] * 30)
    assert number(page) == 30
    show_picture(page, count - 30)
    page.keyboard.press(" ")
    until(page, f"e2espotReview.player.video.ended && e2espotReview.player.picture === {count - 1}")
    assert number(page) == count - 1
    assert page.evaluate("e2espotReview.player.feed.loaded.size") <= 40
    assert page.is_hidden("#video-error")
    assert not (tmp_path / "cache").exists()


def show_picture(page: Any, wanted: int) -> None:
    page.evaluate(f"e2espotReview.player.show({wanted})")
    until(page, RESTS)
    assert number(page) == wanted == page.evaluate("e2espotReview.player.picture")


def test_browser_that_cannot_play_a_file_gets_fragments_of_what_decodes(tmp_path: Path, show) -> None:
    options = {"g": "10", "bf": "0", "x264-params": "scenecut=0"}
    path = overwrite_packets(
        write(tmp_path / "match", constant(Fraction(25), 200, options=options)), slice(50, 100), keep=8
    )
    page = show(path, unplayable="**/file/0")
    show_picture(page, 24)
    page.evaluate("e2espotReview.player.show(88)")
    until(page, "!document.getElementById('video-error').hidden")
    text = page.inner_text("#video-error-text")
    assert "cannot be decoded at 0:00:0" in text
    assert "e2espot transcode" not in text
    page.click("#video-go-on")
    until(page, "document.getElementById('video-error').hidden && e2espotReview.player.seeking === null")
    until(page, RESTS)
    assert number(page) == 100
    show_picture(page, 20)


def test_page_says_where_a_video_does_not_decode_and_goes_on_after_it(tmp_path: Path, show) -> None:
    options = {"g": "20", "bf": "0", "x264-params": "scenecut=0"}
    path = overwrite_packets(
        write(tmp_path / "match", constant(Fraction(25), 200, options=options)), slice(100, 150), keep=8
    )
    page = show(path)
    press(page, "Control+ArrowRight", "Control+ArrowRight", "Control+ArrowRight")
    assert number(page) == 75
    page.keyboard.press(" ")
    until(page, "!document.getElementById('video-error').hidden")
    text = page.inner_text("#video-error-text")
    assert "The browser does not show the video at 00:04.0" in text
    assert ", picture 10" in text
    assert 'e2espot transcode "match.mp4" NEW.mp4' in text
    page.click("#video-go-on")  # tries 120, 140, 160: the first two do not decode either
    until(page, "document.getElementById('video-error').hidden && e2espotReview.player.seeking === null")
    until(page, RESTS)
    assert number(page) == 160 == page.evaluate("e2espotReview.player.picture")
    press(page, "ArrowRight")
    assert number(page) == 161
    page.keyboard.press("Control+Shift+ArrowLeft")  # to 36, past the damage
    until(page, RESTS)
    assert number(page) == 36
    for _ in range(3):  # and into it
        page.keyboard.press("Control+ArrowRight")
        page.wait_for_timeout(300)
    until(page, "!document.getElementById('video-error').hidden")
    page.keyboard.press("Home")  # the page is not stuck
    until(page, "document.getElementById('video-error').hidden")
    until(page, RESTS)
    assert number(page) == 0


def test_picture_that_a_busy_browser_does_not_paint_is_tried_again_before_it_is_skipped(tmp_path: Path, show) -> None:
    options = {"g": "20", "bf": "0", "x264-params": "scenecut=0"}
    path = overwrite_packets(
        write(tmp_path / "match", constant(Fraction(25), 100, options=options)), slice(20, 30), keep=8
    )
    page = show(path)
    page.evaluate("e2espotReview.player.show(25)")
    until(page, "!document.getElementById('video-error').hidden")
    page.evaluate("""() => {
        const player = e2espotReview.player, reopen = player.reopen.bind(player);
        window.opened = [];
        player.reopen = (picture) => {
            window.opened.push(picture);
            if (window.opened.length > 1) reopen(picture);
            else {
                player.failed = false;
                player.onTrouble(picture, "it has not painted it for 10 seconds");
            }
        };
    }""")
    page.click("#video-go-on")
    until(page, "document.getElementById('video-error').hidden && window.opened.length > 1")
    until(page, RESTS)
    assert page.evaluate("window.opened") == [40, 40]
    assert number(page) == 40


def test_page_says_that_nothing_follows_what_does_not_decode(tmp_path: Path, show) -> None:
    options = {"g": "20", "bf": "0", "x264-params": "scenecut=0"}
    path = overwrite_packets(
        write(tmp_path / "match", constant(Fraction(25), 100, options=options)), slice(81, 98), keep=8
    )
    page = show(path)
    page.keyboard.press("End")
    until(page, "!document.getElementById('video-error').hidden")
    page.click("#video-go-on")
    until(page, "document.getElementById('video-error-text').textContent.includes('shows no picture after')")
    assert page.is_hidden("#video-go-on")


def test_tables_of_a_match_in_several_files_are_those_of_its_grid(tmp_path: Path) -> None:
    from e2espot.review.browser_video import prepare_browser_video

    first = write(tmp_path / "a", constant(Fraction(30000, 1001), 47, options={"g": "15"}))
    second = write(tmp_path / "b", replace(PLAIN, suffix=".mkv"))
    video = prepare_browser_video(Path(f"{first}+{second}"), tmp_path / "cache")
    info = probe(f"{first}+{second}")
    assert [(file.index.path.name, file.first_picture) for file in video.files] == [("a.mp4", 0), ("b.mkv", 47)]
    assert video.files[1].path.parent == tmp_path / "cache"
    assert len(video.picture_K) == info.num_frames
    assert (len(video.times_P), len(video.frame_P)) == (info.num_pictures + 1, info.num_pictures)
    pictures = [pictures_of_grid(index, Fraction(25)) for index in indexes_of(f"{first}+{second}")]
    assert video.picture_K.tolist() == [*pictures[0], *(47 + pictures[1])]
    for frame, shown in enumerate(video.picture_K):
        assert video.times_P[shown] <= (frame + 0.5) / 25 + 1e-9 < video.times_P[shown + 1] + 2e-9
    middles = (video.times_P[:-1] + video.times_P[1:]) / 2
    assert (abs(video.frame_P - (middles * 25).astype(int)) <= 1).all()

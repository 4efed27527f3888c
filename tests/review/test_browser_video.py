"""Each key press shows exactly the next picture: verified by numbers drawn into the pictures, in a browser."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from e2espot.video import index_video
from tests.support.numbered_video import Video, constant, expected, remux, write
from tests.support.review_process import RESTS, Server, number, opened, press, until

VP9 = {"codec": "libvpx-vp9", "suffix": ".webm", "options": {"deadline": "realtime", "cpu-used": "8"}}
UNEVEN = (0, 40, 73, 93, 173, 213, 300, 301, 340, 420, 900, 940, 960, 1000, 1100, 1101, 1140, 1200, 1240, 1300)
CASES = {
    "25": constant(Fraction(25), 110),
    "2997": constant(Fraction(30000, 1001), 110),
    "50": constant(Fraction(50), 180),
    "vp9": constant(Fraction(30000, 1001), 90, **VP9),
    "uneven": Video(stamps=UNEVEN, time_base=Fraction(1, 1000)),
    "late": constant(Fraction(25), 110),
    "late_mkv": constant(Fraction(50), 110),
    "hidden": constant(Fraction(25), 110),
}
FIRST = {"hidden": 10}


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """One game per kind of file; every twentieth grid frame is labelled."""
    root = tmp_path_factory.mktemp("frames")
    for name, case in CASES.items():
        folder = root / name
        folder.mkdir()
        path = write(folder / "224p", case)
        if name in ("late", "late_mkv", "hidden"):
            base = index_video(path).time_base
            shift = round((Fraction(-10, 25) if name == "hidden" else Fraction(5, 2)) / base)
            moved = remux(path, folder / f"moved{'.mkv' if name == 'late_mkv' else '.mp4'}", shift=shift)
            path.unlink()
            moved.rename(folder / f"224p{moved.suffix}")
        rows = [
            {"gameTime": f"1 - 00:{k * 40 // 1000:02d}", "label": "PASS", "position": str(k * 40 + 20)}
            for k in range(4, 100, 20)
        ]
        (folder / "Labels-ball.json").write_text(json.dumps({"annotations": rows}))
    return root


@pytest.fixture(scope="module")
def server(videos: Path, tmp_path_factory):
    with Server(videos, "--cache", tmp_path_factory.mktemp("cache")) as started:
        yield started


@pytest.fixture(scope="module")
def page(server: Server, browser):
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    made = opened(context, server.url)
    yield made
    assert made.complaints == []
    context.close()


def show(page, videos: Path, name: str) -> Path:
    """Choose a video in the page; returns its path."""
    choice = page.locator("#video-choice option").all_inner_texts().index(name)
    page.select_option("#video-choice", str(choice))
    until(page, f"!e2espotReview.loading && e2espotReview.video === {choice}")
    assert page.is_hidden("#video-error"), page.inner_text("#video-error")
    until(page, RESTS)
    return next(p for p in (videos / name).iterdir() if p.stem == "224p")


@pytest.mark.parametrize("name", CASES)
def test_arrow_keys_step_by_one_picture(page, videos: Path, name: str) -> None:
    path = show(page, videos, name)
    first = FIRST.get(name, 0)
    assert number(page) == first
    for count in range(1, 6):
        press(page, "ArrowRight")
        assert number(page) == first + count
    press(page, "ArrowLeft")
    assert number(page) == first + 4
    press(page, *["ArrowRight"] * 9)  # faster than the decoder
    assert number(page) == first + 13
    last = first + index_video(path).num_pictures - 1
    press(page, "End")
    assert number(page) == last
    press(page, "ArrowRight")
    assert number(page) == last
    press(page, "ArrowLeft")
    assert number(page) == last - 1
    press(page, "Home")
    assert number(page) == first


def test_picture_that_the_browser_did_not_paint_is_sought_again(page, videos: Path) -> None:
    name = next(iter(CASES))
    show(page, videos, name)
    # What is painted for this seek is not counted; the page gives it ten seconds.
    page.evaluate(
        "() => { const { player } = e2espotReview; player.show(player.picture + 3); player.seekBegan_ms = Infinity; }"
    )
    until(page, RESTS)
    assert number(page) == FIRST.get(name, 0) + 3


@pytest.mark.parametrize("name", CASES)
def test_selected_event_shows_the_picture_of_its_frame(page, videos: Path, name: str) -> None:
    path = show(page, videos, name)
    index = index_video(path)
    first = FIRST.get(name, 0)
    times = [int(tick) * index.time_base for tick in index.pts_P]
    grid = expected(times, list(range(first, first + len(times))), Fraction(25))
    assert page.evaluate("e2espotReview.player.pictures.length") == len(grid)
    press(page, "Home")
    for frame in (k for k in range(4, 100, 20) if k < len(grid)):
        press(page, "n")
        assert page.evaluate("e2espotReview.player.frame") == frame
        assert number(page) == grid[frame]


def test_control_and_arrow_skips_a_second(page, videos: Path) -> None:
    for name, second in (("25", 25), ("50", 50), ("2997", 30), ("late_mkv", 50)):
        show(page, videos, name)
        press(page, "ArrowRight", "ArrowRight")
        press(page, "Control+ArrowRight")
        assert number(page) == 2 + second
        press(page, "Control+ArrowLeft")
        assert number(page) == 2
        press(page, "Control+Shift+ArrowRight")
        assert number(page) == page.evaluate("e2espotReview.player.frames.length") - 1


def test_pause_keeps_the_picture_on_screen(page, videos: Path) -> None:
    show(page, videos, "50")
    press(page, " ")
    until(page, "e2espotReview.player.picture > 8")
    press(page, " ")
    until(page, "!e2espotReview.player.playing")
    until(page, RESTS)
    shown = number(page)
    assert shown == page.evaluate("e2espotReview.player.picture") > 8
    press(page, "ArrowRight")
    assert number(page) == shown + 1

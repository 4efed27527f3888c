"""The page takes its numbers for settled only while the requested picture is on screen, in Chromium."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.support.numbered_video import constant, write
from tests.support.review_process import RESTS, Server, number, opened, press, until

ONE_TICK = constant(Fraction(25), 60, options={"g": "10"}, container_options={"video_track_timescale": "25"})
"""A file whose clock counts whole pictures, so that every time between two of them is rounded."""

PREPARE = """() => {
  const { video } = e2espotReview.player, { get, set } =
    Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "currentTime");
  const watch = (callback) => HTMLVideoElement.prototype.requestVideoFrameCallback.call(video, callback);
  window.test = { numFound: 0, skew_s: 0, isWithheld: false, report: null, waiting: null };
  video.addEventListener("seeked", () => { test.numFound += 1; });
  Object.defineProperty(video, "currentTime", {
    get() { return get.call(video); },
    set(position_s) { set.call(video, position_s + test.skew_s); },
  });
  test.deliver = () => {
    const { report, waiting } = test;
    if (test.isWithheld || !report || !waiting) return;
    test.report = test.waiting = null;
    waiting(...report);
  };
  const onReport = (...report) => { test.report = report; watch(onReport); test.deliver(); };
  watch(onReport);
  video.requestVideoFrameCallback = (callback) => { test.waiting = callback; };
}"""
"""Makes the browser's reports of paints wait, and its seeks miss, on request."""


@pytest.fixture(scope="module")
def page(tmp_path_factory, browser):
    folder = tmp_path_factory.mktemp("paint")
    path = write(folder / "match", ONE_TICK)
    with Server(path, "--out", folder / "out", "--cache", folder / "cache") as server:
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        made = opened(context, server.url)
        made.evaluate(PREPARE)
        press(made, "ArrowRight")  # the report asked for before goes to the page directly
        yield made
        context.close()


def is_busy(page: Any) -> bool:
    return page.get_attribute("#video-panel", "aria-busy") == "true"


def test_numbers_are_settled_only_once_the_browser_has_painted_the_picture(page: Any) -> None:
    for frame in (9, 40, 19, 20):  # 9 and 19 are the last ones before a keyframe
        page.evaluate("Object.assign(test, { isWithheld: true, report: null, numFound: 0 })")
        page.evaluate(f"e2espotReview.player.showFrame({frame})")
        until(page, "test.numFound > 0 && test.report !== null")
        assert not page.evaluate(RESTS)
        assert is_busy(page)
        page.evaluate("test.isWithheld = false; test.deliver()")
        until(page, RESTS)
        assert not is_busy(page)
        assert number(page) == frame == page.evaluate("e2espotReview.player.frame")


def test_picture_that_was_asked_for_again_before_it_was_painted_settles(page: Any) -> None:
    page.evaluate("test.isWithheld = true")
    for frame in (30, 12, 30, 30):
        page.evaluate(f"test.numFound = 0; e2espotReview.player.showFrame({frame})")
        until(page, "test.numFound > 0")
    page.evaluate("test.isWithheld = false; test.deliver()")
    until(page, RESTS)
    assert number(page) == 30
    press(page, "Home", "Home", "End", "End")
    assert number(page) == 59


def test_other_picture_than_the_one_asked_for_is_reported_with_its_number(page: Any) -> None:
    page.evaluate("test.skew_s = 2 / 25; e2espotReview.player.showFrame(24)")
    until(page, RESTS)
    assert "picture 24 (it shows picture 26 in its place)" in page.inner_text("#video-error-text")
    assert page.inner_text("#frame") == "frame 26"
    page.evaluate("test.skew_s = 0")
    press(page, "ArrowRight")
    assert number(page) == 27
    assert page.is_hidden("#video-error")

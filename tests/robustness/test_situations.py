"""Every situation by every reader: the picture of a player, PyAV in its place, or an error of one line."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.budget import LONG, print_figure
from tests.support.numbered_video import expected
from tests.support.review_process import RESTS, Server, number, until
from tests.support.situation_checks import outcome_of
from tests.support.situations import SITUATIONS, Reader, Situation, table

DOCS = Path(__file__).parents[2] / "docs" / "video.md"


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files that have been made, by name of situation."""
    return {}


def file_of(situation: Situation, paths: dict[str, Path], factory: pytest.TempPathFactory) -> Path:
    if situation.name not in paths:
        paths[situation.name] = situation.make(factory.mktemp("situation"))
    return paths[situation.name]


FAST: tuple[Reader, ...] = ("auto", "decord", "dali_cpu", "dali_copies")
"""Readers of the sample in ``make test``."""


@pytest.mark.parametrize("reader", [*FAST, "transcode"] if LONG else FAST)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_reader_shows_what_a_player_shows_or_refuses(
    situation: Situation,
    reader: Reader,
    paths: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    path = file_of(situation, paths, tmp_path_factory)
    outcome = outcome_of(reader, situation, path, tmp_path)
    print_figure(f"{situation.name}, {reader}: {outcome}")
    assert outcome.split(":")[0] == situation.outcome(reader), outcome


RATE = Fraction(25)
STEP = 7
"""Every seventh frame is labelled, and so shown by the page."""
NUM_JUMPS = 6
"""Jumps to random frames after that."""
PATIENT_S = 30
"""Longest wait for the page, on a machine that is busy with other work."""


def wanted_at(situation: Situation) -> list[int]:
    return expected(list(situation.times_s), list(situation.numbers), RATE)


@pytest.mark.skipif(not LONG, reason="a server and a page for each takes minutes; make stress runs it")
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_review_page_shows_what_a_player_shows_or_refuses(
    situation: Situation,
    paths: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    browser: Any,
) -> None:
    outcome = reviewed(situation, file_of(situation, paths, tmp_path_factory), tmp_path, browser)
    print_figure(f"{situation.name}, review: {outcome}")
    assert outcome.split(":")[0] == situation.outcome("review"), outcome


def reviewed(situation: Situation, path: Path, folder: Path, browser: Any) -> str:
    """What ``e2espot review`` and its page make of a file, as ``outcome_of`` says it."""
    wanted = wanted_at(situation)
    frames = range(STEP, len(wanted), STEP)
    rows = [{"gameTime": "1 - 00:00", "label": "PASS", "position": str(k * 40 + 20)} for k in frames]
    (folder / "labels.json").write_text(json.dumps({"annotations": rows}))
    try:
        server = Server(path, "-l", folder / "labels.json", "--out", folder / "out", "--cache", folder / "cache")
    except AssertionError as refusal:
        return f"refused: {refusal}"
    with server:
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        page = context.new_page()
        page.goto(server.url)
        until(page, "document.documentElement.dataset.ready === 'yes' && !e2espotReview.loading", PATIENT_S)
        if page.is_visible("#video-error"):
            outcome = f"refused: {page.inner_text('#video-error')}"
        else:
            jumps = np.random.default_rng(0).integers(0, len(wanted), NUM_JUMPS).tolist()
            shown = shown_by_page(page, len(frames), jumps)
            wrong = [(frame, one, wanted[frame]) for frame, one in shown if one != wanted[frame]]
            is_stuck = len(shown) < len(frames) + len(jumps)
            outcome = f"wrong: {wrong}" if wrong else f"stands still: after {shown}" if is_stuck else "right"
        context.close()
    return outcome


def shown_by_page(page: Any, count: int, jumps: list[int]) -> list[tuple[int, int]]:
    """(frame, number on screen) of ``count`` labels in order, then after jumps; fewer if the page comes to no rest."""
    shown: list[tuple[int, int]] = []
    for jump in [*[None] * count, *jumps]:
        try:
            until(page, RESTS, PATIENT_S)
            if jump is None:
                page.keyboard.press("n")
            else:
                page.evaluate(f"e2espotReview.player.showFrame({jump})")
            until(page, RESTS, PATIENT_S)
        except AssertionError:
            break
        shown.append((page.evaluate("e2espotReview.player.frame"), number(page)))
    return shown


def test_docs_hold_the_table_of_the_registry() -> None:
    assert table() in DOCS.read_text()

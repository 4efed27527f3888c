"""Causal suppression: equal to the offline one where it waits, never a look at later scores where it does not."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.core.adaptation import FULL_DISTANCE, Adaptation, unlikeness
from e2espot.core.coverage import ReadCoverage, ranges_of_mask
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.suppression.calibration import Calibration, apply_calibration
from e2espot.suppression.causal import CausalSuppression
from e2espot.suppression.causal_calibration import CausalCalibration
from e2espot.suppression.nms import Suppression, suppress_column

METHODS = ("soft", "gaussian", "hard", "pairwise", "peaks")
FPS = 10
ONE = LabelSet(("PASS",))

# Few distinct values give ties; zeros give gaps between groups.
scores_lists = st.lists(
    st.one_of(st.just(0.0), st.sampled_from([0.0005, 0.25, 0.5, 0.75]), st.floats(0, 1, width=32)), max_size=60
)


def pieces(score_T: list[float], cuts: list[int]) -> list[np.ndarray]:
    return np.split(np.array(score_T, dtype=np.float32), sorted(cut for cut in cuts if cut <= len(score_T)))


def causal(
    score_T: list[float], suppression: Suppression, delay: int | None, cuts: list[int]
) -> list[tuple[int, float]]:
    decider = CausalSuppression(suppression, FPS, delay)
    events = [event for piece in pieces(score_T, cuts) for event in decider.add(piece)]
    return events + decider.finish()


def offline(score_T: list[float], suppression: Suppression) -> list[tuple[int, float]]:
    scores = Scores(scores_TK=np.array(score_T, dtype=np.float32).reshape(-1, 1), label_set=ONE, fps=Fraction(FPS))
    frames_E, confidences_E = suppress_column(scores, 0, suppression)
    return list(zip(frames_E.tolist(), confidences_E.tolist(), strict=True))


some_suppression = st.builds(
    Suppression,
    method=st.sampled_from(METHODS),
    window_s=st.sampled_from([0.1, 0.3, 0.8]),
    sigma_s=st.sampled_from([0.05, 0.2]),
)
some_cuts = st.lists(st.integers(0, 60), max_size=6)


@given(scores_lists, some_suppression, some_cuts, st.sampled_from([None, 60, 100]))
@settings(max_examples=150, deadline=None)
def test_without_a_bound_events_are_the_offline_ones_bit_by_bit(
    score_T: list[float], suppression: Suppression, cuts: list[int], delay: int | None
) -> None:
    assert causal(score_T, suppression, delay, cuts) == offline(score_T, suppression)


@given(scores_lists, scores_lists, some_suppression, some_cuts, st.integers(0, 10))
@settings(max_examples=150, deadline=None)
def test_events_depend_on_no_score_beyond_the_delay(
    score_T: list[float], other_T: list[float], suppression: Suppression, cuts: list[int], delay: int
) -> None:
    decider = CausalSuppression(suppression, FPS, delay)
    decided = [event for piece in pieces(score_T, cuts) for event in decider.add(piece)]
    total = decider.total_delay
    assert total is not None
    assert decider.undecided == max(0, len(score_T) - total)
    # Whatever follows, these events stay; and in which pieces the scores arrive changes nothing.
    going_on = causal(score_T + other_T, suppression, delay, [len(score_T)])
    assert [event for event in going_on if event[0] < decider.undecided] == decided
    assert causal(score_T + other_T, suppression, delay, list(range(60))) == going_on


@given(scores_lists, some_suppression, st.integers(8, 20))
@settings(max_examples=150, deadline=None)
def test_highest_frames_of_their_window_are_events_as_offline(
    score_T: list[float], suppression: Suppression, delay: int
) -> None:
    window = round(suppression.window_s * FPS)
    events, known = dict(causal(score_T, suppression, delay, list(range(60)))), offline(score_T, suppression)
    if suppression.method == "peaks":
        return
    for frame, confidence in known:
        near = score_T[max(0, frame - window) : frame + window + 1]
        if near.count(max(near)) == 1 and score_T[frame] == max(near):
            assert events[frame] == confidence


@given(scores_lists, st.sampled_from(["hard", "peaks"]), st.integers(0, 10))
def test_hard_suppression_leaves_no_two_events_within_the_window(score_T: list[float], method: str, delay: int) -> None:
    frames = [frame for frame, _ in causal(score_T, Suppression(method=method, window_s=0.5), delay, [])]  # type: ignore[arg-type]
    assert all(after - before > 5 for before, after in pairwise(frames))


def test_a_later_higher_frame_is_an_event_of_its_own_when_the_delay_is_short() -> None:
    # Window 8: offline, frame 5 decays frame 0. With a delay of 2 frames, frame 0 was decided before frame 5 came.
    score_T = [0.5, 0, 0, 0, 0, 0.9]
    assert causal(score_T, Suppression(), 8, []) == [(0, 0.5 * (5 / 8) ** 2), (5, np.float64(np.float32(0.9)))]
    assert causal(score_T, Suppression(), 2, []) == [(0, 0.5), (5, np.float64(np.float32(0.9)))]


some_calibration = st.builds(
    Calibration,
    suppression=some_suppression,
    by_class=st.dictionaries(st.just("PASS"), some_suppression, max_size=1),
    shift_s=st.dictionaries(st.sampled_from(["PASS", "DRIVE"]), st.sampled_from([-1.2, -0.3, 0.2, 0.9]), max_size=2),
    map_from=st.just((0.1, 0.5, 0.9)),
    map_to=st.just((0.2, 0.4, 1.0)),
    rivals=st.sampled_from([(), ("PASS", "DRIVE")]),
    ends_s=st.sampled_from([0.0, 0.3]),
)


def match(seed: int, length: int, *, gaps: bool, team: bool) -> Scores:
    rng = np.random.default_rng(seed)
    scores_TK = (rng.random((length, 2)) * (rng.random((length, 2)) < 0.4)).astype(np.float32)
    seen_T = np.repeat(rng.random(length // 7 + 1) < 0.7, 7)[:length] if gaps else np.ones(length, dtype=bool)
    scores_TK[~seen_T] = 0
    return Scores(
        scores_TK=scores_TK,
        label_set=LabelSet(("PASS", "DRIVE")),
        fps=Fraction(FPS),
        right_T=rng.random(length).astype(np.float32) if team else None,
        coverage=ReadCoverage(ranges=ranges_of_mask(seen_T)) if gaps else None,
        adaptations=(Adaptation(num_frames=256, share=0.5, distance=0.8 * FULL_DISTANCE),),
    )


def push(live: CausalCalibration, scores: Scores, frames: range, step: int) -> list[Event]:
    events = list[Event]()
    seen_T = None if scores.coverage is None else scores.coverage.mask(len(scores.scores_TK))
    for start in frames[::step]:
        part = slice(start, min(start + step, frames.stop))
        events += live.add(
            scores.scores_TK[part],
            seen_T=None if seen_T is None else seen_T[part],
            right_T=None if scores.right_T is None else scores.right_T[part],
        )
    return events


def run(scores: Scores, calibration: Calibration, delay_s: float | None, step: int) -> list[Event]:
    strength = unlikeness(scores.adaptations[0].distance)
    live = CausalCalibration(calibration, scores.label_set, scores.fps, delay_s, unlikeness=strength)
    events = push(live, scores, range(len(scores.scores_TK)), step)
    return sorted([*events, *live.finish()], key=lambda event: (event.frame, event.label))


@given(some_calibration, st.integers(0, 10**6), st.integers(0, 70), st.booleans(), st.booleans(), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_calibrated_events_are_the_offline_ones(
    calibration: Calibration, seed: int, length: int, gaps: bool, team: bool, step: int
) -> None:
    scores = match(seed, length, gaps=gaps, team=team)
    expected = apply_calibration(calibration, scores)
    for delay_s in (None, 7.0):
        events = run(scores, calibration, delay_s, step)
        key = [(e.frame, e.label, e.team, e.confidence) for e in expected]
        assert sorted((e.frame, e.label, e.team, e.confidence) for e in events) == sorted(key)


@given(some_calibration, st.integers(0, 10**6), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_calibrated_events_depend_on_no_score_beyond_the_delay(calibration: Calibration, seed: int, delay: int) -> None:
    first, other = (match(number, 60, gaps=True, team=True) for number in (seed, seed + 1))
    live = CausalCalibration(calibration, first.label_set, first.fps, delay / FPS, unlikeness=0.8)
    decided = push(live, first, range(40), 40)
    bound = live.delay
    assert bound is not None
    # Whatever follows, and in whatever pieces: these events stay, and none is added before them.
    later = push(live, other, range(40, 60), 20) + live.finish()
    earliest = min((0, *(round(shift * FPS) for shift in calibration.shift_s.values())))
    assert all(event.frame >= 40 - bound + earliest for event in later)
    again = CausalCalibration(calibration, first.label_set, first.fps, delay / FPS, unlikeness=0.8)
    assert sorted(push(again, first, range(40), 1), key=_order) == sorted(decided, key=_order)


def _order(event: Event) -> tuple[int, str]:
    return event.frame, event.label


def test_rivals_before_an_event_are_decided_and_those_after_it_are_what_the_delay_shows() -> None:
    calibration = Calibration(rivals=("PASS", "DRIVE"))
    scores_TK = np.zeros((30, 2), dtype=np.float32)
    scores_TK[10, 0], scores_TK[14, 1] = 0.8, 0.5  # 4 of 8 frames apart: nearness 0.75
    for delay_s, expected in ((0.3, 0.8), (0.4, 0.8 * (1 - 0.5 * 0.75)), (None, 0.8 * (1 - 0.5 * 0.75))):
        live = CausalCalibration(calibration, LabelSet(("PASS", "DRIVE")), Fraction(10), delay_s, unlikeness=1.0)
        events = {event.label: event.confidence for event in live.add(scores_TK) + live.finish()}
        assert events == pytest.approx({"PASS": expected, "DRIVE": 0.5 * (1 - 0.8 * 0.75)})


def test_rivals_are_remembered_for_a_window_however_long_the_stream() -> None:
    rng, held = np.random.default_rng(0), []
    for delay_s in (0.4, None):
        live = CausalCalibration(
            Calibration(rivals=("PASS", "DRIVE")), LabelSet(("PASS", "DRIVE")), Fraction(10), delay_s, unlikeness=1
        )
        for _ in range(60):
            live.add((rng.random((10, 2)) * (rng.random((10, 2)) < 0.1)).astype(np.float32))
            held.append(live.num_held)
    assert max(held) < 60  # of 1200 frames


@pytest.mark.parametrize("delay_s", [0.0, 0.4])
@given(some_calibration, st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_no_event_lies_in_a_gap(delay_s: float, calibration: Calibration, seed: int) -> None:
    scores = match(seed, 60, gaps=True, team=False)
    assert scores.coverage is not None
    seen_T = scores.coverage.mask(60)
    events = run(scores, calibration, delay_s, 3)
    assert all(seen_T[event.frame] for event in events)

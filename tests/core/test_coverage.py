"""Coverage of a damaged video: kept in every output, and no event outside it."""

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.coverage import ReadCoverage, intersect_coverage, ranges_of_mask
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.formats.scores import read_scores, write_scores
from e2espot.formats.soccernet import write_predictions
from e2espot.inference.predict import average_scores
from e2espot.suppression.calibration import Calibration, apply_calibration
from e2espot.suppression.nms import Method, Suppression

FPS, PASS = Fraction(25), LabelSet(("PASS",))
flags = st.lists(st.booleans(), min_size=12, max_size=12)


def scores_of(valid_T: list[bool], *, seed: int = 0, declared_s: Fraction | None = None) -> Scores:
    scores_TK = np.random.default_rng(seed).random((len(valid_T), 1), dtype=np.float32)
    scores_TK[~np.array(valid_T)] = 0
    coverage = ReadCoverage(ranges=ranges_of_mask(valid_T), declared_duration_s=declared_s)
    return Scores(scores_TK=scores_TK, label_set=PASS, coverage=coverage)


@given(flags)
def test_ranges_of_mask_gives_ascending_ranges_with_gaps_that_mask_restores(valid_T: list[bool]) -> None:
    coverage = ReadCoverage(ranges=ranges_of_mask(valid_T))
    assert coverage.mask(len(valid_T)).tolist() == valid_T
    assert all(len(frames) for frames in coverage.ranges)
    assert all(one.stop < two.start for one, two in itertools.pairwise(coverage.ranges))


@given(flags, st.integers(-5, 20), st.integers(0, 11))
def test_clamp_returns_the_nearest_frame_of_the_range_around_the_anchor(valid_T, frame: int, anchor: int) -> None:
    valid_T[anchor] = True
    coverage = ReadCoverage(ranges=ranges_of_mask(valid_T))
    (frames,) = [frames for frames in coverage.ranges if anchor in frames]
    assert coverage.clamp(frame, anchor) == min(frames, key=lambda candidate: abs(candidate - frame))


@given(flags, st.sampled_from(["soft", "gaussian", "hard", "peaks"]), st.sampled_from([-0.2, 0.0, 0.2]))
def test_apply_calibration_places_no_event_on_an_unread_frame(
    valid_T: list[bool], method: Method, shift_s: float
) -> None:
    calibration = Calibration(suppression=Suppression(method=method, window_s=0.1), shift_s={"PASS": shift_s})
    events = apply_calibration(calibration, scores_of(valid_T))
    assert all(valid_T[event.frame] for event in events)
    assert bool(events) == any(valid_T)


@given(flags, flags)
def test_average_scores_covers_what_every_reading_covers(one: list[bool], two: list[bool]) -> None:
    both = [a and b for a, b in zip(one, two, strict=True)]
    mean = average_scores([scores_of(one), scores_of(two, seed=1, declared_s=Fraction(9))])
    assert mean.coverage == ReadCoverage(ranges=ranges_of_mask(both), declared_duration_s=Fraction(9))
    assert not mean.scores_TK[~np.array(both)].any()
    whole = Scores(scores_TK=np.ones((12, 1), np.float32), label_set=PASS)
    assert average_scores([whole, scores_of(one)]).coverage == ReadCoverage(ranges=ranges_of_mask(one))
    assert average_scores([whole, whole]).coverage is None
    assert intersect_coverage([None], 12) is None


@pytest.mark.parametrize("declared_s", [None, Fraction(7, 3)])
def test_scores_file_keeps_the_coverage(declared_s: Fraction | None, tmp_path: Path) -> None:
    for valid_T in ([True] * 12, [True] * 3 + [False] * 9):
        scores = scores_of(valid_T, declared_s=declared_s)
        write_scores(tmp_path / "scores.npz", scores)
        assert read_scores(tmp_path / "scores.npz").coverage == scores.coverage
        with np.load(tmp_path / "scores.npz") as stored:
            assert stored["valid_T"].tolist() == valid_T
    write_scores(tmp_path / "whole.npz", Scores(scores_TK=scores.scores_TK, label_set=PASS))
    assert read_scores(tmp_path / "whole.npz").coverage is None


def test_write_predictions_adds_the_coverage_and_changes_nothing_else(tmp_path: Path) -> None:
    file, events = tmp_path / "results_spotting.json", apply_calibration(Calibration(), scores_of([True] * 12))
    write_predictions(file, url_local="game", events=events, fps=FPS)
    whole = json.loads(file.read_text())
    coverage = ReadCoverage(ranges=(range(0, 50), range(75, 1501)), declared_duration_s=Fraction(90))
    write_predictions(file, url_local="game", events=events, fps=FPS, coverage={2: coverage})
    damaged = json.loads(file.read_text())
    assert damaged.pop("readable") == [
        {"half": "2", "stretches": [{"from": 0, "to": 2000}, {"from": 3000, "to": 60040}], "promised_to": 90000}
    ]
    assert damaged == whole
    assert "readable" not in whole
    assert coverage.describe(FPS) == "0:00.0 to 0:02.0 and 0:03.0 to 1:00.0, of 1:30.0 promised"

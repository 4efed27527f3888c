"""The metric of Kaggle's DFL data against its definition, written down a second time without any shortcut."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.cli.main import main
from e2espot.core.errors import AnnotationError
from e2espot.core.events import ScoredEvent
from e2espot.scoring.dfl import evaluate_dfl, match_nearest, step_area
from tests.support.conversions import run_conversion

Games = dict[str, list[ScoredEvent]]
TOLERANCES_S = {
    "challenge": (0.30, 0.40, 0.50, 0.60, 0.70),
    "play": (0.15, 0.20, 0.25, 0.30, 0.35),
    "throwin": (0.15, 0.20, 0.25, 0.30, 0.35),
}


def reference_ap(labels: Games, predictions: Games, name: str, tolerance_s: float) -> float:
    """Every prediction looks at every label; every threshold counts every prediction."""
    judged: list[tuple[float, bool]] = []
    for game in labels:
        truths = [event.position_ms for event in labels[game] if event.label == name]
        taken: set[int] = set()
        for event in sorted(predictions[game], key=lambda event: event.value, reverse=True):
            if event.label != name:
                continue
            nearest, smallest = None, round(1000 * tolerance_s)
            for number in sorted(range(len(truths)), key=lambda n: truths[n]):
                error = abs(truths[number] - event.position_ms)
                if number not in taken and error < smallest:
                    nearest, smallest = number, error
            taken |= set() if nearest is None else {nearest}
            judged.append((event.value, nearest is not None))
    total = sum(event.label == name for events in labels.values() for event in events)
    area, before = 0.0, 0.0
    for threshold in sorted({score for score, _ in judged}, reverse=True):
        reached = [hit for score, hit in judged if score >= threshold]
        recall = sum(reached) / total
        area += (recall - before) * sum(reached) / len(reached)
        before = recall
    return area


def reference_score(labels: Games, predictions: Games) -> float:
    names = [name for name in TOLERANCES_S if any(e.label == name for events in labels.values() for e in events)]
    per_class = [
        np.mean([reference_ap(labels, predictions, name, tolerance) for tolerance in TOLERANCES_S[name]])
        for name in names
    ]
    return float(np.mean(per_class))


# Times on a grid of 50 ms: errors of exactly a tolerance and equal distances occur, and so do equal scores.
_TIMES = st.integers(0, 60).map(lambda step: 50 * step)
_CLASSES = st.sampled_from(list(TOLERANCES_S))
_LABELS = st.lists(
    st.builds(ScoredEvent, half=st.just(1), position_ms=_TIMES, label=_CLASSES, value=st.just(1.0)), max_size=12
)
_SCORES = st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0, 3.5])
_PREDICTIONS = st.lists(
    st.builds(ScoredEvent, half=st.just(1), position_ms=_TIMES, label=_CLASSES, value=_SCORES), max_size=20
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(_LABELS, _PREDICTIONS), min_size=1, max_size=3))
def test_score_is_that_of_the_definition(games: list[tuple[list[ScoredEvent], list[ScoredEvent]]]) -> None:
    labels = {str(number): truths for number, (truths, _) in enumerate(games)}
    predictions = {str(number): predicted for number, (_, predicted) in enumerate(games)}
    if not any(labels.values()):
        with pytest.raises(AnnotationError, match="no label of challenge, play, throwin"):
            evaluate_dfl(labels, predictions)
        return
    report = evaluate_dfl(labels, predictions)
    assert report.mAP == pytest.approx(reference_score(labels, predictions), abs=1e-12)


def test_matches_areas_and_scores_of_worked_examples() -> None:
    assert match_nearest([12, 13, 11], [10, 14], 3) == [True, True, False]
    assert step_area(np.array([0.9, 0.8, 0.8]), np.array([True, False, True]), 4) == pytest.approx(1 / 4 + 1 / 6)
    assert step_area(np.empty(0), np.empty(0, dtype=bool), 3) == 0

    def plays(*times: tuple[int, float]) -> list[ScoredEvent]:
        return [ScoredEvent(half=1, position_ms=ms, label="challenge", value=value) for ms, value in times]

    labels = {"g": plays((10_000, 1), (10_500, 1))}
    assert evaluate_dfl(labels, {"g": plays((9_800, 0.9), (10_290, 0.8), (10_600, 0.7))}).mAP == 1
    # An error of 0.3 s is none at the four wider tolerances, and one at 0.3 s.
    assert evaluate_dfl(labels, {"g": plays((9_700, 0.9), (10_800, 0.8))}).by_tolerance["challenge"] == (0, 1, 1, 1, 1)


def test_evaluate_scores_within_the_stretches_of_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A play that is predicted outside of the stretch does not count; one within it that is none does."""
    (tmp_path / "train.csv").write_text(
        "video_id,time,event,event_attributes\nx,10,start,\nx,11,play,\nx,12,throwin,\nx,20,end,\n"
    )
    (tmp_path / "sub.csv").write_text(
        "video_id,time,event,score\nx,11.1,play,0.5\nx,12,throwin,0.5\nx,20,play,0.7\nx,20.001,play,0.9\nx,1,throwin,1\n"
    )
    run_conversion(tmp_path / "train.csv", tmp_path / "data", "dfl", "soccernet")
    run_conversion(tmp_path / "sub.csv", tmp_path / "out", "dfl", "soccernet", predictions=True)
    main(
        [
            "evaluate",
            str(tmp_path / "out"),
            "-l",
            str(tmp_path / "data"),
            "--metric",
            "dfl",
            "--json",
            str(tmp_path / "j"),
        ]
    )
    text = capsys.readouterr().out
    assert "note: 2 predictions outside of the annotated stretches do not count" in text
    assert "DFL event detection AP: 75.00" in text
    assert "there is none of challenge" in text
    stored = json.loads((tmp_path / "j").read_text())["dfl"]
    assert stored["per_class"] == {"play": 0.5, "throwin": 1}

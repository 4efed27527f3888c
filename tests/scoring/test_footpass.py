"""FOOTPASS's F1 against its definition, and over replays."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.cli.main import main
from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LABEL_SETS
from e2espot.scoring.footpass import evaluate_footpass
from tests.support.conversions import run_conversion, write_json

NAMES = LABEL_SETS["footpass"].names


def reference_counts(labels: list[ScoredEvent], predictions: list[ScoredEvent]) -> tuple[int, int, int]:
    """Hits, predictions that count, and labels, by comparing everything with everything."""
    counted = sorted((e for e in predictions if e.value >= 0.15), key=lambda event: event.value, reverse=True)
    free = sorted(labels, key=lambda event: event.position_ms)
    for event in counted:
        frame = event.position_ms * 25 // 1000
        near = [
            (abs(label.position_ms * 25 // 1000 - frame), number)
            for number, label in enumerate(free)
            if (label.label, label.team) == (event.label, event.team)
            and abs(label.position_ms * 25 // 1000 - frame) <= 12
        ]
        if near:
            del free[min(near)[1]]
    return len(labels) - len(free), len(counted), len(labels)


_FIELDS = {
    "half": st.just(1),
    "position_ms": st.integers(0, 60).map(lambda frame: 40 * frame + 20),
    "label": st.sampled_from(NAMES[:2]),
    "team": st.sampled_from(["left", "right"]),
}
_LABELS = st.lists(st.builds(ScoredEvent, **_FIELDS, value=st.just(1.0)), max_size=8)
_PREDICTIONS = st.lists(
    st.builds(ScoredEvent, **_FIELDS, value=st.sampled_from([0.1, 0.15, 0.2, 0.7, 1.0])), max_size=12
)


@settings(max_examples=80, deadline=None)
@given(_LABELS, _PREDICTIONS)
def test_f1_is_that_of_the_definition(labels: list[ScoredEvent], predictions: list[ScoredEvent]) -> None:
    report = evaluate_footpass({"g": labels}, {"g": predictions}, LABEL_SETS["footpass"])
    counts = report.overall
    assert (counts.hits, counts.num_predicted, counts.num_labels) == reference_counts(labels, predictions)
    assert counts.f1 == pytest.approx(
        2 * counts.precision * counts.recall / max(counts.precision + counts.recall, 1e-9), abs=1e-9
    )


def test_evaluate_counts_team_and_class_without_and_with_replays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = [[100, 0, 7, 2, 1, 0], [200, 1, 8, 1, 1, 0], [400, 1, 8, 1, 0, 1]]
    predictions = [
        [112, 0, 7, 2, 0.9],  # 12 frames late: a hit
        [200, 0, 8, 1, 0.8],  # the other team: a miss
        [400, 1, 8, 1, 0.7],  # under a replay
        [100, 0, 7, 2, 0.14],  # too little confidence
    ]
    write_json(tmp_path / "l.json", {"keys": ["g_H1", "g_H2"], "events": {"g_H1": labels, "g_H2": []}})
    write_json(tmp_path / "p.json", {"keys": ["g_H1"], "events": {"g_H1": predictions}})
    run_conversion(tmp_path / "l.json", tmp_path / "data", "footpass", "soccernet")
    run_conversion(tmp_path / "p.json", tmp_path / "out", "footpass", "soccernet", predictions=True)
    command = ["evaluate", str(tmp_path / "out"), "-l", str(tmp_path / "data"), "--metric", "footpass"]
    main(command)
    lines = capsys.readouterr().out.splitlines()
    (overall,) = (line.split() for line in lines if line.startswith("all classes"))
    assert overall[2:] == ["50.00", "50.00", "50.00", "1", "2", "2"]
    assert any("F1 66.67, precision 66.67, recall 66.67 (the challenge counts these events)" in line for line in lines)
    with pytest.raises(SystemExit):
        main([*command, "--team"])
    assert "--team scores at the first --metric of SoccerNet" in capsys.readouterr().err

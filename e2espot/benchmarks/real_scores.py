"""Scores of a spotter on labelled clips as tables and as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from e2espot.benchmarks.real_clips import (
    BALL_TOLERANCES,
    CLASSES,
    ClipResult,
    baseline_predictions,
    groups_of,
)
from e2espot.benchmarks.results import FactTable
from e2espot.core.events import ScoredEvent
from e2espot.models.weights.measured import RealFootageScore
from e2espot.scoring import evaluate
from e2espot.scoring.bootstrap import CONFIDENCE, bootstrap_interval

METRICS = ("at1", "at2", "at3", "at4", "at5")
"""What is scored: mAP at 1 to 5 seconds, half of it to each side of a label."""


def score_clips(results: Sequence[ClipResult]) -> dict[str, Any]:
    """All scores as plain values; fractions, and None where there is nothing to score.

    Returns:
        ``{"clips", "events", "uncertain", "refused", "metrics", "baseline", "ball", "groups", "per_clip"}``.
    """
    labels = {result.clip.name: result.labels for result in results}
    predictions = {result.clip.name: result.predictions for result in results}
    report = evaluate(labels, predictions, CLASSES, METRICS)
    intervals = bootstrap_interval(labels, predictions, CLASSES, METRICS)
    baseline = evaluate(labels, baseline_predictions(results), CLASSES, METRICS)
    return {
        "clips": len(results),
        "events": sum(map(len, labels.values())),
        "uncertain": sum(result.clip.num_uncertain for result in results),
        "refused": {result.clip.name: result.refusal for result in results if result.refusal},
        "metrics": {
            name: {
                "mAP": report.mAP(name),
                "interval": list(intervals[name]),
                "per_class": dict(report.results[name].per_class),
            }
            for name in METRICS
        },
        "baseline": {name: baseline.mAP(name) for name in METRICS},
        "ball": _ball_recall(results),
        "groups": _scores_by_group(results),
        "per_clip": {result.clip.name: _scores_of_group([result]) for result in results},
    }


def _scores_by_group(results: Sequence[ClipResult]) -> dict[str, dict[str, Any]]:
    """Kind of group -> group -> its scores."""
    members: dict[str, dict[str, list[ClipResult]]] = {}
    for result in results:
        for kind, group in groups_of(result).items():
            members.setdefault(kind, {}).setdefault(group, []).append(result)
    return {
        kind: {group: _scores_of_group(members[kind][group]) for group in sorted(members[kind], key=_group_order)}
        for kind in members
    }


def _group_order(group: str) -> tuple[int, str]:
    """``up to 6 px`` before ``7 to 10 px`` before ``14 px and more``, names in order of the alphabet after them."""
    numbers = [int(word) for word in group.split() if word.isdigit()]
    return (numbers[0] if numbers else 1 << 30, group)


def _scores_of_group(results: Sequence[ClipResult]) -> dict[str, Any]:
    labels: Mapping[str, Sequence[ScoredEvent]] = {result.clip.name: result.labels for result in results}
    predictions = {result.clip.name: result.predictions for result in results}
    num_events = sum(map(len, labels.values()))
    report = evaluate(labels, predictions, CLASSES, ("at1",)).results["at1"]
    # A class without labels would count as 0, and most groups of a few clips have no DRIVE.
    present = [name for name in CLASSES.names if any(event.label == name for row in labels.values() for event in row)]
    at1 = float(np.mean([report.per_class[name] for name in present])) if present else None
    return {"clips": len(results), "events": num_events, "at1": at1, "ball": _ball_recall(results)}


def _ball_recall(results: Sequence[ClipResult]) -> dict[str, Any] | None:
    """Share of the labelled balls that the map's peak, alone and linked over time, comes close to."""
    if any(result.peak_error_B is None for result in results):
        return None
    peak_B = np.concatenate([result.peak_error_B for result in results if result.peak_error_B is not None])
    linked_B = np.concatenate([result.linked_error_B for result in results if result.linked_error_B is not None])
    if not len(peak_B):
        return None
    recall: dict[str, Any] = {"positions": len(peak_B)}
    for tolerance in BALL_TOLERANCES:
        name = f"1/{round(1 / tolerance)}"
        recall[f"peak within {name}"] = float((peak_B <= tolerance).mean())
        recall[f"linked within {name}"] = float((linked_B <= tolerance).mean())
    return recall


def record_of(scores: Mapping[str, Any]) -> RealFootageScore:
    """What the weights file records of the scores."""
    at1 = scores["metrics"]["at1"]
    return RealFootageScore(
        at1=round(at1["mAP"], 4),
        low=round(at1["interval"][0], 4),
        high=round(at1["interval"][1], 4),
        clips=scores["clips"],
        events=scores["events"],
    )


def score_tables(scores: Mapping[str, Any]) -> list[FactTable]:
    """The scores as tables in percent: mAP, then the groups, then every clip."""
    title = f"real footage, {scores['clips']} clips, {scores['events']} events"
    rows = [("mAP", *(_percent(scores["metrics"][name]["mAP"]) for name in METRICS))]
    rows.append(
        (f"{CONFIDENCE:.0%} interval over clips", *(_range(scores["metrics"][name]["interval"]) for name in METRICS))
    )
    rows += [
        (label, *(_percent(scores["metrics"][name]["per_class"][label]) for name in METRICS)) for label in CLASSES.names
    ]
    rows.append(("periodic baseline", *(_percent(scores["baseline"][name]) for name in METRICS)))
    metrics = FactTable(title=title, columns=tuple(f"@{name[2:]}" for name in METRICS), rows=tuple(rows))
    groups = [
        _group_table(kind, {"all clips": {**scores, "at1": scores["metrics"]["at1"]["mAP"]}, **groups})
        for kind, groups in scores["groups"].items()
    ]
    return [metrics, *groups, _group_table("clip", scores["per_clip"])]


def _group_table(kind: str, groups: Mapping[str, Mapping[str, Any]]) -> FactTable:
    names = [f"{path} within 1/{round(1 / tolerance)}" for path in ("peak", "linked") for tolerance in BALL_TOLERANCES]
    return FactTable(
        title=kind,
        columns=("clips", "events", "mAP@1", "balls", *(f"ball {name}" for name in names)),
        rows=tuple(
            (
                group,
                str(row["clips"]),
                str(row["events"]),
                _percent(row["at1"]),
                "-" if row["ball"] is None else str(row["ball"]["positions"]),
                *("-" if row["ball"] is None else _percent(row["ball"][name]) for name in names),
            )
            for group, row in groups.items()
        ),
    )


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f}"


def _range(interval: Sequence[float]) -> str:
    return f"{_percent(interval[0])} to {_percent(interval[1])}"

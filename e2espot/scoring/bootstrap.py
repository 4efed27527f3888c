"""How far a score may be off because of which games were scored: a bootstrap over games.

The games are drawn again and again, with replacement, and scored each time. The interval holds the middle of the
scores. It covers the choice of games only, not the seeds of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.scoring.metric import evaluate

CONFIDENCE = 0.9
"""Share of the scores that the interval holds."""


def bootstrap_interval(
    labels: Mapping[str, Sequence[ScoredEvent]],
    predictions: Mapping[str, Sequence[ScoredEvent]],
    label_set: LabelSet,
    metrics: Sequence[str],
    *,
    rounds: int = 200,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Interval of the mAP over draws of the games; the same for the same seed.

    Args:
        labels: Game -> labels.
        predictions: Game -> predictions.
        label_set: Classes that count.
        metrics: Names from ``METRICS``.
        rounds: Number of draws.
        seed: Of the draws.

    Returns:
        Metric -> (low, high), as fractions. A draw without labels of a class counts that class as 0, as the metric
        does.
    """
    games, generator = list(labels), np.random.default_rng(seed)
    scores: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(rounds):
        drawn = [games[index] for index in generator.integers(0, len(games), len(games))]
        # Twice the same game: two games of different names.
        report = evaluate(
            {f"{number}": labels[game] for number, game in enumerate(drawn)},
            {f"{number}": predictions[game] for number, game in enumerate(drawn)},
            label_set,
            metrics,
        )
        for name in metrics:
            scores[name].append(report.mAP(name))
    outside = 50 * (1 - CONFIDENCE)
    return {
        name: (float(np.percentile(values, outside)), float(np.percentile(values, 100 - outside)))
        for name, values in scores.items()
    }

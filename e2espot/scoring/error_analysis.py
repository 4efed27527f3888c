"""What is behind a score: which label each prediction hits, how late, and where the errors are.

Events are matched exactly as the metric matches them (``scoring.metric.match_bins``), so a curve drawn
from here has the average precision of the table. A hit is a true positive, a miss a false negative.

Array suffixes: L = labels, P = predictions, N = labels or predictions, C = classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.scoring.metric import Ranking, bins_of, match_bins


@dataclass(frozen=True, eq=False, kw_only=True)
class EventColumns:
    """Labels or predictions of all games as columns, sorted by game, half, class and time."""

    game_N: np.ndarray
    """int64; index in the list of games."""
    half_N: np.ndarray
    """int64; 1 or 2."""
    class_N: np.ndarray
    """int64; index in the label set."""
    bin_N: np.ndarray
    """int64; time in bins of the metric."""
    value_N: np.ndarray
    """float64; visibility of a label (1, -1) or confidence of a prediction."""

    def __len__(self) -> int:
        """Number of events."""
        return len(self.bin_N)

    def groups(self) -> dict[tuple[int, int, int], slice]:
        """(game, half, class) -> the slice of its rows."""
        if not len(self):
            return {}
        keys_N3 = np.column_stack([self.game_N, self.half_N, self.class_N])
        # Rows are sorted, so a group starts where the key differs from the row before.
        starts = np.flatnonzero(np.append(True, (keys_N3[1:] != keys_N3[:-1]).any(axis=1)))
        stops = np.append(starts[1:], len(self))
        keys = [(int(game), int(half), int(label)) for game, half, label in keys_N3[starts].tolist()]
        return {key: slice(int(start), int(stop)) for key, start, stop in zip(keys, starts, stops, strict=True)}


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A threshold on confidence, and the precision and recall at it, as fractions."""

    value: float
    """Predictions of at least this confidence count; infinite where no threshold gives a hit."""
    precision: float
    """Hits among the predictions at or above the threshold."""
    recall: float
    """Hits among the labels."""
    f1: float
    """Harmonic mean of both."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Matching:
    """Label-prediction matches at one tolerance."""

    labels: EventColumns
    """Every label that the metric counts."""
    predictions: EventColumns
    """Every prediction that the metric counts."""
    partner_P: np.ndarray
    """int64; index of the label that the prediction hits, -1 for none."""
    label_set: LabelSet
    """The classes."""
    framerate: int
    """Bins per second."""
    tolerance_s: float
    """In seconds; a prediction hits a label at most half of this away."""

    @property
    def hits(self) -> np.ndarray:
        """Whether each prediction hits a label: bool ``(P,)``."""
        return self.partner_P >= 0

    def selected(self, threshold_C: np.ndarray) -> np.ndarray:
        """Whether each prediction reaches the threshold of its class: bool ``(P,)``."""
        return np.asarray(self.predictions.value_N >= threshold_C[self.predictions.class_N])

    def missed(self, selected_P: np.ndarray) -> np.ndarray:
        """Whether each label is hit by none of the selected predictions: bool ``(L,)``."""
        missed_L = np.ones(len(self.labels), dtype=bool)
        missed_L[self.partner_P[self.hits & selected_P]] = False
        return missed_L

    def curve(self, class_index: int) -> tuple[np.ndarray, np.ndarray]:
        """Precision and recall of one class, float64 ``(200,)`` each, at the thresholds of the metric."""
        of_class_P = self.predictions.class_N == class_index
        num_labels = int((self.labels.class_N == class_index).sum())
        return Ranking(self.predictions.value_N, of_class_P).precision_recall(self.hits, num_labels)

    def best_thresholds(self) -> list[Threshold]:
        """The threshold of each class with the highest F1."""
        return [
            best_threshold(
                self.predictions.value_N[self.predictions.class_N == class_index],
                self.hits[self.predictions.class_N == class_index],
                int((self.labels.class_N == class_index).sum()),
            )
            for class_index in range(len(self.label_set))
        ]

    def time_errors_s(self, selected_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Time errors of the selected hits.

        Returns:
            Prediction minus label in seconds (positive = late), and the class index of each.
        """
        hit_P = self.hits & selected_P
        late_bins = self.predictions.bin_N[hit_P] - self.labels.bin_N[self.partner_P[hit_P]]
        return late_bins / self.framerate, self.predictions.class_N[hit_P]


def match_events(
    labels: Mapping[str, Sequence[ScoredEvent]],
    predictions: Mapping[str, Sequence[ScoredEvent]],
    label_set: LabelSet,
    tolerances_s: Sequence[float],
    framerate: int = 25,
) -> dict[float, Matching]:
    """Match the predictions of every labelled game at each tolerance, as the metric does.

    Args:
        labels: Game -> labels.
        predictions: Game -> predictions, for these games at least.
        label_set: Classes that count.
        tolerances_s: Tolerances in seconds; a prediction hits a label at most half of one away.
        framerate: Bins per second.

    Returns:
        Tolerance -> matching.
    """
    games = list(labels)
    truth = _columns(labels, games, label_set, framerate, floor=-np.inf)
    # Labels have the values 1 and -1, and all count. A prediction below zero is an empty bin to the metric.
    predicted = _columns(predictions, games, label_set, framerate, floor=0.0)
    label_groups, prediction_groups = truth.groups(), predicted.groups()
    matchings = {}
    for tolerance_s in tolerances_s:
        partner_P = np.full(len(predicted), -1, dtype=np.int64)
        for key, rows in prediction_groups.items():
            label_rows = label_groups.get(key)
            if label_rows is not None:
                delta = round(tolerance_s * framerate)
                partners = match_bins(truth.bin_N[label_rows], predicted.bin_N[rows], predicted.value_N[rows], delta)
                # match_bins counts labels from the start of their group.
                partner_P[rows] = np.where(partners < 0, -1, partners + label_rows.start)
        matchings[tolerance_s] = Matching(
            labels=truth,
            predictions=predicted,
            partner_P=partner_P,
            label_set=label_set,
            framerate=framerate,
            tolerance_s=tolerance_s,
        )
    return matchings


def _columns(
    events: Mapping[str, Sequence[ScoredEvent]],
    games: Sequence[str],
    label_set: LabelSet,
    framerate: int,
    *,
    floor: float,
) -> EventColumns:
    """Events that the metric counts, with a value of at least ``floor``; of several in one bin only the last."""
    # The five columns of each group of events, beginning with an empty group that gives them their types.
    columns: list[list[np.ndarray]] = [[*[np.empty(0, dtype=np.int64)] * 4, np.empty(0)]]
    for game, name in enumerate(games):
        for (half, class_index), (bins, values) in sorted(bins_of(events[name], label_set, framerate, {}).items()):
            counts_N = values >= floor
            group = [np.full(int(counts_N.sum()), number, dtype=np.int64) for number in (game, half, class_index)]
            columns.append([*group, bins[counts_N].astype(np.int64), values[counts_N].astype(np.float64)])
    game_N, half_N, class_N, bin_N, value_N = (np.concatenate(column) for column in zip(*columns, strict=True))
    return EventColumns(game_N=game_N, half_N=half_N, class_N=class_N, bin_N=bin_N, value_N=value_N)


def best_threshold(score_P: np.ndarray, hit_P: np.ndarray, num_labels: int) -> Threshold:
    """Find the threshold of one class with the highest F1; the highest one where several are equal.

    Args:
        score_P: Confidence of each prediction, in any order.
        hit_P: bool ``(P,)``; whether each prediction hits a label.
        num_labels: Number of labels.
    """
    no_hit = Threshold(value=np.inf, precision=0.0, recall=0.0, f1=0.0)
    if not len(score_P) or not num_labels:
        return no_hit
    order = np.argsort(-score_P, kind="stable")
    score_P, hits_above_P = score_P[order], np.cumsum(hit_P[order])
    # A threshold selects equal scores together, so only the last of them is a candidate.
    # scores 0.9 0.5 0.5 0.1 -> True False True True
    is_last_P = np.append(score_P[1:] != score_P[:-1], True)
    # F1 = 2 precision recall / (precision + recall) = 2 TP / (selected + labels)
    f1_P = np.where(is_last_P, 2 * hits_above_P / (np.arange(1, len(score_P) + 1) + num_labels), -1.0)
    best = int(np.argmax(f1_P))
    if f1_P[best] <= 0:
        return no_hit
    return Threshold(
        value=float(score_P[best]),
        precision=float(hits_above_P[best] / (best + 1)),
        recall=float(hits_above_P[best] / num_labels),
        f1=float(f1_P[best]),
    )


def confusion(matching: Matching, selected_P: np.ndarray) -> np.ndarray:
    """Confusion matrix of the selected predictions.

    Hits pair as in the metric. The remaining predictions, the most confident first, pair with the
    nearest remaining label of another class at most half the tolerance away.

    Returns:
        int64 ``(C + 1, C + 1)``: row = class of the label, column = predicted class. The last row holds
        predictions without a label, the last column labels without a prediction.
    """
    labels, predictions = matching.labels, matching.predictions
    no_partner = len(matching.label_set)  # the last row and the last column
    counts = np.zeros((no_partner + 1, no_partner + 1), dtype=np.int64)
    hit_P = matching.hits & selected_P
    # A hit has the class of its label. add.at counts repeated indices, which counts[...] += 1 would not.
    np.add.at(counts, (predictions.class_N[hit_P], predictions.class_N[hit_P]), 1)
    free_L = matching.missed(selected_P)
    remaining = np.flatnonzero(selected_P & ~hit_P)
    # Classes need not be compared: a remaining label near a selected prediction of its own class would have taken it.
    nearby_labels = NearbyEvents(labels, matching.tolerance_s * matching.framerate / 2)
    for index in remaining[np.argsort(-predictions.value_N[remaining], kind="stable")].tolist():
        free = [label for label in nearby_labels.of(predictions, index) if free_L[label]]
        if free:
            label = nearest_of(predictions, index, labels, free)
            free_L[label] = False
            counts[labels.class_N[label], predictions.class_N[index]] += 1
        else:
            counts[no_partner, predictions.class_N[index]] += 1
    np.add.at(counts, (labels.class_N[free_L], np.full(int(free_L.sum()), no_partner)), 1)
    return counts


class NearbyEvents:
    """Finds events of any class near a time in the same half of the same game."""

    def __init__(self, events: EventColumns, radius: float) -> None:
        """Index ``events``; ``radius`` is in bins."""
        self._order = np.lexsort((events.bin_N, events.half_N, events.game_N))
        self._keys = self._key(events.game_N, events.half_N, events.bin_N)[self._order]
        self._radius = radius

    @staticmethod
    def _key(game: np.ndarray, half: np.ndarray, bin_: np.ndarray) -> np.ndarray:
        """One number that sorts by game, half and time, with gaps between halves wider than any radius."""
        # A half has at most 7200 s * 1000 bins, and 10**8 leaves 9 * 10**7 bins between two halves.
        # game 1, half 2, bin 50 -> (1 * 4 + 2) * 10**8 + 50 = 600000050
        return np.asarray((game * 4 + half) * 10**8 + bin_)

    def of(self, events: EventColumns, index: int) -> list[int]:
        """Indices of the indexed events near event ``index`` of ``events``."""
        key = self._key(events.game_N[index], events.half_N[index], events.bin_N[index])
        start = np.searchsorted(self._keys, key - self._radius, side="left")
        stop = np.searchsorted(self._keys, key + self._radius, side="right")
        return [int(nearby) for nearby in self._order[start:stop]]


def nearest_of(events: EventColumns, index: int, others: EventColumns, candidates: Sequence[int]) -> int:
    """The candidate nearest in time to event ``index``, the first of several equally near ones; -1 without any."""
    return min(candidates, key=lambda other: abs(int(others.bin_N[other]) - int(events.bin_N[index])), default=-1)

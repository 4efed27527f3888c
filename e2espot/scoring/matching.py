"""What lies behind a score: which label each prediction hit, how late, and what went wrong where.

Everything is matched as the metric matches (``scoring.metric.match_bins``), so a curve drawn from here
has the very AP that the table shows.

Array suffixes: L = labels, P = predictions that exist, C = classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.scoring.metric import Ranking, bins_of, match_bins


@dataclass(frozen=True, eq=False, kw_only=True)
class EventColumns:
    """Labels or predictions of all games as columns, by game, half, class and time; suffix N: one a mark."""

    game_N: np.ndarray
    """int64; place of the game in the list of games."""
    half_N: np.ndarray
    """int64; 1 or 2."""
    class_N: np.ndarray
    """int64; place of the class in the label set."""
    bin_N: np.ndarray
    """int64; time in bins of the metric."""
    value_N: np.ndarray
    """float64; a label's visibility (1, -1) or a prediction's confidence."""

    def __len__(self) -> int:
        """Number of marks."""
        return len(self.bin_N)

    def groups(self) -> dict[tuple[int, int, int], slice]:
        """(game, half, class) -> where its marks lie."""
        if not len(self):
            return {}
        keys_N3 = np.column_stack([self.game_N, self.half_N, self.class_N])
        firsts = np.flatnonzero(np.append(True, (keys_N3[1:] != keys_N3[:-1]).any(axis=1)))
        ends = np.append(firsts[1:], len(self))
        keys = [(int(game), int(half), int(label)) for game, half, label in keys_N3[firsts].tolist()]
        return {key: slice(int(first), int(end)) for key, first, end in zip(keys, firsts, ends, strict=True)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Matching:
    """Who hit whom at one tolerance."""

    labels: EventColumns
    predictions: EventColumns
    partner_P: np.ndarray
    """int64; the label each prediction hits, -1 for none."""
    label_set: LabelSet
    framerate: int
    """Bins a second."""
    tolerance_s: float
    """Half of it counts to each side."""

    @property
    def hits(self) -> np.ndarray:
        """bool; whether the prediction hits a label."""
        return self.partner_P >= 0

    def kept(self, threshold_C: np.ndarray) -> np.ndarray:
        """bool; whether the prediction reaches its class's threshold."""
        return np.asarray(self.predictions.value_N >= threshold_C[self.predictions.class_N])

    def curve(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Precision and recall of one class at the metric's 200 thresholds."""
        mine_P = self.predictions.class_N == label
        num_labels = int((self.labels.class_N == label).sum())
        return Ranking(self.predictions.value_N, mine_P).precision_recall(self.hits, num_labels)

    def best_thresholds(self) -> list[Threshold]:
        """The threshold of each class at which F1 is highest."""
        return [
            best_threshold(
                self.predictions.value_N[self.predictions.class_N == label],
                self.hits[self.predictions.class_N == label],
                int((self.labels.class_N == label).sum()),
            )
            for label in range(len(self.label_set))
        ]

    def errors_s(self, kept_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Seconds by which the kept hits come late (early: below zero), and their classes."""
        hit_P = self.hits & kept_P
        late = self.predictions.bin_N[hit_P] - self.labels.bin_N[self.partner_P[hit_P]]
        return late / self.framerate, self.predictions.class_N[hit_P]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A threshold on confidence and what it gives, fractions."""

    value: float
    """Predictions of at least this are kept; infinite where nothing is worth keeping."""
    precision: float
    recall: float
    f1: float


def match_events(
    labels: Mapping[str, Sequence[ScoredEvent]],
    predictions: Mapping[str, Sequence[ScoredEvent]],
    label_set: LabelSet,
    tolerances_s: Sequence[float],
    framerate: int = 25,
) -> dict[float, Matching]:
    """Match every labelled game at each tolerance, as the metric does.

    Args:
        labels: Game -> labels.
        predictions: Game -> predictions, for the same games at least.
        label_set: Classes that count.
        tolerances_s: Tolerances in seconds; half of one counts to each side.
        framerate: Bins a second.
    """
    games = list(labels)
    gt = _marks(labels, games, label_set, framerate, floor=-np.inf)
    found = _marks(predictions, games, label_set, framerate, floor=0.0)
    groups_of_labels, groups = gt.groups(), found.groups()
    out = {}
    for tolerance_s in tolerances_s:
        partner_P = np.full(len(found), -1, dtype=np.int64)
        for key, mine in groups.items():
            theirs = groups_of_labels.get(key)
            if theirs is not None:
                delta = round(tolerance_s * framerate)
                partners = match_bins(gt.bin_N[theirs], found.bin_N[mine], found.value_N[mine], delta)
                partner_P[mine] = np.where(partners < 0, -1, partners + theirs.start)
        out[tolerance_s] = Matching(
            labels=gt,
            predictions=found,
            partner_P=partner_P,
            label_set=label_set,
            framerate=framerate,
            tolerance_s=tolerance_s,
        )
    return out


def _marks(
    entries: Mapping[str, Sequence[ScoredEvent]],
    games: Sequence[str],
    label_set: LabelSet,
    framerate: int,
    *,
    floor: float,
) -> EventColumns:
    """Entries that the metric counts and whose value is at least ``floor``; of two in one bin it knows the later."""
    columns: list[list[np.ndarray]] = [[*[np.empty(0, dtype=np.int64)] * 4, np.empty(0)]]
    for game, name in enumerate(games):
        for (half, label), (bins, values) in sorted(bins_of(entries[name], label_set, framerate, {}).items()):
            exists = values >= floor
            count = int(exists.sum())
            same = [np.full(count, number, dtype=np.int64) for number in (game, half, label)]
            columns.append([*same, bins[exists].astype(np.int64), values[exists].astype(np.float64)])
    game_N, half_N, class_N, bin_N, value_N = (np.concatenate(column) for column in zip(*columns, strict=True))
    return EventColumns(game_N=game_N, half_N=half_N, class_N=class_N, bin_N=bin_N, value_N=value_N)


def best_threshold(score_P: np.ndarray, hit_P: np.ndarray, num_labels: int) -> Threshold:
    """Where F1 of one class is highest; of equal ones the highest threshold."""
    if not len(score_P) or not num_labels:
        return Threshold(value=np.inf, precision=0.0, recall=0.0, f1=0.0)
    order = np.argsort(-score_P, kind="stable")
    score_P, found_P = score_P[order], np.cumsum(hit_P[order])
    last_P = np.append(score_P[1:] != score_P[:-1], True)  # equal scores are kept or dropped together
    f1_P = np.where(last_P, 2 * found_P / (np.arange(1, len(score_P) + 1) + num_labels), -1.0)
    best = int(np.argmax(f1_P))
    if f1_P[best] <= 0:
        return Threshold(value=np.inf, precision=0.0, recall=0.0, f1=0.0)
    return Threshold(
        value=float(score_P[best]),
        precision=float(found_P[best] / (best + 1)),
        recall=float(found_P[best] / num_labels),
        f1=float(f1_P[best]),
    )


def confusion(matching: Matching, kept_P: np.ndarray) -> np.ndarray:
    """What was said where something happened.

    Hits pair as in the metric. Labels and predictions left over pair with the nearest of another
    class within half the tolerance, the most confident prediction first.

    Returns:
        int64 ``(C + 1, C + 1)``: row = class of the label, column = class said; the last row is
        "no label there", the last column "nothing said".
    """
    labels, found = matching.labels, matching.predictions
    nothing = len(matching.label_set)
    out = np.zeros((nothing + 1, nothing + 1), dtype=np.int64)
    hit_P = matching.hits & kept_P
    np.add.at(out, (found.class_N[hit_P], found.class_N[hit_P]), 1)
    free_L = np.ones(len(labels), dtype=bool)
    free_L[matching.partner_P[hit_P]] = False
    left = np.flatnonzero(kept_P & ~hit_P)
    near = _Near(labels, matching.tolerance_s * matching.framerate / 2)
    for place in left[np.argsort(-found.value_N[left], kind="stable")].tolist():
        choice = [label for label in near.to(found, place) if free_L[label]]
        if choice:
            label = min(choice, key=lambda label: abs(int(labels.bin_N[label]) - int(found.bin_N[place])))
            free_L[label] = False
            out[labels.class_N[label], found.class_N[place]] += 1
        else:
            out[nothing, found.class_N[place]] += 1
    np.add.at(out, (labels.class_N[free_L], np.full(int(free_L.sum()), nothing)), 1)
    return out


class _Near:
    """Finds marks of any class near a time in the same half of the same game."""

    def __init__(self, marks: EventColumns, reach: float) -> None:
        """Index ``marks``; ``reach`` is in bins, to each side."""
        self._order = np.lexsort((marks.bin_N, marks.half_N, marks.game_N))
        self._keys = self._key(marks.game_N, marks.half_N, marks.bin_N)[self._order]
        self._reach = reach

    @staticmethod
    def _key(game: np.ndarray, half: np.ndarray, place: np.ndarray) -> np.ndarray:
        return np.asarray((game * 4 + half) * 10**8 + place)

    def to(self, marks: EventColumns, at: int) -> list[int]:
        """Places of the indexed marks near mark ``at`` of ``marks``."""
        key = self._key(marks.game_N[at], marks.half_N[at], marks.bin_N[at])
        first = np.searchsorted(self._keys, key - self._reach, side="left")
        end = np.searchsorted(self._keys, key + self._reach, side="right")
        return [int(place) for place in self._order[first:end]]


@dataclass(frozen=True, kw_only=True)
class ErrorExample:
    """A miss or a false alarm, and what lies around it."""

    kind: Literal["miss", "false alarm"]
    game: int
    half: int
    label: int
    """Place of its class in the label set."""
    bin: int
    score: float
    """False alarm: its confidence. Miss: the highest of its class within the tolerance, 0 for none."""
    neighbour: int
    """Class of the nearest mark of the other side within two seconds, -1 for none."""
    neighbour_s: float
    """Seconds from the case to that mark; below zero it is earlier."""
    neighbour_score: float
    """Confidence of that mark where it is a prediction."""
    taken: bool
    """False alarm: the neighbour is of its class and already has a hit."""


NEIGHBOUR_S = 2.0


def worst_misses(matching: Matching, kept_P: np.ndarray, count: int) -> list[ErrorExample]:
    """Labels no kept prediction hits, those with the least score first; of equal ones the earlier."""
    labels, found = matching.labels, matching.predictions
    missed_L = np.ones(len(labels), dtype=bool)
    missed_L[matching.partner_P[matching.hits & kept_P]] = False
    within, around = (
        _Near(found, matching.tolerance_s * matching.framerate / 2),
        _Near(found, NEIGHBOUR_S * matching.framerate),
    )
    best = {}
    for place in np.flatnonzero(missed_L).tolist():
        own = [p for p in within.to(labels, place) if found.class_N[p] == labels.class_N[place]]
        best[place] = max((float(found.value_N[p]) for p in own), default=0.0)
    chosen = sorted(best, key=lambda place: (best[place], place))[:count]
    cases = []
    for place in chosen:
        kept = [p for p in around.to(labels, place) if kept_P[p]]
        cases.append(_case("miss", labels, place, best[place], found, kept, matching.framerate, taken=False))
    return cases


def top_false_positives(matching: Matching, count: int) -> list[ErrorExample]:
    """Predictions that hit nothing, the most confident first."""
    labels, found = matching.labels, matching.predictions
    wrong = np.flatnonzero(~matching.hits)
    around = _Near(labels, NEIGHBOUR_S * matching.framerate)
    has_hit_L = np.zeros(len(labels), dtype=bool)
    has_hit_L[matching.partner_P[matching.hits]] = True
    cases = []
    for place in wrong[np.argsort(-found.value_N[wrong], kind="stable")][:count].tolist():
        near = around.to(found, place)
        nearest = _nearest(found, place, labels, near)
        taken = nearest >= 0 and bool(has_hit_L[nearest]) and labels.class_N[nearest] == found.class_N[place]
        score = float(found.value_N[place])
        cases.append(_case("false alarm", found, place, score, labels, near, matching.framerate, taken=taken))
    return cases


def _nearest(of: EventColumns, place: int, marks: EventColumns, near: Sequence[int]) -> int:
    return min(near, key=lambda other: abs(int(marks.bin_N[other]) - int(of.bin_N[place])), default=-1)


def _case(
    kind: Literal["miss", "false alarm"],
    of: EventColumns,
    place: int,
    score: float,
    marks: EventColumns,
    near: Sequence[int],
    framerate: int,
    *,
    taken: bool,
) -> ErrorExample:
    nearest = _nearest(of, place, marks, near)
    return ErrorExample(
        kind=kind,
        game=int(of.game_N[place]),
        half=int(of.half_N[place]),
        label=int(of.class_N[place]),
        bin=int(of.bin_N[place]),
        score=score,
        neighbour=int(marks.class_N[nearest]) if nearest >= 0 else -1,
        neighbour_s=(int(marks.bin_N[nearest]) - int(of.bin_N[place])) / framerate if nearest >= 0 else 0.0,
        neighbour_score=float(marks.value_N[nearest]) if nearest >= 0 else 0.0,
        taken=taken,
    )

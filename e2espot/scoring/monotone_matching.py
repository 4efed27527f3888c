r"""Matches labels with inexact times to the moments at which a spotter sees events, keeping their order.

The labels of a feed are in the right order, and each is within a window of its true moment. So the best matching is a
chain: the later of two labels has the later prediction, and no prediction serves twice::

    labels          a      b   c            d
                     \     |    \           |
    predictions   .   1  . 2  .  3     .    4        what is not matched is a false alarm or was not seen
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from e2espot.scoring.clock_offset import Moment

Pair = tuple[int, int, float]
"""Index of a label, index of a prediction, and what it is worth to match them, above 0."""


def match_in_order(
    labels: Sequence[Moment], predictions: Sequence[Moment], window_ms: int, min_confidence: float = 0.0
) -> list[int | None]:
    """Index of the prediction of each label; None for a label without one.

    Of all matchings that keep the order, the one with the largest sum of gains is chosen. A pair of one class gains
    ``confidence * (1 - (distance / window) ** 2)``, so a confident prediction may win over a nearer weak one.

    Args:
        labels: In order of time, with the right clock.
        predictions: In order of time.
        window_ms: A label is matched to predictions nearer than this.
        min_confidence: Weaker predictions are left out.
    """
    times_ms = [moment.position_ms for moment in predictions]
    pairs: list[Pair] = []
    for number, label in enumerate(labels):
        first = bisect_right(times_ms, label.position_ms - window_ms)
        stop = bisect_left(times_ms, label.position_ms + window_ms)
        for index in range(first, stop):
            prediction = predictions[index]
            if prediction.label == label.label and prediction.value >= min_confidence:
                distance = (prediction.position_ms - label.position_ms) / window_ms
                pairs.append((number, index, prediction.value * (1 - distance**2)))
    matched: list[int | None] = [None] * len(labels)
    for number, index, _ in best_chain(pairs, len(predictions)):
        matched[number] = index
    return matched


def best_chain(pairs: Sequence[Pair], num_predictions: int) -> list[Pair]:
    """The chain of pairs with the largest sum of gains, ascending in both indexes.

    Dynamic programming over the pairs in order of their labels: the best chain that ends with a pair is the best one
    that ends before its prediction, plus the pair. A Fenwick tree over the predictions holds the best chain up to each,
    so the time is O(n log m) for n pairs and m predictions.

    # (0, 5, 1.0), (1, 3, 0.9), (2, 4, 0.8) -> the last two, 1.7: the first one crosses them
    """
    totals = [0.0] * len(pairs)
    previous = [-1] * len(pairs)
    tree = [-1] * (num_predictions + 1)
    """Node i holds the end of the best chain among predictions (i - lowbit(i), i], counted from 1; -1 for none."""

    def total(end: int) -> float:
        return totals[end] if end >= 0 else 0.0

    # The pairs of one label are entered from the last prediction to the first, so that none continues another.
    order = sorted(range(len(pairs)), key=lambda number: (pairs[number][0], -pairs[number][1]))
    for number in order:
        _, prediction, gain = pairs[number]
        end, node = -1, prediction  # the predictions before this one are the nodes up to its own index
        while node > 0:
            if total(tree[node]) > total(end):
                end = tree[node]
            node -= node & -node
        totals[number], previous[number] = total(end) + gain, end
        node = prediction + 1
        while node <= num_predictions:
            if totals[number] > total(tree[node]):
                tree[node] = number
            node += node & -node
    end = max(range(len(pairs)), key=totals.__getitem__, default=-1)
    chain = []
    while end >= 0:
        chain.append(pairs[end])
        end = previous[end]
    return chain[::-1]

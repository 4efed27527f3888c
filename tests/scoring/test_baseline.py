from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.scoring import evaluate_events
from e2espot.scoring.baseline import PeriodicBaseline, fit_periodic_baseline

LABELS = LabelSet(("PASS", "DRIVE"))
FPS = Fraction(25)


def every(seconds: float, label: str, frames: int) -> list[Event]:
    return [Event(frame=int(k), label=label) for k in np.arange(20, frames, seconds * 25)]


def test_predictions_are_evenly_spaced_inside_each_half() -> None:
    baseline = PeriodicBaseline(spacing_s={"PASS": Fraction(2), "DRIVE": Fraction(7, 2)})
    events = baseline.predict({1: 1000, 2: 130}, FPS)
    assert [event.frame for event in events if (event.label, event.half) == ("PASS", 2)] == [25, 75]
    first = [event.frame for event in events if (event.label, event.half) == ("DRIVE", 1)]
    assert set(np.diff(first)) <= {87, 88}
    assert max(first) < 1000


def test_fit_periodic_baseline_finds_best_spacing_on_its_games() -> None:
    labels = {"a": every(2.0, "PASS", 3000) + every(5.1, "DRIVE", 3000), "b": every(2.0, "PASS", 2000)}
    lengths = {"a": {1: 3000}, "b": {1: 2000}}
    fitted = fit_periodic_baseline(labels, lengths, LABELS, FPS)

    def value(baseline: PeriodicBaseline, label: str) -> float:
        predictions = {game: baseline.predict(lengths[game], FPS) for game in labels}
        return evaluate_events(labels, predictions, LABELS, ("at1",), FPS).results["at1"].per_class[label]

    for label in LABELS.names:
        best = value(fitted, label)
        for seconds in (Fraction(1, 2), Fraction(1), Fraction(2), Fraction(5)):
            assert value(PeriodicBaseline(spacing_s={**fitted.spacing_s, label: seconds}), label) <= best
    assert value(fitted, "PASS") > 0.85


@given(
    st.fractions(Fraction(1, 5), 12),
    st.dictionaries(st.sampled_from([1, 2]), st.integers(0, 400), min_size=1),
    st.sampled_from([Fraction(25), Fraction(25, 2), Fraction(30000, 1001)]),
)
def test_predict_puts_one_event_in_the_middle_of_every_whole_interval(
    spacing_s: Fraction, num_frames: dict[int, int], fps: Fraction
) -> None:
    events = PeriodicBaseline(spacing_s={"PASS": spacing_s}).predict(num_frames, fps)
    for half, length in num_frames.items():
        frames = [event.frame for event in events if event.half == half]
        assert len(frames) == length // (spacing_s * fps)
        for number, frame in enumerate(frames):
            assert frame <= (number + Fraction(1, 2)) * spacing_s * fps < frame + 1
    assert all((event.confidence, event.fps) == (0.5, fps) for event in events)
    assert [(event.half, event.frame) for event in events] == sorted((event.half, event.frame) for event in events)


def test_fit_periodic_baseline_takes_the_shortest_interval_for_a_class_without_labels() -> None:
    fitted = fit_periodic_baseline({"a": every(2.0, "PASS", 1000)}, {"a": {1: 1000}}, LABELS, FPS)
    assert fitted.spacing_s["DRIVE"] == Fraction(2, 5)

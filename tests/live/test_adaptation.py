"""A stream is adapted to by a look at its first minute; what was decided before stays, and no frame is lost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from e2espot.core.events import Event
from e2espot.inference.adapt import adapt_to_clips
from e2espot.inference.options import InferenceOptions
from e2espot.live.adaptation import Handover, StreamAdapter
from e2espot.live.ring import LiveFrame
from e2espot.live.spotter import LiveSpotter
from e2espot.models import Spotter
from e2espot.suppression import Calibration
from e2espot.suppression.nms import Suppression
from tests.support.tiny_dataset import TOY_SPEC

OPTIONS = InferenceOptions(precision="fp32", look_ahead=0.4)
CALIBRATION = Calibration(suppression=Suppression(method="pairwise", window_s=0.16), rivals=("PASS", "DRIVE"))
LEVELS = np.random.default_rng(0).integers(0, 256, (40, 32, 48, 3), dtype=np.uint8)
LOOK_S = 4.0
"""50 frames: three clips of 16, at 0, 17 and 34."""


@pytest.fixture(scope="module")
def network() -> Spotter:
    torch.manual_seed(0)
    return Spotter(dataclasses.replace(TOY_SPEC, width=48, height=32, classes=("PASS", "DRIVE"))).eval()


def picture(number: int) -> np.ndarray:
    return LEVELS[number % len(LEVELS)]


def push(spotter: LiveSpotter, numbers: range, first: int = 0) -> list[Event]:
    """Frames in pieces of four; ``first`` is the picture of frame 0."""
    events = list[Event]()
    for start in numbers[::4]:
        piece = range(start, min(start + 4, numbers.stop))
        events += spotter.push([LiveFrame(number, picture(number + first), 0.0) for number in piece])
    return events


def rounded(events: list[Event], first: int, stop: int, moved: int = 0) -> list[tuple[int, str, float]]:
    return sorted(
        (event.frame + moved, event.label, round(event.confidence, 5))
        for event in events
        if first <= event.frame + moved < stop
    )


class Delayed:
    """Stands in for a network: the row of a frame is its number, so many frames late."""

    def __init__(self, first: int, delay: int, sign: int) -> None:
        self._next, self._delay, self._sign, self._waiting = first, delay, sign, list[int]()

    def add(self, frames_THWC: torch.Tensor) -> np.ndarray:
        self._waiting += range(self._next, self._next + len(frames_THWC))
        self._next += len(frames_THWC)
        ready = self._waiting[: max(0, len(self._waiting) - self._delay)]
        del self._waiting[: len(ready)]
        return self._sign * np.array(ready, dtype=np.float32)[:, None]

    def finish(self) -> np.ndarray:
        self._delay = 0
        return self.add(torch.zeros(0))

    def drop_mirror(self) -> bool:
        return False


@pytest.mark.parametrize("delays", [(5, 5), (9, 2), (2, 9)])
@pytest.mark.parametrize("piece_len", [1, 4, 30])
def test_handover_gives_each_row_once_and_in_order(delays: tuple[int, int], piece_len: int) -> None:
    for length in (0, 3, 8, 30):  # ends before, at and after the new network takes over
        first = Delayed(1, delays[0], 1)
        rows = [first.add(torch.zeros(20))]
        handover = Handover(first, Delayed(21, delays[1], -1), num_rows=20 - len(rows[0]), overlap=8)
        for start in range(0, length, piece_len):
            rows.append(handover.add(torch.zeros(min(piece_len, length - start))))
        rows.append(handover.finish())
        numbers = np.concatenate(rows)[:, 0].astype(int).tolist()
        assert numbers == [number if number <= 28 else -number for number in range(1, 21 + length)]


def test_adapter_takes_clips_all_over_the_first_minute_and_starts_clips_with_a_gap_again(network: Spotter) -> None:
    adapter = StreamAdapter(network, "auto", look_s=LOOK_S, in_background=False)
    adapter.add(np.stack([picture(number) for number in range(20)]))
    adapter.interrupt()  # at 20, in the second clip: 17 to 19 are dropped
    adapter.add(np.stack([picture(number) for number in range(20, 49)]))
    assert adapter.take() is None
    adapter.add(np.stack([picture(number) for number in range(49, 60)]))
    taken = adapter.take()
    assert taken is not None
    clips = [np.stack([picture(number) for number in range(start, start + 16)]) for start in (0, 20, 36)]
    expected, adaptation = adapt_to_clips(network, [np.stack(clips)], "auto")
    assert taken[1] == adaptation and taken[1].num_frames == 48
    states = taken[0].state_dict(), expected.state_dict()
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


@pytest.mark.parametrize("options", [OPTIONS, dataclasses.replace(OPTIONS, look_ahead=None, flip=True)], ids=str)
def test_adapted_network_takes_over_a_window_after_its_start(network: Spotter, options: InferenceOptions) -> None:
    delay_s = None if options.look_ahead is None else 0.4
    adapter = StreamAdapter(network, "statistics", look_s=LOOK_S, in_background=False)
    spotter = LiveSpotter(network, CALIBRATION, options, delay_s, adapter=adapter)
    events = push(spotter, range(121)) + spotter.finish()
    taken = adapter.take()
    assert taken is not None and spotter.adaptation is not None
    # The third clip ends with frame 49, so with the piece of frames 48 to 51; the head's window is 16 frames.
    start, switch = 52, 68
    assert spotter.adaptation.from_ms == 1000 * switch / 12.5
    before = LiveSpotter(network, CALIBRATION, options, delay_s)
    after = LiveSpotter(taken[0], CALIBRATION, options, delay_s, adaptation=taken[1])
    unadapted = push(before, range(121)) + before.finish()
    adapted = push(after, range(121 - start), start) + after.finish()
    # Events within the suppression's window of the change see scores of both; rivals become stronger with the start.
    assert rounded(events, 0, 30) == rounded(unadapted, 0, 30) != []
    assert rounded(events, switch + 12, 121) == rounded(adapted, switch + 12, 121, start) != []
    assert rounded(adapted, switch + 12, 121, start) != rounded(unadapted, switch + 12, 121)
    assert spotter.coverage is None


@pytest.mark.parametrize(("own_s", "same_s"), [(0.16, 0.16), (4.0, 0.4)])
def test_an_adapted_network_may_see_less_than_the_latency_allows(
    network: Spotter, own_s: float, same_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = LiveSpotter(network, CALIBRATION, dataclasses.replace(OPTIONS, look_ahead=same_s), 0.4)
    monkeypatch.setattr(network, "spec", dataclasses.replace(network.spec, look_ahead_s=own_s))
    spotter = LiveSpotter(network, CALIBRATION, OPTIONS, 0.4)
    assert push(spotter, range(60)) + spotter.finish() == push(expected, range(60)) + expected.finish() != []


def test_pauses_before_and_during_the_change_lose_no_frame(network: Spotter) -> None:
    spotters = []
    for pauses in ((), (48, 60)):  # scores are settled before the adapted network starts, and while both run
        adapter = StreamAdapter(network, "statistics", look_s=LOOK_S, in_background=False)
        spotters.append(LiveSpotter(network, CALIBRATION, OPTIONS, 0.4, adapter=adapter))
        events = push(spotters[-1], range(48))
        for start in range(48, 100, 4):
            if start in pauses:
                events += spotters[-1].settle(start - 2)
                assert spotters[-1].num_scored >= start - 2
            events += push(spotters[-1], range(start, start + 4))
        events += spotters[-1].finish()
        assert spotters[-1].num_scored == 100
        assert len({(event.frame, event.label) for event in events}) == len(events)
    assert spotters[0].adaptation == spotters[1].adaptation


def test_a_thread_measures_the_same_while_the_stream_goes_on(network: Spotter) -> None:
    results = []
    for in_background in (False, True):
        adapter = StreamAdapter(network, "auto", look_s=LOOK_S, in_background=in_background)
        spotter = LiveSpotter(network, CALIBRATION, OPTIONS, 0.4, adapter=adapter)
        push(spotter, range(52))
        assert adapter.wait(300)
        push(spotter, range(52, 60))
        taken = adapter.take()
        assert taken is not None and spotter.adaptation is not None
        results.append(taken)
    states = [spotter.state_dict() for spotter, _ in results]
    assert results[0][1] == results[1][1]
    assert all(torch.allclose(states[0][name], value) for name, value in states[1].items())


def test_streams_that_end_early_or_come_too_fast_are_not_adapted(network: Spotter) -> None:
    adapter = StreamAdapter(network, "auto", look_s=LOOK_S)
    spotter = LiveSpotter(network, CALIBRATION, OPTIONS, 0.4, adapter=adapter)
    assert push(spotter, range(40)) + spotter.finish() and spotter.adaptation is None
    adapter = StreamAdapter(network, "auto", look_s=LOOK_S, in_background=False)
    spotter = LiveSpotter(network, CALIBRATION, OPTIONS, 0.4, adapter=adapter)
    events = push(spotter, range(40))
    assert spotter.do_less() == "the adaptation to it"
    events += push(spotter, range(40, 100))
    assert spotter.adaptation is None
    adapter = StreamAdapter(network, "auto", look_s=LOOK_S, in_background=False)
    spotter = LiveSpotter(network, CALIBRATION, OPTIONS, 0.4, adapter=adapter)
    events = push(spotter, range(60))
    assert spotter.do_less() == "the network that was not adapted"
    assert spotter.do_less() == "every second frame"
    events += push(spotter, range(60, 100)) + spotter.finish()
    assert len({(event.frame, event.label) for event in events}) == len(events) and spotter.coverage is None
    assert max(event.frame for event in events) > 90

"""The live spotter: gaps, memory, doing less, and how a session ends."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.cli import live
from e2espot.core.device import Precision
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.events import Event
from e2espot.inference.options import InferenceOptions
from e2espot.inference.score_stream import ScoreStream
from e2espot.live.latency import plan_latency
from e2espot.live.ring import LiveFrame
from e2espot.live.spotter import LiveSpotter
from e2espot.models import Spotter
from e2espot.suppression import Calibration
from tests.live.senders import in_background, numbered_stream, send, wait_for_listener
from tests.live.test_stream_reader import free_port
from tests.support.tiny_dataset import TOY_SPEC, write_spotter

OPTIONS = InferenceOptions(precision="fp32", adapt="none", look_ahead=0.4)


@pytest.fixture(scope="module")
def network() -> Spotter:
    torch.manual_seed(0)
    return Spotter(dataclasses.replace(TOY_SPEC, width=48, height=32)).eval()


def frames(numbers: list[int]) -> list[LiveFrame]:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (50, 32, 48, 3), dtype=np.uint8)
    return [LiveFrame(number, levels[number % 50], 0.0) for number in numbers]


def run(spotter: LiveSpotter, numbers: list[int], piece: int = 4) -> list[Event]:
    events: list[Event] = []
    for start in range(0, len(numbers), piece):
        events += spotter.push(frames(numbers[start : start + piece]))
    return events + spotter.finish()


@pytest.mark.parametrize("gap", [range(40, 60), range(40, 40 + 12 * 3600 * 12)])
def test_gaps_hold_no_event_and_cost_nothing(network: Spotter, gap: range) -> None:
    numbers = [*range(40), *range(gap.stop, gap.stop + 60)]
    spotter = LiveSpotter(network, Calibration(), OPTIONS, 0.4)
    events = run(spotter, numbers)
    assert spotter.coverage is not None
    assert spotter.coverage.ranges == (range(40), range(gap.stop, gap.stop + 60))
    assert not [event for event in events if event.frame in gap]
    assert {event.frame < 40 for event in events} == {True, False}


def test_twelve_hours_are_held_in_constant_memory(network: Spotter) -> None:
    spotter = LiveSpotter(network, Calibration(), OPTIONS, 0.4)
    held = []
    for start in range(0, 600, 4):
        spotter.push(frames(list(range(start, start + 4))))
        held.append(spotter.num_held)
    assert max(held[50:]) == max(held[:50]) <= 7 + 5 + 4


def rows_of(network: Spotter, numbers: list[int], pauses: dict[int, list[int]], flip: bool = False) -> np.ndarray:
    """Final scores of all frames; after frame k, pictures stay out until each of the frames ``pauses[k]`` is due."""
    spotter = LiveSpotter(network, Calibration(), dataclasses.replace(OPTIONS, flip=flip), 0.4)
    rows: list[np.ndarray] = []
    calibration = spotter._calibration
    add = calibration.add
    calibration.add = lambda rows_TK, **more: rows.append(rows_TK) or add(rows_TK, **more)  # type: ignore[method-assign, func-returns-value]
    for number in numbers:
        spotter.push(frames([number]))
        for stop in pauses.get(number, []):
            spotter.settle(stop, decides_all=stop > number)
            assert spotter.num_scored >= stop
    spotter.finish()
    return np.concatenate(rows)


@pytest.mark.parametrize("flip", [False, True])
def test_settled_scores_are_those_of_a_video_that_ends_there_and_the_rest_go_on(network: Spotter, flip: bool) -> None:
    numbers = list(range(90))
    whole, ended = rows_of(network, numbers, {}, flip), rows_of(network, numbers[:61], {}, flip)
    settled = rows_of(network, numbers, {60: [52, 53, 57]}, flip)
    assert len(settled) == 90 and not np.array_equal(whole[50:57], settled[50:57])
    # In batches of other sizes convolutions sum in another order.
    np.testing.assert_allclose(settled[:57], ended[:57], atol=1e-5)
    np.testing.assert_array_equal(settled[57:], whole[57:])
    all_settled = rows_of(network, numbers, {60: [61]}, flip)
    np.testing.assert_allclose(all_settled[:61], ended, atol=1e-5)
    np.testing.assert_array_equal(all_settled[61:], whole[61:])


@pytest.mark.parametrize("feature_arch", ["small_gsm", "rny002_gsm", "rn18_tsm"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_copy_of_a_stream_leaves_the_stream_as_it_is(feature_arch: str, precision: Precision) -> None:
    spotter = Spotter(dataclasses.replace(TOY_SPEC, width=48, height=32, feature_arch=feature_arch)).eval()
    options = dataclasses.replace(OPTIONS, precision=precision)
    levels_THWC = torch.from_numpy(np.stack([frame.rgb_HWC for frame in frames(list(range(50)))]))
    with torch.inference_mode():
        copied, untouched = ScoreStream(spotter, options), ScoreStream(spotter, options)
        for stream in (copied, untouched):
            stream.add(levels_THWC[:40])
        ending = copy.deepcopy(copied, {id(spotter): spotter})
        assert len(ending.finish()) == spotter.halo + 5
        np.testing.assert_array_equal(copied.add(levels_THWC[40:]), untouched.add(levels_THWC[40:]))


def test_events_settled_in_silence_are_never_withdrawn_or_moved(network: Spotter) -> None:
    spotter = LiveSpotter(network, Calibration(), OPTIONS, 0.4)
    spotter.push(frames(list(range(60))))
    settled = spotter.settle(60, decides_all=True)
    ended = LiveSpotter(network, Calibration(), OPTIONS, 0.4)
    expected = [*ended.push(frames(list(range(60)))), *ended.finish()]
    assert settled and settled == expected[-len(settled) :]
    assert max(event.frame for event in settled) > 50
    assert not spotter.settle(60, decides_all=True)
    later = spotter.push(frames(list(range(60, 120)))) + spotter.finish()
    assert later and min(event.frame for event in later) >= 60
    assert spotter.coverage is None and spotter.num_frames == 120
    # A gap after the silence, as when the sender restarts: no event in it, and what was settled stays.
    spotter = LiveSpotter(network, Calibration(), OPTIONS, 0.4)
    spotter.push(frames(list(range(60))))
    spotter.settle(60, decides_all=True)
    later = spotter.push(frames(list(range(200, 240)))) + spotter.finish()
    assert later and min(event.frame for event in later) >= 200


def test_too_slow_machines_drop_the_mirror_then_every_second_frame(network: Spotter) -> None:
    spotter = LiveSpotter(network, Calibration(), dataclasses.replace(OPTIONS, flip=True), 0.4)
    events = spotter.push(frames(list(range(40))))
    assert spotter.do_less() == "the mirrored image"
    events += spotter.push(frames(list(range(40, 80))))
    assert spotter.do_less() == "every second frame"
    assert spotter.do_less() is None
    events += spotter.push(frames(list(range(80, 121)))) + spotter.finish()
    assert spotter.coverage is None and spotter.num_frames == 121
    assert all(0 <= event.frame < 121 for event in events)
    assert len({event.frame for event in events}) == len(events)
    assert max(event.frame for event in events) > 110


def test_latency_is_divided_and_too_little_is_refused(network: Spotter) -> None:
    for latency_s in (1.5, 2.0, 3.0, 60.0):
        look_ahead_s, delay_s, piece = plan_latency(network, Calibration(), latency_s)
        total_s = look_ahead_s + delay_s + (network.halo + piece + 1) / 12.5
        assert total_s <= latency_s and 0 <= delay_s <= 0.8 and piece >= 1
    with pytest.raises(ConfigurationError, match="at least"):
        plan_latency(network, Calibration(), 0.3)


def test_exit_codes_separate_lost_from_refused(tmp_path: Path) -> None:
    run_file = write_spotter(tmp_path / "toy.safetensors")
    common = ["--give_up", "2", "-o"]
    with pytest.raises(VideoError, match="refused"):
        live.main([str(run_file), f"tcp://127.0.0.1:{free_port()}", *common, str(tmp_path / "refused")])
    assert not (tmp_path / "refused" / "events.jsonl").exists()  # so that another try may use the folder
    stream, port = numbered_stream(tmp_path, 50), free_port()
    url = f"tcp://127.0.0.1:{port}"

    def push() -> None:
        wait_for_listener(port)
        send(stream, url, format="mpegts", speed=3.0)

    with in_background(push), pytest.raises(SystemExit) as caught:
        live.main(
            [str(run_file), url, *common, str(tmp_path / "lost"), "--listen", "--record", str(tmp_path / "match.mkv")]
        )
    assert caught.value.code == live.EXIT_LOST
    assert (tmp_path / "lost" / "match" / "results_spotting.json").is_file()
    assert (tmp_path / "match.mkv").stat().st_size > 1000

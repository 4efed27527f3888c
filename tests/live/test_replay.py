"""A replayed file gives the events of inference, and its lines are what the results say."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.cli import infer, live
from e2espot.core.errors import ConfigurationError, E2ESpotError
from tests.support.tiny_dataset import TOY_SPEC, write_game, write_spotter

RESULTS = "results_spotting.json"


@pytest.fixture(scope="module")
def match(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live") / "game"
    write_game(folder, 1, num_frames=200)
    return folder / "224p.mp4"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)  # of some random weights no score is above the threshold below
    return write_spotter(tmp_path_factory.mktemp("run") / "toy.safetensors")


def predictions(folder: Path) -> list[dict[str, str]]:
    return json.loads((folder / RESULTS).read_text())["predictions"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("spec", "flags"),
    [
        ({"classes": ("PASS", "DRIVE")}, ()),  # adapted, with rivals
        ({"classes": ("PASS", "DRIVE"), "team": True}, ("--adapt", "none", "--flip")),
        ({"displacement": True}, ("--adapt", "statistics")),
        ({"double_rate_output": True}, ("--adapt", "none")),
    ],
    ids=str,
)
def test_unlimited_replay_equals_inference(
    match: Path, tmp_path: Path, spec: dict[str, object], flags: tuple[str, ...]
) -> None:
    run = write_spotter(tmp_path / "toy.safetensors", replace(TOY_SPEC, **spec))  # type: ignore[arg-type]
    infer.main([str(run), str(match), "-o", str(tmp_path / "infer"), *flags])
    live.main(
        [str(run), str(match), "-o", str(tmp_path / "live"), "--replay", "--unpaced", "--latency", "none", *flags]
    )
    of_infer, of_live = (tmp_path / name / "224p" / RESULTS for name in ("infer", "live"))
    assert of_live.read_bytes() == of_infer.read_bytes()
    assert ("adapted" in json.loads(of_live.read_text())) == ("none" not in flags)


@pytest.mark.parametrize("spec", [{}, {"displacement": True}, {"double_rate_output": True}], ids=str)
def test_bounded_replay_has_the_scores_of_inference_with_that_look_ahead(
    match: Path, tmp_path: Path, spec: dict[str, bool]
) -> None:
    from e2espot.inference.adapt import adapt_to_video
    from e2espot.inference.options import InferenceOptions
    from e2espot.inference.predict import spot_video
    from e2espot.live.replay import FileReplay
    from e2espot.live.spotter import LiveSpotter
    from e2espot.models import load_spotter
    from e2espot.suppression import Calibration
    from e2espot.suppression.nms import Suppression

    # Without suppression every frame is an event, with its score.
    every_frame = Calibration(suppression=Suppression(method="gaussian", window_s=0.01, sigma_s=1e-4, floor=1e-9))
    spotter = load_spotter(write_spotter(tmp_path / "toy.safetensors", replace(TOY_SPEC, **spec)))  # type: ignore[arg-type]
    options = InferenceOptions(precision="fp32", look_ahead=0.4)
    scores = spot_video(spotter, match, options)
    adapted, adaptation = adapt_to_video(spotter, match, options)
    reader = FileReplay(match, fps=spotter.fps, size=(96, 64), options=options, ring_len=64, is_paced=False)
    live_spotter = LiveSpotter(adapted, every_frame, options, 0.2, adaptation=adaptation)
    reader.start()
    events = []
    while not reader.ring.is_over:
        events += live_spotter.push(reader.ring.take(5, 60.0))
    events += live_spotter.finish(reader.num_frames(spotter.grid_fps))
    rows_T = np.zeros(len(scores.scores_TK))
    for event in events:
        rows_T[event.frame] = event.confidence
    np.testing.assert_allclose(rows_T, scores.scores_TK[:, 0], atol=1e-5)
    assert np.ptp(rows_T) > 1e-3


def test_lines_are_the_results_and_only_likely_ones_are_printed(
    match: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threshold = "0.45"
    live.main(
        [str(run), str(match), "-o", str(tmp_path), "--replay", "--unpaced", "--latency", "3", "--threshold", threshold]
    )
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    stored = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    results = predictions(tmp_path / "224p")
    assert printed == [line for line in stored if line["confidence"] >= float(threshold)]
    assert 0 < len(printed) < len(stored) == len(results)
    assert sorted((line["position_ms"], line["label"]) for line in stored) == sorted(
        (int(row["position"]), row["label"]) for row in results
    )
    assert {line["stream_time"] for line in stored} <= {
        f"0:00:{s:02d}.{ms:03d}" for s in range(8) for ms in range(0, 1000, 40)
    }


def test_ctrl_c_writes_the_results_of_what_was_seen_in_time(run: Path, tmp_path: Path) -> None:
    """A match of two minutes, of which a slow machine sees some seconds."""
    write_game(tmp_path / "game", 1, num_frames=3000)
    match = tmp_path / "game" / "224p.mp4"
    command = [sys.executable, "-m", "e2espot", "live", str(run), str(match), "-o", str(tmp_path), "--replay"]
    command += ["--latency", "2.5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    events = tmp_path / "events.jsonl"
    while not (events.is_file() and events.stat().st_size) and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, "it began to write before the match was over"
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=300)
    assert process.returncode == 130, log
    assert "Traceback" not in log
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert len(predictions(tmp_path / "224p")) == len(lines)


def test_bad_options_are_refused_in_one_line(match: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("")
    for words, message in (
        (["--replay", "-o", str(tmp_path)], "another stream"),
        (["--replay", "--latency", "0.2"], "needs at least"),
        (["--replay", "--latency", "soon"], "seconds"),
        (["--replay", "--follow"], "exclude"),
        (["--replay", "--kickoff", "25:00:00"], "HH:MM:SS"),
        (["--unpaced"], "--replay"),
        ([], "replay"),
    ):
        with pytest.raises(E2ESpotError, match=message) as caught:
            live.main([str(run), str(match), *words])
        assert "\n" not in str(caught.value)
    for source, message in (
        ("srt://host:1", "pipe it"),
        ("gopher://host/x", "no protocol"),
        ("udp://127.0.0.1:99999", "ports are numbers"),
        ("missing.mp4", "no such file"),
        ("udp://@:1234 --listen", "can listen"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            live.main([str(run), *source.split()])

"""``spot`` in Python and ``e2espot infer`` on the command line give the same events."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.cli.main import main
from e2espot.core.events import Event
from e2espot.core.timeline import frame_of_position_ms
from e2espot.core.version import __version__
from e2espot.formats.scores import read_scores
from e2espot.inference.options import InferenceOptions
from e2espot.inference.spot import spot
from e2espot.models import Spotter, load_spotter
from e2espot.models.weights.checkpoint import save_spotter
from e2espot.suppression.calibration import Calibration
from e2espot.suppression.nms import Suppression
from tests.support.tiny_dataset import TOY_SPEC, write_game

SPEC = dataclasses.replace(TOY_SPEC, classes=("PASS", "DRIVE"), team=True)
CALIBRATION = Calibration(
    suppression=Suppression(window_s=1.0),
    by_class={"DRIVE": Suppression(method="hard", window_s=0.5)},
    shift_s={"PASS": 0.24},
    map_from=(0.0, 0.3, 1.0),
    map_to=(0.0, 0.6, 0.9),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose calibration changes suppression by class, time and confidence."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    save_spotter(folder / "best.safetensors", Spotter(SPEC).state_dict(), SPEC)
    (folder / "calibration.json").write_text(json.dumps(CALIBRATION.to_json()))
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "game"
    write_game(folder, seed=0, num_frames=150)
    return folder / "224p.mp4"


Row = tuple[int, int, int, str, float, str]
"""Half, frame, position in ms, label, confidence and team of an event."""


def infer(run: Path, video: Path, out: Path, *flags: str) -> list[Row]:
    """Events that the command writes."""
    main(["infer", str(run), str(video), "-o", str(out), *flags])
    content = json.loads((out / video.stem / "results_spotting.json").read_text())
    fps = Spotter(SPEC).grid_fps
    return [
        (
            int(row["half"]),
            frame_of_position_ms(int(row["position"]), fps),
            int(row["position"]),
            row["label"],
            float(row["confidence"]),
            row["team"],
        )
        for row in content["predictions"]
    ]


def rows(events: list[Event]) -> list[Row]:
    """Events in the order of the file."""
    return sorted(
        (event.half, event.frame, event.position_ms, event.label, event.confidence, event.team) for event in events
    )


@pytest.mark.parametrize("flags", [(), ("--flip",)], ids=["plain", "flip"])
def test_spot_on_run_folder_equals_infer(run: Path, video: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    expected = infer(run, video, tmp_path / "out", *flags)
    events = spot(run, video, InferenceOptions(flip="--flip" in flags))
    assert len(events) > 10
    assert {event.team for event in events} <= {"left", "right"}
    assert rows(events) == expected
    # The calibration matters: without it the same scores give other events.
    assert rows(spot(run / "best.safetensors", video, InferenceOptions(flip="--flip" in flags))) != expected


@pytest.mark.parametrize("of", [Path, str, load_spotter], ids=["path", "str", "spotter"])
def test_spot_on_weights_or_spotter_equals_infer_on_weights(
    run: Path, video: Path, tmp_path: Path, of: Callable[[Path], Path | str | Spotter]
) -> None:
    weights = run / "best.safetensors"
    assert rows(spot(of(weights), video)) == infer(weights, video, tmp_path / "out")


def test_spot_passes_half_and_progress(run: Path, video: Path) -> None:
    reports: list[tuple[int, int]] = []
    events = spot(str(run), str(video), half=2, progress=lambda done, total: reports.append((done, total)))
    assert {event.half for event in events} == {2}
    assert reports[-1] == (75, 75)


def test_engine_here_is_alias_of_local(run: Path, video: Path, tmp_path: Path) -> None:
    assert infer(run, video, tmp_path / "a", "--engine", "here") == infer(
        run, video, tmp_path / "b", "--engine", "local"
    )


def test_infer_writes_version_and_older_scores_load(run: Path, video: Path, tmp_path: Path) -> None:
    infer(run, video, tmp_path, "--save_scores")
    lines = (tmp_path / video.stem / "results_spotting.json").read_text().splitlines()
    assert lines.count(f' "e2espot_version": "{__version__}",') == 1
    scores_file = tmp_path / video.stem / "scores.npz"
    with np.load(scores_file) as stored:
        assert str(stored["e2espot_version"]) == __version__
        older = {name: stored[name] for name in stored.files if name != "e2espot_version"}
    np.savez(tmp_path / "older.npz", **older)
    assert np.array_equal(read_scores(tmp_path / "older.npz").scores_TK, read_scores(scores_file).scores_TK)


def test_official_evaluator_ignores_version(run: Path, video: Path, tmp_path: Path) -> None:
    official = pytest.importorskip("SoccerNet.Evaluation.ActionSpotting", reason="SoccerNet is not installed")
    infer(run, video, tmp_path)
    content = json.loads((tmp_path / video.stem / "results_spotting.json").read_text())
    without = {name: value for name, value in content.items() if name != "e2espot_version"}
    assert len(without) == len(content) - 1
    classes = {"PASS": 0, "DRIVE": 1}
    for half, expected in zip(
        official.predictions2vector(content, 2, 2, 25, classes),
        official.predictions2vector(without, 2, 2, 25, classes),
        strict=True,
    ):
        assert np.array_equal(half, expected)

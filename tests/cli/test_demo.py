"""The demo and its controls, on matches of a few seconds."""

import json
from pathlib import Path

import pytest

pytest.importorskip("cv2", reason='rendering needs OpenCV: pip install "e2espot[render]"')

from e2espot.cli import demo as demo_command
from e2espot.cli.main import dispatch, main
from e2espot.training.checkpoints import load_config

pytestmark = pytest.mark.slow
TINY = ("--size", "96x64", "--clip_len", "16", "--epoch_clips", "4", "--num_epochs", "1", "-j", "0")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    run_demo(out)
    return out


def run_demo(out: Path, command: str = "demo") -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(demo_command, "GAMES", 3)
        patched.setattr(demo_command, "MINUTES", 0.1)
        patched.setattr(demo_command, "VALID_MINUTES", 0.1)
        patched.setattr(demo_command, "TEST_MINUTES", 0.15)
        patched.setattr(demo_command, "TRAINING", ("--recipe", "laptop-fast", *TINY))
        patched.setattr(demo_command, "run_subcommand", in_this_process)
        dispatch([command, "--out", str(out), "--seed", "3"])


def in_this_process(name: str, *arguments: object, show: bool) -> None:
    assert show
    dispatch([name, *map(str, arguments)])


def test_demo_writes_scores_a_run_and_pictures(demo: Path) -> None:
    scores = json.loads((demo / "scores.json").read_text())
    assert set(scores) == {"at1", "at2", "at3", "at4", "at5", "guesser"}
    for metric in ("at1", "at5"):
        assert 0 <= scores[metric]["mAP"] <= 1
        assert 0 <= scores["guesser"][metric]["mAP"] <= 1
    assert (demo / "run" / "best.safetensors").is_file()
    assert (demo / "run" / "calibration.json").is_file()
    assert (demo / "pictures" / "timeline.png").stat().st_size > 1000
    assert len(list(demo.glob("predictions/*/*/*/results_spotting.json"))) == 1


def test_demo_run_again_keeps_the_trained_run(demo: Path) -> None:
    weights = (demo / "run" / "best.safetensors").stat().st_mtime_ns
    scores = json.loads((demo / "scores.json").read_text())
    run_demo(demo)
    assert (demo / "run" / "best.safetensors").stat().st_mtime_ns == weights
    assert json.loads((demo / "scores.json").read_text()) == scores


def test_controls_train_and_score_two_networks(demo: Path) -> None:
    run_demo(demo, "controls")
    results = json.loads((demo / "controls" / "scores.json").read_text())
    assert set(results) == {"the demo's spotter", "single frames", "shuffled frames"}
    assert results["the demo's spotter"] == json.loads((demo / "scores.json").read_text())["at1"]["mAP"]
    configs = {name: load_config(demo / "controls" / name) for name in ("single_frames", "shuffled_frames")}
    assert configs["single_frames"]["single_frame"]
    assert (configs["single_frames"]["feature_arch"], configs["single_frames"]["temporal_arch"]) == ("small", "")
    assert configs["shuffled_frames"]["shuffle_frames"]
    assert configs["shuffled_frames"]["feature_arch"] == "small_gsm"


def test_controls_refuse_a_folder_without_a_demo(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["controls", "--out", str(tmp_path)])
    assert stopped.value.code == 2

"""An exported spotter answers as the run does, with each engine, at any length, and without torch."""

import json
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.cli.main import main
from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.scores import Scores
from e2espot.formats.scores import read_scores
from e2espot.inference.adapt import resize
from e2espot.inference.export import check_export, export_spotter
from e2espot.inference.export_readme import ENGINES, PACKAGES
from e2espot.inference.exported import ExportedSpotter, load_exported, spot_exported
from e2espot.inference.exported_spec import SPEC_FILE, Format
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import score_frames, spot_video, stream_features
from e2espot.inference.streaming_head import CutWindowHead
from e2espot.models import Spotter, SpotterSpec, load_spotter
from e2espot.models.weights.checkpoint import shipped_spotter
from e2espot.suppression.calibration import Calibration
from e2espot.suppression.nms import Suppression
from tests.support.budget import LONG
from tests.support.lite import hear_the_image_network
from tests.support.tiny_dataset import TOY_SPEC, write_game, write_spotter

pytest.importorskip("onnx", reason='exporting needs onnx: pip install "e2espot[onnx]"')

ROOT = Path(__file__).parents[2]
FP32 = InferenceOptions(precision="fp32", adapt="none")
FORMATS = ("onnx", "openvino")
SIZE = {"width": 90, "height": 58}
"""Of odd sizes at an eighth and a sixteenth: 12x8 and 6x4 cells after rounding up, 11.25x7.25 before."""
BACKBONES = (
    {"feature_arch": "small_gsm", "modality": "gray"},
    {"feature_arch": "rny002_gsm", "crop_dim": 48},
)
"""With either engine."""
MORE_BACKBONES = (
    {"feature_arch": "small_gsm", "single_frame": True},
    {"feature_arch": "small_tsm", "height": 66},
    {"feature_arch": "lite_gsm"},
    {"feature_arch": "small"},
    {"feature_arch": "rny002_tsm"},
    {"feature_arch": "rn18_gsm"},
)
"""With ONNX Runtime alone: the graphs are made of the same parts."""
LONG_BACKBONES = (
    {"feature_arch": "rny002"},
    {"feature_arch": "rny008_gsm"},
    {"feature_arch": "rny008_tsm"},
    {"feature_arch": "rn18_tsm", "modality": "gray"},
)
"""The same parts once more, in other sizes and combinations: in the long form."""
CASES = [
    *((fields, form) for fields in BACKBONES for form in FORMATS),
    *((fields, "onnx") for fields in (*MORE_BACKBONES, *(LONG_BACKBONES if LONG else ()))),
]
HEADS = (
    {"temporal_arch": ""},
    {"temporal_arch": "deeper_gru", "double_rate_output": True},
    {"temporal_arch": "gru", "team": True, "displacement": True},
    {"temporal_arch": "gru", "team": True, "displacement": True, "double_rate_output": True},
    {"temporal_arch": "gru", "look_ahead_s": 0.12},
    {"temporal_arch": "deeper_gru", "displacement": True, "joint_classes": ("GOAL",)},
)


HEAD_CASES = [*((fields, "onnx") for fields in HEADS), *((fields, "openvino") for fields in (*HEADS[1::2], HEADS[4]))]


def case_name(value: object) -> str:
    return "-".join(map(str, value.values() if isinstance(value, dict) else [value]))


def engine(form: str) -> Format:
    """The format, or a skip if its engine is not installed."""
    package = {"onnx": "onnxruntime", "openvino": "openvino"}[form]
    pytest.importorskip(package, reason=f'this format needs {package}: pip install "e2espot[{form}]"')
    return form  # type: ignore[return-value]


def form_of(folder: Path) -> str:
    return load_exported(folder).spec.format


def random_spotter(**fields: object) -> Spotter:
    """A spotter whose gates, batch norms and heads all do something."""
    torch.manual_seed(0)
    spec = {"temporal_arch": "gru", "classes": ("PASS", "DRIVE"), "clip_len": 12, **SIZE, **fields}
    spotter = Spotter(SpotterSpec(**spec)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for name, tensor in spotter.state_dict().items():
            if "conv3D" in name or name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif "_fc_out" in name or name.startswith(("displacement", "team")):
                tensor.normal_(0, 1)
    hear_the_image_network(spotter.backbone)
    return spotter


def frames_of(spotter: Spotter, count: int) -> np.ndarray:
    shape = (count, spotter.spec.height, spotter.spec.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def exported(spotter: Spotter, folder: Path, form: str, chunk_len: int = 8) -> ExportedSpotter:
    export_spotter(spotter, Calibration(), folder, form=engine(form), chunk_len=chunk_len)
    return load_exported(folder)


@pytest.mark.parametrize(("fields", "form"), CASES, ids=case_name)
def test_features_are_those_of_the_spotter_at_any_length(tmp_path: Path, fields: dict[str, object], form: str) -> None:
    spotter = random_spotter(**fields)
    copy = exported(spotter, tmp_path, form)
    for lengths in ((1,), (13, 8)):
        chunks = np.split(frames_of(spotter, sum(lengths)), np.cumsum(lengths)[:-1])
        with torch.inference_mode():
            expected = torch.cat(list(stream_features(spotter, map(torch.from_numpy, chunks), FP32))).numpy()
        got = np.concatenate(list(copy.stream_features(chunks)))
        assert got.shape == expected.shape
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("fields", "form"), HEAD_CASES, ids=case_name)
def test_scores_are_those_of_the_spotter_at_any_length(tmp_path: Path, fields: dict[str, object], form: str) -> None:
    spotter = random_spotter(feature_arch="small_gsm", **fields)
    copy = exported(spotter, tmp_path, form)
    for count in (1, 2, 9, 40):  # windows of 1, 2, 9 and 12 frames
        chunks = [frames_of(spotter, count)]
        for flip in (False, True) if count == 9 else (False,):
            options = InferenceOptions(precision="fp32", flip=flip)
            expected = score_frames(spotter, map(torch.from_numpy, chunks), count, options)
            np.testing.assert_allclose(copy.score_frames(chunks, count, options), expected, rtol=0, atol=1e-5)
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize(
    "fields", [{"displacement": True}, {"double_rate_output": True}, {"temporal_arch": "deeper_gru"}]
)
def test_heads_that_have_no_graph_with_a_look_ahead_are_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"look-ahead of 0\.12 s"):
        exported(random_spotter(feature_arch="small_gsm", look_ahead_s=0.12, **fields), tmp_path / "out", "onnx")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("game") / "game"
    write_game(folder, seed=0, num_frames=150)
    return folder / "224p.mp4"


@pytest.fixture(scope="module")
def spotter() -> Spotter:
    return resize(load_spotter(shipped_spotter()), (192, 108))


@pytest.fixture(scope="module")
def reference(spotter: Spotter, video: Path) -> Scores:
    return spot_video(spotter, video, FP32)


@pytest.fixture(scope="module", params=FORMATS)
def folder(request: pytest.FixtureRequest, spotter: Spotter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "spotter"
    calibration = Calibration(suppression=Suppression(window_s=0.4), shift_s={"PASS": 0.08})
    export_spotter(spotter, calibration, folder, form=engine(request.param), chunk_len=16)
    return folder


# Runs a command without torch, and stops it if it calls anyone.
WITHOUT_TORCH = """
import socket, sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "safetensors", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

def watch(event, arguments):
    internet = event == "socket.connect" and arguments[0].family in (socket.AF_INET, socket.AF_INET6)
    assert not internet and event != "socket.getaddrinfo", (event, arguments)

sys.meta_path.insert(0, NoTorch())
sys.addaudithook(watch)

from e2espot.cli.main import main

main(sys.argv[1:])
"""


def run_without_torch(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=500)


def test_infer_runs_an_exported_spotter_without_torch(
    folder: Path, video: Path, reference: Scores, tmp_path: Path
) -> None:
    done = run_without_torch("infer", folder, video, "-o", tmp_path, "--save_scores")
    assert done.returncode == 0, done.stderr
    assert "not adapted to the video" in done.stderr
    scores = read_scores(tmp_path / "224p" / "scores.npz")
    # OpenVINO computes in bf16 where the CPU does.
    np.testing.assert_allclose(
        scores.scores_TK, reference.scores_TK, rtol=0, atol=1e-4 if form_of(folder) == "onnx" else 0.02
    )
    assert scores.fps == reference.fps and scores.label_set.names == reference.label_set.names


def test_events_are_those_of_the_run_with_its_calibration(
    folder: Path, video: Path, reference: Scores, spotter: Spotter
) -> None:
    comparison = check_export(spotter, folder, video)
    assert comparison.num_frames == len(reference.scores_TK)
    assert comparison.max_difference < 1e-5
    assert load_exported(folder).calibration.shift_s == {"PASS": 0.08}


def test_check_refuses_another_spotter(folder: Path, video: Path, spotter: Spotter) -> None:
    torch.manual_seed(1)
    with pytest.raises(CheckpointError, match=r"its scores differ from those of the run by .*e-01"):
        check_export(Spotter(spotter.spec).eval(), folder, video)


def test_example_in_the_readme_gives_the_scores(
    folder: Path, spotter: Spotter, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = names_of_the_example(folder, monkeypatch)
    frames = frames_of(spotter, 75)
    scores = names["scores_of"](names["features_of"](frames))  # type: ignore[operator]
    expected = score_frames(spotter, [torch.from_numpy(frames)], len(frames), FP32)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_a_look_ahead_other_than_that_of_the_graph_is_refused(tmp_path: Path, folder: Path, video: Path) -> None:
    exported(random_spotter(feature_arch="small_gsm", look_ahead_s=0.12), tmp_path, "onnx")
    for path, asked_s, same_s in ((tmp_path, float("inf"), 0.12), (folder, 0.12, float("inf"))):
        copy = load_exported(path)
        assert copy.adapt(video, InferenceOptions(adapt="none", look_ahead=same_s)) == (copy, None)
        with pytest.raises(ConfigurationError, match="look-ahead of an exported spotter is fixed"):
            copy.adapt(video, InferenceOptions(adapt="none", look_ahead=asked_s))


def names_of_the_example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    (code,) = re.findall(r"^```python\n(.*?)^```$", (folder / "README.md").read_text(), re.M | re.S)
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(code, names)
    return names


def test_example_in_the_readme_of_a_spotter_with_a_look_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spotter = random_spotter(feature_arch="small_gsm", look_ahead_s=0.12)
    exported(spotter, tmp_path, "onnx")
    scores_of = names_of_the_example(tmp_path, monkeypatch)["scores_of"]
    for count in (1, 2, 9, 12, 40):  # windows of 12 frames, look-ahead 3
        features_TD = torch.randn(count, spotter.backbone.feature_dim, generator=torch.Generator().manual_seed(count))
        head = CutWindowHead(spotter, 3)
        with torch.inference_mode():
            expected = np.concatenate([head.add(features_TD), head.finish()])
        np.testing.assert_allclose(scores_of(features_TD.numpy()), expected, rtol=0, atol=1e-5)  # type: ignore[operator]


def test_what_an_exported_spotter_cannot_do_is_refused(folder: Path, video: Path) -> None:
    copy = load_exported(folder)
    for options, message in (
        (InferenceOptions(adapt="statistics"), "is not adapted to the video"),
        (InferenceOptions(size="192x128"), "that it was exported for, 192x108"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            spot_exported(copy, video, options)
    assert spot_exported(copy, video, InferenceOptions(size="192x108")).scores_TK.shape == (75, 2)


def test_exported_spotter_can_be_sent_to_another_process(folder: Path) -> None:
    copy = load_exported(folder)
    assert copy.head_graph and copy.backbone_graph("fp32")
    sent = pickle.loads(pickle.dumps(copy))
    assert sent == copy and set(vars(sent)) == {"folder", "spec"}


def test_damaged_folders_are_refused_in_one_line(spotter: Spotter, tmp_path: Path) -> None:
    form = engine("onnx")

    whole = tmp_path / "whole"
    export_spotter(spotter, Calibration(), whole, form=form)

    def refusal(content: bytes | None, file: str = SPEC_FILE) -> str:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        shutil.copytree(whole, folder, dirs_exist_ok=True)
        if content is None:
            (folder / file).unlink()
        else:
            (folder / file).write_bytes(content)
        with pytest.raises(CheckpointError) as caught:
            copy = load_exported(folder)
            assert copy.backbone_graph("fp32") and copy.head_graph
        assert "\n" not in str(caught.value)
        return str(caught.value)

    content = json.loads((whole / SPEC_FILE).read_text())
    assert "version is 2" in refusal(json.dumps({**content, "version": 2}).encode())
    assert "unknown fields ['more']" in refusal(json.dumps({**content, "more": 1}).encode())
    assert "not readable" in refusal(json.dumps({**content, "chunk_len": 0}).encode())
    assert "not readable" in refusal(b"[" * 100_000)
    assert "does not fit" in refusal(json.dumps({**content, "height": 100}).encode())
    assert "does not fit" in refusal(json.dumps({**content, "states": []}).encode())
    assert "can load" in refusal(b"\x08damaged", "head.onnx")
    assert "no such file" in refusal(None, "backbone.onnx")


def test_command_exports_checks_and_refuses(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    form, run, out = engine("onnx"), tmp_path / "run", tmp_path / "spotter"
    write_spotter(run / "best.safetensors")
    main(["export", str(run), "-o", str(out), "--to", form, "--chunk", "9", "--size", "64x48", "--check", str(video)])
    assert "checked on 75 frames" in capsys.readouterr().out
    spec = load_exported(out).spec
    assert (spec.chunk_len, spec.width, spec.height, spec.classes) == (9, 64, 48, TOY_SPEC.classes)
    assert spec.norms == "training"
    main(["export", str(run), "-o", str(tmp_path / "adapted"), "--to", form, "--adapt_to", str(video)])
    adapted = load_exported(tmp_path / "adapted")
    assert adapted.spec.norms == "224p.mp4, share 0.5"
    expected = spot_video(load_spotter(run), video, InferenceOptions(precision="fp32")).scores_TK
    np.testing.assert_allclose(spot_exported(adapted, video).scores_TK, expected, rtol=0, atol=1e-4)
    for words, message in (
        ([run, "-o", run], "is a run; name another folder"),
        ([run, "-o", out, "--chunk", 7], "give 8 to 1024 (--chunk)"),
        ([tmp_path / "none", "-o", out], "no such weights file"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["export", *map(str, words)])
        assert message in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SystemExit, match="2"):
        main(["infer", str(out), str(video), "-o", str(tmp_path / "out")])
    assert 'pip install "onnxruntime"' in capsys.readouterr().err


def test_commands_that_need_torch_report_it_in_one_line(video: Path, tmp_path: Path) -> None:
    done = run_without_torch("infer", video, "-o", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: this needs torch, which is not installed") and done.stderr.count("\n") == 1


def test_requirements_are_those_of_the_package_without_torch() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")

    def listed(section: str, option: str) -> list[str]:
        return [line for line in setup[section][option].splitlines() if line and not line.startswith("#")]

    of_torch = ("torch", "timm", "safetensors")
    assert list(PACKAGES) == [line for line in listed("options", "install_requires") if not line.startswith(of_torch)]
    for form, package in ENGINES.items():
        assert package in listed("options.extras_require", form)


def test_an_image_network_that_sees_every_second_frame_takes_even_chunks_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="give an even number"):
        exported(random_spotter(feature_arch="lite_gsm"), tmp_path, "onnx", chunk_len=9)

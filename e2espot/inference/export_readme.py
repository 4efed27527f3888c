"""The README.md of an exported spotter, from ``exported_readme.md``, and its requirements.txt."""

from __future__ import annotations

from importlib import resources
from string import Template

from e2espot.inference.exported_spec import ExportedSpec, Format

PACKAGES = (
    "numpy>=1.26",
    'decord>=0.6.0; sys_platform == "linux" and platform_machine == "x86_64"',
    'decord2>=3.0; sys_platform != "linux" or platform_machine != "x86_64"',
    "av>=16",
    "fsspec>=2024.6",
    "msgspec>=0.19",
    "pillow>=10",
    "pyyaml>=6.0.1",
    "filelock>=4",
    "tqdm>=4.66",
    "tyro>=0.9.20",
)
"""What the package needs apart from torch and what comes with it, as in ``setup.cfg``."""
ENGINES: dict[Format, str] = {"onnx": "onnxruntime>=1.20,<2", "openvino": "openvino>=2025.0"}
"""What runs the graphs."""

_LOADING: dict[Format, str] = {
    "onnx": """\
import onnxruntime

def load(name):
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs)))""",
    "openvino": """\
import openvino

def load(name):
    # In fp32; without this the engine uses bf16 where the CPU has it.
    model = openvino.Core().compile_model(f"{name}.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda inputs: {key.get_any_name(): value.copy() for key, value in model(inputs).items()}""",
}

_WHOLE_WINDOWS = """\
def scores_of(features):  # to (frames * grid_factor, classes)
    factor, length = spec["grid_factor"], min(spec["clip_len"], len(features))
    weights = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).repeat(factor)[:, None]
    last, sums, totals = len(features) - length, 0, 0
    for start in [*range(0, last, max(1, length // 2)), last]:
        scores, after = head({"features": features[start : start + length]})["scores"], last - start
        margins = ((start * factor, after * factor), (0, 0))
        sums, totals = sums + np.pad(scores * weights, margins), totals + np.pad(weights, margins)
    return sums / totals"""
_CUT_WINDOWS = """\
def scores_of(features):  # to (frames, classes)
    clip_len, count = spec["clip_len"], len(features)
    length, settled = min(clip_len, count), max(0, count - spec["look_ahead"])
    last = count - length
    # Frames whose look-ahead is known have the windows of any longer video, the others those of this one.
    windows = [(start, clip_len, 0, settled) for start in range(0, settled, max(1, clip_len // 2))]
    windows += [(start, length, settled, count) for start in [*range(0, last, max(1, length // 2)), last]]
    sums, totals = 0, 0
    for start, size, first, stop in windows:
        scores = head({"features": features[start : start + size]})["scores"]
        weights = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1))[: len(scores)]
        frames = np.arange(start, start + len(scores))
        weights = (weights * (first <= frames) * (frames < stop))[:, None]
        margins = ((start, count - start - len(scores)), (0, 0))
        sums, totals = sums + np.pad(scores * weights, margins), totals + np.pad(weights, margins)
    return sums / totals"""


def readme(spec: ExportedSpec) -> str:
    """Content of README.md."""
    template = (resources.files("e2espot.inference") / "exported_readme.md").read_text(encoding="utf-8")
    return Template(template).substitute(
        format={"onnx": "ONNX", "openvino": "OpenVINO"}[spec.format],
        e2espot_version=spec.e2espot_version,
        feature_arch=spec.feature_arch,
        head=spec.temporal_arch or "linear",
        classes=", ".join(spec.classes),
        width=spec.width,
        height=spec.height,
        fps=spec.fps,
        loading=_LOADING[spec.format],
        scores_of=_WHOLE_WINDOWS if spec.look_ahead is None else _CUT_WINDOWS,
        chunk_len=spec.chunk_len,
        mean=", ".join(f"{value:.3f}" for value in spec.mean),
        std=", ".join(f"{value:.3f}" for value in spec.std),
        dropped=2 * spec.halo,
        halo=spec.halo,
        norms=spec.norms,
        team="; the last one is the probability that the right team acts" if spec.team else "",
    )


def requirements(form: Format) -> str:
    """Content of requirements.txt."""
    return "\n".join(("# For e2espot infer without torch.", *PACKAGES, ENGINES[form], ""))

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

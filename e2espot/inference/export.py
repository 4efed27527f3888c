"""Writes the folder of an exported spotter, and compares it with the spotter itself.

::

    spotter/
      backbone.onnx     one chunk of frames, with the states, to features
      head.onnx         features of any number of frames to scores
      spotter.json      sizes, states, classes, calibration (``exported_spec``)
      README.md         how to run it with the engine alone
      requirements.txt  what ``e2espot infer`` needs without torch
"""

from __future__ import annotations

import dataclasses
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2espot.core.errors import CheckpointError, ConfigurationError, E2ESpotError, first_line
from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD
from e2espot.core.version import __version__
from e2espot.files.atomic import write_atomically
from e2espot.inference.engines import missing_engine
from e2espot.inference.export_readme import readme, requirements
from e2espot.inference.exported import load_exported, spot_exported
from e2espot.inference.exported_spec import SPEC_FILE, ExportedSpec, Format, StateSpec
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import spot_video
from e2espot.models import Spotter
from e2espot.models.backbones.lite import SEEN_EVERY, LiteBackbone
from e2espot.models.export.backbone_graph import SHORTEST_CHUNK, backbone_graph
from e2espot.models.export.head_graph import exported_look_ahead, head_graph
from e2espot.models.heads import GRUHead, LinearHead
from e2espot.suppression.calibration import Calibration, apply_calibration

LONGEST_CHUNK = 1024
"""Most frames of a chunk."""
TOLERANCE = 1e-4
"""Largest difference of scores between an exported spotter and the spotter itself in fp32."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How an exported spotter and the spotter itself agree on one video."""

    num_frames: int
    """Rows of the scores."""
    max_difference: float
    """Largest difference of a score."""
    num_events: int
    """Events of the spotter itself; the exported one has the same, but for their confidences' last digits."""

    def describe(self) -> str:
        """One line."""
        return (
            f"checked on {self.num_frames} frames: scores differ by at most {self.max_difference:.1e}, "
            f"and the {self.num_events} events are the same"
        )


def export_spotter(
    spotter: Spotter,
    calibration: Calibration,
    folder: Path,
    *,
    form: Format = "onnx",
    chunk_len: int = 32,
    norms: str = "training",
) -> ExportedSpec:
    """Write a spotter as graphs that need no torch.

    Args:
        spotter: In evaluation mode, on the CPU.
        calibration: How its scores become events.
        folder: Is created; files of an earlier export in it are replaced.
        form: Form of the graphs.
        chunk_len: Frames that the backbone takes at a time.
        norms: What the statistics of the batch norms are of.

    Returns:
        What was written as ``spotter.json``.

    Raises:
        ConfigurationError: the folder holds a run, the chunk is too short or long, or a package is not installed.
        E2ESpotError: the folder cannot be written.
    """
    _check(spotter, folder, chunk_len)
    backbone, spec = backbone_graph(spotter, chunk_len), spotter.spec
    exported = ExportedSpec(
        format=form,
        feature_arch=spec.feature_arch,
        temporal_arch=spec.temporal_arch,
        classes=spec.classes,
        fps=spec.fps,
        width=spec.width,
        height=spec.height,
        mean=(255 * IMAGENET_MEAN[0], 255 * IMAGENET_MEAN[1], 255 * IMAGENET_MEAN[2]),
        std=(255 * IMAGENET_STD[0], 255 * IMAGENET_STD[1], 255 * IMAGENET_STD[2]),
        chunk_len=chunk_len,
        halo=spotter.halo,
        feature_dim=spotter.backbone.feature_dim,
        states=tuple(StateSpec(name=state.name, shape=state.shape) for state in backbone.states),
        clip_len=spec.clip_len,
        grid_factor=spotter.grid_factor,
        team=spec.team,
        calibration=calibration.to_json(),
        norms=norms,
        e2espot_version=__version__,
        look_ahead=exported_look_ahead(spotter),
    )
    files = {
        **_graph_files("backbone", backbone.model, form),
        **_graph_files("head", head_graph(spotter), form),
        "README.md": readme(exported).encode(),
        "requirements.txt": requirements(form).encode(),
    }
    # Without its spotter.json a folder is no spotter, so it goes first and comes last.
    try:
        (folder / SPEC_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise E2ESpotError(f"{folder}: cannot be written ({error.strerror}); name another folder") from None
    for name, content in files.items():
        write_atomically(folder / name, content)
    write_atomically(folder / SPEC_FILE, exported.to_json())
    return exported


def _check(spotter: Spotter, folder: Path, chunk_len: int) -> None:
    if not SHORTEST_CHUNK <= chunk_len <= LONGEST_CHUNK:
        raise ConfigurationError(
            f"chunk is {chunk_len} frames; give {SHORTEST_CHUNK} to {LONGEST_CHUNK}", option="chunk"
        )
    if isinstance(spotter.backbone, LiteBackbone) and chunk_len % SEEN_EVERY:
        raise ConfigurationError(
            f"chunk is {chunk_len} frames, and this spotter's image network sees every second; give an even number",
            option="chunk",
        )
    if (folder / "best.safetensors").exists():
        raise ConfigurationError(f"{folder}: is a run; name another folder for the exported spotter", option="out")
    if spotter.spec.features is not None or not isinstance(spotter.head, LinearHead | GRUHead):
        raise ConfigurationError(
            f"a spotter with the head {spotter.spec.temporal_arch!r} that reads stored features cannot be exported; "
            "export one that reads video"
        )


def _graph_files(name: str, model: bytes, form: Format) -> dict[str, bytes]:
    """File name -> content of a graph."""
    if form == "onnx":
        return {f"{name}.onnx": model}
    try:
        import openvino
    except ImportError:
        raise missing_engine("openvino") from None
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / f"{name}.xml"
        try:
            # By itself the engine stores weights in fp16.
            openvino.save_model(openvino.Core().read_model(io.BytesIO(model)), file, compress_to_fp16=False)
        except RuntimeError as error:
            raise CheckpointError(f"OpenVINO cannot convert the {name} ({first_line(error)})") from None
        return {part.name: part.read_bytes() for part in (file, file.with_suffix(".bin"))}


def check_export(spotter: Spotter, folder: Path, video: Path) -> Comparison:
    """Compare an exported spotter with the spotter itself on one video, both in fp32 and without adaptation.

    Raises:
        VideoError: the video cannot be read.
        CheckpointError: they differ.
    """
    options = InferenceOptions(adapt="none", precision="fp32")
    exported = load_exported(folder)
    ours, theirs = spot_video(spotter, video, options), spot_exported(exported, video, options)
    pairs = [(ours.scores_TK, theirs.scores_TK)]
    if ours.right_T is not None and theirs.right_T is not None:
        pairs.append((ours.right_T, theirs.right_T))
    difference = max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)
    if difference > TOLERANCE:
        raise CheckpointError(
            f"{folder}: its scores differ from those of the run by {difference:.1e} on {video}; at most {TOLERANCE} is "
            "allowed. Do not use it, and report this"
        )
    events = [
        [dataclasses.replace(event, confidence=0.0) for event in apply_calibration(exported.calibration, scores)]
        for scores in (ours, theirs)
    ]
    if events[0] != events[1]:
        unlike = len(set(events[0]) ^ set(events[1]))
        raise CheckpointError(f"{folder}: {unlike} events differ from those of the run on {video}; report this")
    return Comparison(num_frames=len(ours.scores_TK), max_difference=difference, num_events=len(events[0]))

"""A match file to JSON: one pass of e2espot compared with E2E-Spot's pipeline for the same network.

E2E-Spot (Hong et al., ECCV 2022) cuts a match into clips of 100 frames with half overlap, runs backbone
and head on each in fp32 and averages; every frame passes the backbone twice. The baseline does the same
on frames from decord, with the gate shift written over volumes as in its paper. Each variant runs in its
own process, because e2espot makes the C library keep freed memory; one more variant gives the baseline
this setting, to show its effect alone.
"""

from __future__ import annotations

import copy
import os
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from e2espot.benchmarks.results import BenchResults, Table, Target
from e2espot.benchmarks.timing import Subprocess, Work, interleaved
from e2espot.core.device import reuse_freed_memory
from e2espot.core.scores import Scores
from e2espot.formats.filenames import RESULTS_FILE
from e2espot.formats.soccernet import write_predictions
from e2espot.inference.export import export_spotter
from e2espot.inference.exported import load_exported
from e2espot.inference.exported_spec import Format
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import score_frames, spot_video
from e2espot.models.spotter import Spotter, SpotterSpec, normalise
from e2espot.models.temporal_shift import GateShift
from e2espot.suppression.calibration import Calibration
from e2espot.suppression.nms import suppress
from e2espot.video import probe, stream_frames


@dataclass(frozen=True, kw_only=True)
class InferSettings:
    """What is run."""

    feature_arch: str = "rny002_gsm"
    """Backbone; its weights are random, which costs the same."""
    repeats: int = 3
    """Measured rounds."""


class BaselineGateShift(nn.Module):
    """``GateShift`` with the same parameters, computed on volumes ``(clips, channels, time, height, width)``."""

    def __init__(self, layer: GateShift) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x_NCHW: Tensor, num_frames: int) -> Tensor:
        """See ``GateShift.forward``."""
        fold, half = self.layer.fold, self.layer.fold // 2
        volume = x_NCHW.unflatten(0, (-1, num_frames)).transpose(1, 2).contiguous()
        part, rest = volume[:, :fold], volume[:, fold:]
        gates = torch.tanh(self.layer.conv3D(torch.relu(self.layer.bn(part))))
        out = []
        for group, source in ((0, 1), (1, -1)):
            channels = part[:, group * half : (group + 1) * half]
            gated = channels * gates[:, group : group + 1]
            shifted = torch.zeros_like(gated)
            if source == 1:
                shifted[:, :, :-1] = gated[:, :, 1:]
            else:
                shifted[:, :, 1:] = gated[:, :, :-1]
            mixed = channels - gated + shifted
            out.append(mixed.unflatten(1, (2, half // 2)).transpose(1, 2).flatten(1, 2))
        return torch.cat((*out, rest), dim=1).transpose(1, 2).flatten(0, 1).contiguous()


def baseline_spotter(spotter: Spotter) -> Spotter:
    """Copy into contiguous memory with ``BaselineGateShift``; the results are the same, the cost is not."""
    plain = copy.deepcopy(spotter).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for layer in plain.modules():
        if isinstance(getattr(layer, "gsm", None), GateShift):
            layer.gsm = BaselineGateShift(layer.gsm)  # type: ignore[arg-type]
    result: Spotter = plain
    return result


def overlapping_clips(spotter: Spotter, path: Path) -> Scores:
    """Score a video as E2E-Spot does: clips of ``clip_len`` with half overlap, averaged."""
    import decord

    spec = spotter.spec
    reader = decord.VideoReader(str(path), width=spec.width, height=spec.height, num_threads=1)
    count, length = len(reader), spec.clip_len
    sums, hits = np.zeros((count, len(spotter.label_set))), np.zeros(count)
    with torch.inference_mode():
        for start in range(0, max(1, count - length // 2), length // 2):
            frames = range(start, min(start + length, count))
            pixels = torch.from_numpy(reader.get_batch(list(frames)).asnumpy())
            padded = torch.zeros(1, length, 3, spec.height, spec.width)
            padded[0, : len(frames)] = normalise(pixels).contiguous()
            features_BTD = spotter.features(padded).features_BTD
            scores = spotter.logits(features_BTD)[0].softmax(-1)[:, 1:].numpy()
            sums[frames.start : frames.stop] += scores[: len(frames)]
            hits[frames.start : frames.stop] += 1
    return Scores(
        scores_TK=(sums / hits[:, None]).astype(np.float32),
        label_set=spotter.label_set,
        fps=Fraction(25),
        path=path,
    )


def build_spotter(feature_arch: str, num_classes: int = 2) -> Spotter:
    """E2E-Spot's network with random weights from a fixed seed."""
    torch.manual_seed(0)
    names = ("PASS", "DRIVE", *(f"CLASS {number}" for number in range(3, num_classes + 1)))[:num_classes]
    return Spotter(SpotterSpec(feature_arch=feature_arch, temporal_arch="gru", classes=names)).eval()


def _write_events(scores: Scores, folder: str) -> int:
    events = suppress(scores)
    write_predictions(Path(folder) / RESULTS_FILE, url_local="match", events=events, fps=scores.fps)
    return len(scores.scores_TK)


def baseline_pipeline(feature_arch: str, path: Path, keep_memory: bool) -> Work:
    """File to JSON as E2E-Spot does it.

    Args:
        feature_arch: Backbone.
        path: The video.
        keep_memory: Make the C library keep freed memory.
    """
    if keep_memory:
        reuse_freed_memory()
    spotter = baseline_spotter(build_spotter(feature_arch))
    folder = tempfile.mkdtemp()
    return lambda: _write_events(overlapping_clips(spotter, path), folder)


def e2espot_pipeline(
    feature_arch: str, path: Path, num_classes: int = 2, adapt: Literal["auto", "none"] = "none"
) -> Work:
    """File to JSON as ``e2espot infer`` does it.

    Args:
        feature_arch: Backbone.
        path: The video.
        num_classes: Classes of the head.
        adapt: ``auto`` adds a first look at 256 frames of the video: nothing of a match, half of a short video.
    """
    reuse_freed_memory()
    spotter, folder = build_spotter(feature_arch, num_classes), tempfile.mkdtemp()
    return lambda: _write_events(spot_video(spotter, path, InferenceOptions(adapt=adapt)), folder)


def network_alone(feature_arch: str, path: Path) -> Work:
    """Backbone and head on frames in memory."""
    reuse_freed_memory()
    spotter = build_spotter(feature_arch)
    frames = torch.from_numpy(_frames(spotter, path))

    def work() -> int:
        score_frames(spotter, frames.split(64), len(frames), InferenceOptions())
        return len(frames)

    return work


def exported_network_alone(feature_arch: str, path: Path, form: Format) -> Work:
    """The same with the exported spotter, in its engine."""
    os.environ["OMP_NUM_THREADS"] = "1"
    reuse_freed_memory()
    spotter, folder = build_spotter(feature_arch), Path(tempfile.mkdtemp())
    export_spotter(spotter, Calibration(), folder, form=form)
    exported, frames = load_exported(folder), _frames(spotter, path)

    def work() -> int:
        exported.score_frames(np.split(frames, range(64, len(frames), 64)), len(frames), InferenceOptions())
        return len(frames)

    return work


def _frames(spotter: Spotter, path: Path) -> np.ndarray:
    size = (spotter.spec.width, spotter.spec.height)
    return np.concatenate([chunk.frames_THWC for chunk in stream_frames(path, size=size)])


_BASELINE = "E2E-Spot's pipeline: fp32, clips of 100, half overlap, decord"
_E2ESPOT = "e2espot, file to JSON"
_FIRST_LOOK = f"{_E2ESPOT}, after a first look at 256 frames"
_NETWORK = "e2espot, network alone, frames in memory"
_ENGINES: dict[Format, str] = {"onnx": "onnxruntime", "openvino": "openvino"}


def bench_infer(path: Path, large: Path | None, settings: InferSettings) -> BenchResults:
    """Time all variants.

    Args:
        path: A video at the network's size.
        large: The same match in a larger format, if it is to be timed too.
        settings: What is run.
    """
    arch = settings.feature_arch
    bare = arch.partition("_")[0]
    variants = [
        Subprocess(_BASELINE, baseline_pipeline, arch, path, False),
        Subprocess("the same, keeping freed memory as e2espot does", baseline_pipeline, arch, path, True),
        Subprocess(_E2ESPOT, e2espot_pipeline, arch, path),
        Subprocess(_FIRST_LOOK, e2espot_pipeline, arch, path, 2, "auto"),
        Subprocess(_NETWORK, network_alone, arch, path),
        Subprocess(f"{_NETWORK}, {bare} without a shift", network_alone, bare, path),
    ]
    for form, package in _ENGINES.items():
        if find_spec("onnx") is not None and find_spec(package) is not None:
            variants.append(Subprocess(f"{_NETWORK}, exported to {form}", exported_network_alone, arch, path, form))
    if large is not None:
        variants.append(Subprocess(f"e2espot, the same match from {large.name}", e2espot_pipeline, arch, large))
    count = probe(path).num_frames
    title = f"{arch}, {path.name}, {count} frames"
    # A round takes minutes; the median leaves out what is slow in the first one only.
    table = interleaved(title, "frame", variants, settings.repeats, warm_up=False)
    return BenchResults(tables=[table], targets=_targets(table, arch, path, large))


def _targets(table: Table, arch: str, path: Path, large: Path | None) -> list[Target]:
    bare = arch.partition("_")[0]
    halo = build_spotter(arch).halo
    targets = [
        Target(
            what="inference, file to JSON",
            baseline="E2E-Spot's pipeline",
            target="8x",
            least=8,
            measured=table.ratio(_BASELINE, _E2ESPOT),
        ),
        Target(
            what="frames through the backbone per match frame",
            baseline="1, over 90 minutes",
            target="at most 1.1",
            most=1.1,
            unit="",
            measured=1 + 2 * halo / (90 * 60 * 25),
        ),
        Target(
            what="inference, decoding included",
            baseline="network alone",
            target="at most 1.15x",
            most=1.15,
            measured=table[_E2ESPOT].cpu / table[_NETWORK].cpu,
        ),
        Target(
            what="gate shift at inference",
            baseline="the same backbone without it",
            target="at most 1.25x",
            most=1.25,
            measured=table[_NETWORK].cpu / table[f"{_NETWORK}, {bare}"].cpu,
            why="the backbone without it has become faster too; half of what remains is at 112x199, where the two "
            "maps of a gate fill an eighth of a vector",
        ),
    ]
    if large is not None:
        targets.append(
            Target(
                what=f"{large.name} to JSON",
                baseline=f"the same match from {path.name}",
                target="at most 1.4x",
                most=1.4,
                measured=table["e2espot, the same match"].cpu / table[_E2ESPOT].cpu,
            )
        )
    return targets

"""A match file to JSON: our one pass beside the way E2E-Spot runs the same network.

E2E-Spot (Hong et al., ECCV 2022) cuts a match into clips of 100 frames with half overlap, runs trunk
and head on each in fp32 and averages; every frame passes the trunk twice. The baseline does just
that, on frames from decord, with the gate shift written over volumes as in its paper. Each way runs in
a process of its own, so that what we tell the C library about freed memory stays with us; a row
more tells the baseline the same, to show what that alone is worth.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from e2espot.benchmarks.results import Findings, Target
from e2espot.benchmarks.timing import Apart, Work, interleaved
from e2espot.core.device import keep_freed_memory
from e2espot.core.scores import Scores
from e2espot.formats.soccernet import write_predictions
from e2espot.inference.predict import InferenceOptions, score_frames, spot_video
from e2espot.models.spotter import Spotter, SpotterSpec, normalise
from e2espot.models.temporal_shift import GateShift
from e2espot.suppression.nms import suppress
from e2espot.video import probe, stream_frames


@dataclass(frozen=True, kw_only=True)
class InferSettings:
    """What is run."""

    feature_arch: str = "rny002_gsm"
    """Trunk; weights are random, which costs the same."""
    repeats: int = 3
    """Measured rounds."""


class VolumeGateShift(nn.Module):
    """The same layer as ``GateShift``, with its parameters, over volumes ``(clips, channels, time, height, width)``."""

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
            own = part[:, group * half : (group + 1) * half]
            taken = own * gates[:, group : group + 1]
            moved = torch.zeros_like(taken)
            if source == 1:
                moved[:, :, :-1] = taken[:, :, 1:]
            else:
                moved[:, :, 1:] = taken[:, :, :-1]
            mixed = own - taken + moved
            out.append(mixed.unflatten(1, (2, half // 2)).transpose(1, 2).flatten(1, 2))
        return torch.cat((*out, rest), dim=1).transpose(1, 2).flatten(0, 1).contiguous()


def volume_spotter(spotter: Spotter) -> Spotter:
    """A copy in contiguous memory whose gate shifts work on volumes; the same numbers, another cost."""
    plain = copy.deepcopy(spotter).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for layer in plain.modules():
        if isinstance(getattr(layer, "gsm", None), GateShift):
            layer.gsm = VolumeGateShift(layer.gsm)  # type: ignore[arg-type]
    found: Spotter = plain
    return found


def overlapping_clips(spotter: Spotter, path: Path) -> Scores:
    """Scores the way E2E-Spot computes them."""
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
            features = spotter.backbone._features(padded.flatten(0, 1))[None]  # type: ignore[operator]
            scores = spotter.logits(features)[0].softmax(-1)[:, 1:].numpy()
            sums[frames.start : frames.stop] += scores[: len(frames)]
            hits[frames.start : frames.stop] += 1
    return Scores(
        scores_TK=(sums / hits[:, None]).astype(np.float32),
        label_set=spotter.label_set,
        fps=Fraction(25),
        path=path,
    )


def spotter_named(feature_arch: str, num_classes: int = 2) -> Spotter:
    """E2E-Spot's network with random weights, always the same."""
    torch.manual_seed(0)
    names = ("PASS", "DRIVE", *(f"CLASS {number}" for number in range(3, num_classes + 1)))[:num_classes]
    return Spotter(SpotterSpec(feature_arch=feature_arch, temporal_arch="gru", classes=names)).eval()


def _written(scores: Scores, folder: str) -> int:
    events = suppress(scores)
    write_predictions(Path(folder) / "results_spotting.json", url_local="match", events=events, fps=scores.fps)
    return len(scores.scores_TK)


def their_way(feature_arch: str, path: Path, keep_memory: bool) -> Work:
    """File to JSON as E2E-Spot does it."""
    if keep_memory:
        keep_freed_memory()
    spotter = volume_spotter(spotter_named(feature_arch))
    spotter.backbone._tell_num_frames(spotter.spec.clip_len)
    folder = tempfile.mkdtemp()
    return lambda: _written(overlapping_clips(spotter, path), folder)


def our_way(feature_arch: str, path: Path, num_classes: int = 2) -> Work:
    """File to JSON as ``tools/infer.py`` does it."""
    keep_freed_memory()
    spotter, folder = spotter_named(feature_arch, num_classes), tempfile.mkdtemp()
    return lambda: _written(spot_video(spotter, path), folder)


def network_alone(feature_arch: str, path: Path) -> Work:
    """Trunk and head on frames at hand."""
    keep_freed_memory()
    spotter = spotter_named(feature_arch)
    size = (spotter.spec.width, spotter.spec.height)
    frames = torch.from_numpy(np.concatenate([chunk.frames_THWC for chunk in stream_frames(path, size=size)]))

    def work() -> int:
        score_frames(spotter, frames.split(64), len(frames), InferenceOptions())
        return len(frames)

    return work


_THEIRS = "E2E-Spot's way: fp32, clips of 100, half overlap, decord"
_OURS = "e2espot, file to JSON"
_ALONE = "e2espot, network alone, frames at hand"


def bench_infer(path: Path, large: Path | None, settings: InferSettings) -> Findings:
    """A file at the network's size several ways, a larger one beside it, and the trunk without its shift."""
    arch = settings.feature_arch
    bare = arch.partition("_")[0]
    variants = [
        Apart(_THEIRS, their_way, arch, path, False),
        Apart("the same, told as we are to keep freed memory", their_way, arch, path, True),
        Apart(_OURS, our_way, arch, path),
        Apart(_ALONE, network_alone, arch, path),
        Apart(f"{_ALONE}, {bare} without a shift", network_alone, bare, path),
    ]
    if large is not None:
        variants.append(Apart(f"e2espot, the same match from {large.name}", our_way, arch, large))
    count = probe(path).num_frames
    title = f"{arch}, {path.name}, {count} frames"
    # A round takes minutes; what is slow the first time only, the median leaves out.
    table = interleaved(title, "frame", variants, settings.repeats, warm_up=False)
    promise = partial(Target, against="")
    halo = spotter_named(arch).halo
    targets = [
        promise(
            road="inference, file to JSON",
            against="E2E-Spot's way",
            promised="8x",
            least=8,
            measured=table.ratio(_THEIRS, _OURS),
        ),
        promise(
            road="trunk frames a match frame",
            against="1; 90 minutes",
            promised="at most 1.1",
            most=1.1,
            unit="",
            measured=1 + 2 * halo / (90 * 60 * 25),
        ),
        promise(
            road="inference, decoding included",
            against="our network alone",
            promised="at most 1.15x",
            most=1.15,
            measured=table[_OURS].cpu / table[_ALONE].cpu,
        ),
        promise(
            road="gate shift at inference",
            against="the same trunk without it",
            promised="at most 1.25x",
            most=1.25,
            measured=table[_ALONE].cpu / table[f"{_ALONE}, {bare}"].cpu,
            why="the trunk without it has become faster too; half of what is left is at 112x199, where the two maps of "
            "a gate fill an eighth of a vector",
        ),
    ]
    if large is not None:
        targets.append(
            promise(
                road=f"{large.name} to JSON",
                against=f"the same match from {path.name}",
                promised="at most 1.4x",
                most=1.4,
                measured=table["e2espot, the same match"].cpu / table[_OURS].cpu,
            )
        )
    return Findings(tables=[table], targets=targets)

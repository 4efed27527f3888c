"""A match file to scores: our one pass beside the way E2E-Spot runs the same network.

E2E-Spot (Hong et al., ECCV 2022) cuts a match into clips of 100 frames with half overlap, runs trunk
and head on each in fp32 and averages; every frame passes the trunk twice. The baseline does just
that, on frames from decord, with the gate shift written over volumes as in its paper.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from e2espot.benchmarks.timing import Table, Variant, interleaved
from e2espot.events import Scores
from e2espot.inference import InferenceOptions, score_frames, spot_video
from e2espot.models.gate_shift import GateShift
from e2espot.models.spotter import Spotter, SpotterSpec, normalise
from e2espot.suppression import suppress
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


def bench_infer(path: Path, large: Path | None, settings: InferSettings) -> list[Table]:
    """A file at the network's size three ways, and a larger one beside it."""
    torch.manual_seed(0)
    spec = SpotterSpec(feature_arch=settings.feature_arch, temporal_arch="gru", classes=("PASS", "DRIVE"))
    spotter = Spotter(spec).eval()
    plain = volume_spotter(spotter)
    count = probe(path).num_frames
    plain.backbone._tell_num_frames(spec.clip_len)
    frames = torch.from_numpy(
        np.concatenate([chunk.frames_THWC for chunk in stream_frames(path, size=(spec.width, spec.height))])
    )

    def theirs() -> int:
        suppress(overlapping_clips(plain, path))
        return count

    def ours(file: Path) -> int:
        suppress(spot_video(spotter, file))
        return probe(file).num_frames

    def network_only() -> int:
        score_frames(spotter, frames.split(64), count, InferenceOptions())
        return count

    variants = [
        Variant(name="E2E-Spot's way: fp32, clips of 100, half overlap, decord", work=theirs),
        Variant(name="e2espot, file to events", work=lambda: ours(path)),
        Variant(name="e2espot, network alone, frames at hand", work=network_only),
    ]
    if large is not None:
        variants.append(Variant(name=f"e2espot, the same match from {large.name}", work=lambda: ours(large)))
    return [interleaved(f"{settings.feature_arch}, {path.name}, {count} frames", "frame", variants, settings.repeats)]

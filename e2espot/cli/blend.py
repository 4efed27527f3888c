"""Blend the weights of two spotters: e2espot blend BEFORE AFTER OUT --share 0.5."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from e2espot.cli.parsing import parse


@dataclass(frozen=True, kw_only=True)
class Blend:
    """Blend the weights of a spotter before and after fine-tuning, so that it stays good on what it knew before.

    Example: e2espot blend before.safetensors RUN blended.safetensors --share 0.5
    """

    before: tyro.conf.Positional[Path]
    """Weights file or run before fine-tuning."""
    after: tyro.conf.Positional[Path]
    """Weights file or run of the same network after it, or of lite after small."""
    out: tyro.conf.Positional[Path]
    """Weights file to write."""
    share: float = 0.5
    """From 0, which gives the first, to 1, which gives the second."""
    unfamiliar: Path | None = None
    """Weights file or run of the same network for footage unlike the training data. The file written holds it as a
    second set of weights, with its own values of the next three options, and infer takes weights between both sets, by
    how unlike a video is."""
    look_ahead: float | None = None
    """Seconds after a frame that the head sees at inference, if nothing else is asked for; by default all of its
    windows."""
    smooth_ball: bool = False
    """Smooth the map of the ball over time at inference, which the small backbones have."""
    size: str = "trained"
    """Size at which inference shows the frames to the network: trained, or width x height such as 512x288."""


def main(arguments: list[str]) -> None:
    """Blend, print where the weights are."""
    args = parse(Blend, arguments, "e2espot blend")

    from e2espot.core.frame_size import parse_frame_size
    from e2espot.models.weights.blend import InferenceDefaults, blend

    size = None if args.size == "trained" else parse_frame_size(args.size)
    defaults = InferenceDefaults(look_ahead_s=args.look_ahead, smooth_ball=args.smooth_ball, size=size)
    blend(args.before, args.after, args.out, args.share, args.unfamiliar, defaults)
    print(f"weights: {args.out}")

"""What features are worth: heads on the features of several backbones, next to the spotter that sees the frames.

    rendered matches -> features of each backbone -> each head -> mAP
                     -> a spotter on frames, trained end to end -> mAP

The backbones are the shipped spotter's, that of the spotter trained on frames, and one with random weights, whose
features must be far worse. All are scored on the test match.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from e2espot.models.spotter import Spotter
from e2espot.models.weights.checkpoint import read_spec, save_spotter, shipped_spotter

HEADS: Mapping[str, tuple[str, ...]] = {
    "rows_gru": ("--temporal_arch", "rows_gru"),
    "netvlad++": ("--temporal_arch", "netvlad++", "--clip_len", "24", "--batch_size", "64", "--dilate_len", "0"),
    "calf": ("--temporal_arch", "calf", "--clip_len", "120", "--batch_size", "16", "--dilate_len", "0"),
}
"""Head -> its settings over those of the recipe ball-features-gru."""


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One spotter of the study."""

    features: str
    """What it sees: frames, or the features of a backbone."""
    head: str
    """Its head."""
    cpu_s: float
    """CPU seconds that training took, features not counted."""
    at1: float
    """mAP@1 on the test match, 0 to 1."""
    at5: float
    """mAP@5 on the test match, 0 to 1."""


def untrained_backbone(path: Path) -> Path:
    """Write a spotter like the shipped one with random weights; returns ``path``."""
    spec = read_spec(shipped_spotter())
    torch.manual_seed(0)
    save_spotter(path, Spotter(spec).state_dict(), replace(spec))
    return path


def study_table(rows: list[StudyRow]) -> str:
    """The rows as a Markdown table, in percent."""
    lines = ["| features | head | training, CPU s | mAP@1 | mAP@5 |", "|---|---|--:|--:|--:|"]
    lines += [
        f"| {row.features} | {row.head} | {row.cpu_s:.0f} | {100 * row.at1:.1f} | {100 * row.at5:.1f} |" for row in rows
    ]
    return "\n".join(lines)

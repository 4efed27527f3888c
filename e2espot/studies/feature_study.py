"""What features are worth: heads on the features of several backbones, next to spotters that see the frames.

    rendered matches -> features of each backbone -> each head -> mAP
                     -> spotters on frames, trained end to end for as long -> mAP

The backbones are the shipped spotter's, the same after it was trained on these frames, and one with random weights,
whose features must be far worse. All are scored on the test match.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from e2espot.models.spotter import Spotter
from e2espot.models.weights.checkpoint import read_spec, save_spotter, shipped_spotter
from e2espot.studies.ablations import steps_within
from e2espot.training.recipe import Recipe, merge, read_recipe

HEADS: Mapping[str, tuple[str, ...]] = {
    "rows_gru": ("--temporal_arch", "rows_gru"),
    "netvlad++": ("--temporal_arch", "netvlad++", "--clip_len", "24", "--batch_size", "64", "--dilate_len", "0"),
    "max++": ("--temporal_arch", "max++", "--clip_len", "24", "--batch_size", "64", "--dilate_len", "0"),
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
    extraction_s: float
    """CPU seconds that the features of all matches took; 0 on frames."""
    training_s: float
    """CPU seconds that training took, with its validation."""
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


def clips_per_epoch(seconds: float, num_epochs: int, data: Path, folder: Path, init_from: str) -> int:
    """Clips per epoch with which a spotter on frames trains for some CPU seconds, measured on a few steps."""
    recipe = merge(Recipe(), {**read_recipe("laptop-fast"), "init_from": init_from, "num_workers": 0})
    steps, _ = steps_within(seconds, data, folder, recipe)
    return max(1, steps // num_epochs) * recipe.optimisation.batch_size


def study_table(rows: list[StudyRow]) -> str:
    """The rows as a Markdown table, in percent."""
    lines = [
        "| sees | head | features, CPU s | training, CPU s | mAP@1 | mAP@5 |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        extraction = f"{row.extraction_s:.0f}" if row.extraction_s else "-"
        scores = f"{100 * row.at1:.1f} | {100 * row.at5:.1f}"
        lines.append(f"| {row.features} | {row.head} | {extraction} | {row.training_s:.0f} | {scores} |")
    return "\n".join(lines)

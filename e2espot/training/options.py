"""Options of one training run beyond its recipe: which files are read, by what, and where it computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BadLabels = Literal["stop", "skip"]
"""What is done about an invalid label."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of one training run; the docstring of a field is its ``--help``."""

    resolution: Literal["auto", "224p", "720p"] = "auto"
    """Which video file of a game is read: auto reads 720p if the network uses frames of more than 224 lines."""
    label_file: str = "auto"
    """Name of the label files: auto reads Labels-v2.json for soccernet-v2-17, else Labels-ball.json."""
    bad_labels: BadLabels = "stop"
    """What to do about an invalid label: stop, or skip and count it."""
    joint_data: Path | None = None
    """Second dataset folder, for recipes with a joint_label_set."""
    video_stream: int | None = None
    """Which video stream of a file is read, counted from 0; by default the one that players choose."""
    reader: Literal["auto", "decord", "dali"] = "auto"
    """Decoder of the videos: auto uses DALI on a machine with CUDA and DALI, else the CPU."""
    device: str = "auto"
    """cpu, cuda or auto."""
    resume: bool = False
    """Continue the run in save_dir where it stopped."""

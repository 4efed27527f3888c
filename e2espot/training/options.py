"""Options of one training run beyond its recipe: which files are read, by what, and where it computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from e2espot.core.annotated_classes import AnnotatedClasses
from e2espot.core.picture_options import PictureOptions
from e2espot.core.teams import SecondHalf, TeamMap
from e2espot.formats.annotated_table import StatedStretches
from e2espot.formats.filenames import BALL_LABEL_FILE
from e2espot.formats.label_map import LabelMap

BadLabels = Literal["stop", "skip"]
"""What is done about an invalid label."""


@dataclass(frozen=True, kw_only=True)
class LabelReading:
    """How the label files of a dataset are read."""

    label_file: str = BALL_LABEL_FILE
    """Name of the label file in a game's folder."""
    bad_labels: BadLabels = "stop"
    """What is done about an invalid label."""
    teams: TeamMap = field(default_factory=TeamMap)
    """Sides of teams that have other names."""
    annotated: StatedStretches = field(default_factory=StatedStretches)
    """What was labelled of each game, besides what the files say."""
    classes: AnnotatedClasses = None
    """Classes that were annotated, besides what the files say; None for all of them."""
    label_map: LabelMap = field(default_factory=LabelMap)
    """New names of classes."""


@dataclass(frozen=True, kw_only=True)
class RunOptions(PictureOptions):
    """Options of one training run; the docstring of a field is its ``--help``."""

    resolution: Literal["auto", "224p", "720p"] = "auto"
    """Which video file of a game is read: auto reads 720p if the network uses frames of more than 224 lines."""
    label_file: str = "auto"
    """Name of the label files: auto reads Labels-v2.json for soccernet-v2-17, else Labels-ball.json."""
    bad_labels: BadLabels = "stop"
    """What to do about an invalid label: stop, or skip and count it."""
    map: Path | None = None
    """YAML file that renames or merges classes before anything else reads them, with lines such as HEADER: PASS."""
    annotated: str = ""
    """Stretches of every game in which the labels are complete, such as 0:00-10:00 or 1/0:00-45:00,2/5:00-20:00, or
    a table of them with the columns game, start, end; what is outside teaches nothing and does not count. Empty for
    what the label files say, by default everything."""
    team_map: str = ""
    """Sides of teams that labels call something else than left and right, such as home=left,away=right."""
    second_half: SecondHalf = "same"
    """Sides of the mapped teams in the second half: the same, or swap."""
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

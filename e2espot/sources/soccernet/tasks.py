"""SoccerNet's spotting tasks: which games, which files a game has, and what the servers expect of results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from e2espot.core.errors import ConfigurationError
from e2espot.formats.splits import BALL_SPLITS

TaskName = Literal["ball-2023", "ball-2024", "ball-2025", "v2"]
SplitName = Literal["train", "valid", "val", "test", "challenge"]
Resolution = Literal["224p", "720p"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One of SoccerNet's spotting tasks."""

    name: TaskName
    """What the command line calls it."""
    package_name: str
    """What the SoccerNet package calls it."""
    label_file: str
    """Labels of a game; games of the challenge have none."""
    video_files: tuple[str, ...]
    """Video files of a game, ``{}`` standing for the resolution."""
    label_set: str
    """Classes the server knows."""
    teams: bool = False
    """Whether every prediction must name a team, and an unknown class is an error."""
    server: str
    """Where results go."""
    zipped: bool = True
    """Whether the server has one archive a split; else it has every file by itself."""


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="ball-2023",
            package_name="spotting-ball-2023",
            label_file="Labels-ball.json",
            video_files=("1_{}.mkv", "2_{}.mkv"),
            label_set="ball-2",
            server="EvalAI challenge 1950",
        ),
        Task(
            name="ball-2024",
            package_name="spotting-ball-2024",
            label_file="Labels-ball.json",
            video_files=("{}.mp4",),
            label_set="ball-12",
            server="EvalAI challenge 2200",
        ),
        Task(
            name="ball-2025",
            package_name="spotting-ball-2025",
            label_file="Labels-ball.json",
            video_files=("{}.mp4",),
            label_set="ball-12",
            server="Codabench 4418 for test, 4417 for challenge",
            teams=True,
        ),
        Task(
            name="v2",
            package_name="spotting",
            label_file="Labels-v2.json",
            video_files=("1_{}.mkv", "2_{}.mkv"),
            label_set="soccernet-v2-17",
            server="EvalAI challenge 1949",
            zipped=False,
        ),
    )
}


def split_named(name: str) -> str:
    """``val`` and ``valid`` are one split."""
    return "valid" if name == "val" else name


def games_of(task: Task, split: str) -> tuple[str, ...]:
    """Games of a split, ``league/season/game``.

    Raises:
        ConfigurationError: the list of v2's games comes with the SoccerNet package, and that is not installed.
    """
    if task.name != "v2":
        return BALL_SPLITS[split]
    try:
        from SoccerNet.utils import getListGames
    except ImportError:
        raise ConfigurationError(
            "the list of SoccerNet-v2's games comes with the SoccerNet package, which is not installed; "
            "pip install 'e2espot[soccernet]'"
        ) from None
    return tuple(str(game).replace("\\", "/") for game in getListGames([split], task="spotting"))


def files_of(task: Task, split: str, resolutions: Sequence[str], *, labels_only: bool) -> tuple[str, ...]:
    """Names of the files that make a game of a split complete."""
    labels = () if split == "challenge" else (task.label_file,)
    videos = () if labels_only else tuple(name.format(size) for size in resolutions for name in task.video_files)
    return labels + videos

"""SoccerNet's spotting tasks: their games, the files of a game, and what the servers expect of results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from e2espot.core.errors import ConfigurationError
from e2espot.formats.filenames import BALL_LABEL_FILE, V2_LABEL_FILE
from e2espot.formats.splits import BALL_SPLITS

TaskName = Literal["ball-2023", "ball-2024", "ball-2025", "v2", "v2-features"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One of SoccerNet's spotting tasks."""

    name: TaskName
    """Name in this project and on its command line."""
    package_name: str
    """Name in the SoccerNet package."""
    label_file: str
    """File name of a game's labels; games of the challenge have none."""
    video_files: tuple[str, ...]
    """File names of a game's videos or features, with ``{}`` for the resolution or the name of the features."""
    label_set: str
    """Name of the label set that the server scores."""
    teams: bool = False
    """Whether every prediction must name a team. Such a server also fails on an unknown class."""
    server: str
    """Where results are submitted."""
    zipped: bool = True
    """Whether there is one archive per split; otherwise the files are stored one by one."""

    @property
    def folder(self) -> str:
        """Name of the task for the dataset folder: videos and features of SoccerNet-v2 may share one."""
        return "v2" if self.name == "v2-features" else self.name


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="ball-2023",
            package_name="spotting-ball-2023",
            label_file=BALL_LABEL_FILE,
            video_files=("1_{}.mkv", "2_{}.mkv"),
            label_set="ball-2",
            server="EvalAI challenge 1950",
        ),
        Task(
            name="ball-2024",
            package_name="spotting-ball-2024",
            label_file=BALL_LABEL_FILE,
            video_files=("{}.mp4",),
            label_set="ball-12",
            server="EvalAI challenge 2200",
        ),
        Task(
            name="ball-2025",
            package_name="spotting-ball-2025",
            label_file=BALL_LABEL_FILE,
            video_files=("{}.mp4",),
            label_set="ball-12",
            server="Codabench 4418 for test, 4417 for challenge",
            teams=True,
        ),
        Task(
            name="v2",
            package_name="spotting",
            label_file=V2_LABEL_FILE,
            video_files=("1_{}.mkv", "2_{}.mkv"),
            label_set="soccernet-v2-17",
            server="EvalAI challenge 1949",
            zipped=False,
        ),
        Task(
            name="v2-features",
            package_name="spotting",
            label_file=V2_LABEL_FILE,
            video_files=("1_{}.npy", "2_{}.npy"),
            label_set="soccernet-v2-17",
            server="EvalAI challenge 1949",
            zipped=False,
        ),
    )
}


def games_of(task: Task, split: str) -> tuple[str, ...]:
    """Games of a split, ``league/season/game``.

    Args:
        task: The task.
        split: train, valid, test or challenge.

    Raises:
        ConfigurationError: The SoccerNet package, which contains the list of v2's games, is not installed.
    """
    if task.folder != "v2":
        return BALL_SPLITS[split]
    try:
        from SoccerNet.utils import getListGames
    except ImportError:
        raise ConfigurationError(
            "the list of SoccerNet-v2's games is part of the SoccerNet package, which is not installed; "
            'pip install "e2espot[soccernet]"'
        ) from None
    return tuple(str(game).replace("\\", "/") for game in getListGames([split], task="spotting"))


def files_of(task: Task, split: str, resolutions: Sequence[str], *, labels_only: bool) -> tuple[str, ...]:
    """File names of a complete game of a split.

    Args:
        task: The task.
        split: train, valid, test or challenge.
        resolutions: Any of 224p, 720p; of ``v2-features`` the names of features.
        labels_only: Whether to leave out the videos.
    """
    labels = () if split == "challenge" else (task.label_file,)
    videos = () if labels_only else tuple(name.format(size) for size in resolutions for name in task.video_files)
    return labels + videos

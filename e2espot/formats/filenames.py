"""Names of the files in a dataset and in a folder of results."""

from __future__ import annotations

from pathlib import Path

BALL_LABEL_FILE = "Labels-ball.json"
"""SoccerNet's ball action labels, one file for each game."""

V2_LABEL_FILE = "Labels-v2.json"
"""SoccerNet-v2's labels of 17 classes, one file for each game."""

OTHER_LABEL_FILE = "Labels-other.json"
"""Labels of what else happens in a rendered match, of classes that a spotter of passes and drives does not learn."""

FEED_LABEL_FILE = "Labels-feed.json"
"""Labels from an event feed, whose times are not those of the video yet."""

LABEL_FILES = (BALL_LABEL_FILE, V2_LABEL_FILE)
"""The two label files of SoccerNet."""

RESULTS_FILE = "results_spotting.json"
"""Predictions for one game."""

SPLITS_FILE = "splits.json"
"""Games of each split, at the root of a dataset."""


VIDEO_SUFFIXES = (
    *(".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv"),
    *(".3gp", ".ogv", ".mxf", ".vob", ".m2t", ".dv", ".asf", ".f4v", ".mod", ".tod"),
)
"""Endings, in small letters, of files that are taken for videos where their name says nothing else."""


def scores_file(half: int, num_videos: int) -> str:
    """Name of the per-frame scores of one half: ``scores.npz``, or ``scores_1.npz`` if a game has several videos."""
    return f"scores_{half}.npz" if num_videos > 1 else "scores.npz"


def label_file_of(label_set: str) -> str:
    """Name of SoccerNet's label file for a label set given by name or path."""
    return V2_LABEL_FILE if label_set == "soccernet-v2-17" else BALL_LABEL_FILE


def files_ending_in(folder: Path, *endings: str) -> list[Path]:
    """Files at any depth whose names end so, in letters of either case; sorted, without hidden ones.

    Disks that a Mac has written hold a hidden ``._derby.srt`` for each ``derby.srt``, which is no text.
    """
    names = (path for path in folder.rglob("*") if path.name.lower().endswith(endings))
    return sorted(path for path in names if not path.name.startswith(".") and path.is_file())

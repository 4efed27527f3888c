"""One video with one label file as a dataset: ``match.mp4`` next to ``match.json`` or ``match.csv``."""

from __future__ import annotations

from pathlib import Path

from e2espot.core.timeline import HALVES
from e2espot.formats.filenames import BALL_LABEL_FILE, VIDEO_SUFFIXES
from e2espot.formats.game import Game, Video, is_game_video
from e2espot.formats.own_games import LABEL_SUFFIXES
from e2espot.video.parts import parts_of, stem_of


def is_video_file(path: Path) -> bool:
    """Whether a path names an existing video file, or those of one match joined by ``+``."""
    parts = parts_of(path)
    return all(part.suffix.lower() in VIDEO_SUFFIXES and part.is_file() for part in parts)


def game_of_video(source: Path) -> Game:
    """The game of a video: in a game's folder that game, else one of its own name.

    # 2_224p.mkv -> half 2 of the game that its folder is named after, as 2_224p_part1.mkv+2_224p_part2.mkv is
    # match.mp4  -> a game named match, with labels in match/Labels-ball.json if there are some

    Args:
        source: A video file, or those of one match joined by ``+``.
    """
    parts = parts_of(source)
    first = parts[0].stem.partition("_part")[0] if is_game_video(parts[0].name) else parts[0].stem
    half = {str(half): half for half in HALVES}.get(first.rpartition("_")[0], 1)
    in_game_folder = first.rpartition("_")[2] in ("224p", "720p", "398p")
    parent = parts[0].parent
    name = parent.resolve().name if in_game_folder else stem_of(source)
    folder = parent if in_game_folder else parent / name
    labels = folder / BALL_LABEL_FILE
    video = Video(game=name, half=half, path=source)
    return Game(name=name, folder=folder, videos=(video,), labels_path=labels if labels.is_file() else None)


def one_video_games(source: Path, split: str | None, label_file: str) -> list[Game]:
    """The one game of a video with a label file, which is in the split ``train``; no game of any other split.

    The labels are in the file of the video's name, or in ``label_file`` next to the video.

    Args:
        source: A video file, or those of one match joined by ``+``.
        split: Name of a split; None for all games.
        label_file: Name of the label file.
    """
    if split not in (None, "train"):
        return []
    game, parent = game_of_video(source), parts_of(source)[0].parent
    names = [f"{game.name}{suffix}" for suffix in LABEL_SUFFIXES]
    names = [*names, label_file] if label_file == BALL_LABEL_FILE else [label_file]
    labels = next((parent / name for name in names if (parent / name).is_file()), game.labels_path)
    target = labels if labels is not None and labels.suffix == ".json" else parent / f"{game.name}.json"
    return [
        Game(
            name=game.name,
            folder=game.folder,
            videos=game.videos,
            labels_path=labels,
            labels_target=target,
            split="train",
        )
    ]

"""Look at a dataset before training on it: e2espot dataset DATA -o dataset.html."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from e2espot.cli.parsing import parse
from e2espot.core.errors import ConfigurationError

if TYPE_CHECKING:
    from e2espot.report.dataset_summary import DatasetSummary


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """Look at a dataset before training: videos or features, labels, and what looks wrong.

    Examples: e2espot dataset DATA; e2espot dataset DATA -s train -o dataset.html; e2espot dataset FEATURES --features
    ResNET_TF2
    """

    data: tyro.conf.Positional[Path]
    """Dataset folder, or the list (.yaml, .csv) of one."""
    split: Annotated[str | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split to look at; by default every game."""
    resolution: str = "224p"
    """Which video file of a game is read."""
    features: str | None = None
    """Name of the feature files that are read, such as ResNET_TF2; by default those of a folder without videos."""
    fps: str | None = None
    """Rows a second of features where neither a JSON nor their name says it."""
    label_file: str = "auto"
    """Name of the label files; auto: Labels-ball.json, or Labels-v2.json in a folder that has no others."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Also write an HTML page with the pictures around some labels, which shows a wrong offset at once."""
    examples: int = 24
    """Number of labels whose pictures are on the page."""
    json: Path | None = None
    """Also write all numbers to this file."""


def main(arguments: list[str]) -> None:
    """Look, print, write."""
    args = parse(DatasetOptions, arguments, "e2espot dataset")
    if not 0 <= args.examples <= 500:
        raise ConfigurationError(f"--examples is {args.examples}; give 0 to 500")
    from tqdm import tqdm

    from e2espot.files.atomic import write_atomically
    from e2espot.formats.choose_label_file import chosen_label_file
    from e2espot.formats.games import lack_of_labels
    from e2espot.report.dataset_summary import summarise

    resolution = args.features or _only_features(args) or args.resolution
    label_file = chosen_label_file(args.data, args.label_file)
    with tqdm(desc="games", unit="game", disable=None) as bar:
        summary = summarise(
            args.data,
            split=args.split,
            resolution=resolution,
            label_file=label_file,
            fps=_rows_a_second(args.fps),
            progress=bar.update,
        )
    if not summary.videos:
        what = f"a {args.resolution} video" if resolution == args.resolution else f"features {resolution}"
        raise ConfigurationError(
            f"{args.data}: no game with {what} or a {label_file}, and no other video; name the folder of the games, "
            "their list (.yaml, .csv), or a video"
        )
    print(summary.text())
    if not summary.classes and (lack := lack_of_labels(args.data)):
        print(f"\n{lack}")
    if args.json is not None:
        write_atomically(args.json, json.dumps(summary.to_json(), indent=1).encode())
    if args.out is not None:
        page = _page(args, summary).encode("utf-8", "replace")
        write_atomically(args.out, page)
        print(f"\n{args.out} ({len(page):,} bytes)")


def _only_features(args: DatasetOptions) -> str | None:
    """Name of the features in a folder that has no videos; None where it has videos, or neither.

    Raises:
        ConfigurationError: features of several names.
    """
    from e2espot.formats.games import features_below, resolutions_below
    from e2espot.formats.own_games import own_games

    if not args.data.is_dir() or own_games(args.data) is not None or resolutions_below(args.data):
        return None
    names = features_below(args.data)
    if len(names) > 1:
        raise ConfigurationError(f"{args.data}: no videos, and features {', '.join(names)}", option="features")
    return names[0] if names else None


def _rows_a_second(text: str | None) -> Fraction | None:
    from e2espot.core.timeline import parse_fps

    try:
        return None if text is None else parse_fps(text)
    except ValueError as error:
        raise ConfigurationError(str(error), option="fps") from None


def _page(args: DatasetOptions, summary: DatasetSummary) -> str:
    from tqdm import tqdm

    from e2espot.core.timeline import DEFAULT_FPS
    from e2espot.report.dataset_page import dataset_page, key_of, sample_events
    from e2espot.report.frame_strips import cut_strips

    keys = [key_of(video, event) for video, event in sample_events(summary, args.examples)]
    # Features have no pictures; the video next to them may be there.
    paths = {(video.game, video.half): _pictures_of(Path(video.path)) for video in summary.videos if video.path}
    with tqdm(total=len(set(keys)), desc="frames", unit="strip", disable=None) as bar:
        strips = cut_strips(
            {of: path for of, path in paths.items() if path is not None}, keys, int(DEFAULT_FPS), bar.update
        )
    return dataset_page(f"Dataset {args.data.resolve().name}", summary, args.examples, strips)


def _pictures_of(path: Path) -> Path | None:
    from e2espot.formats.feature_files import feature_name, is_feature_file
    from e2espot.formats.feature_lengths import video_of_features

    return video_of_features(path, feature_name(path)) if is_feature_file(path) else path

"""Cut clips around events out of a video: e2espot clips out/match -v match.mp4."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from e2espot.cli.parsing import parse
from e2espot.core.errors import ConfigurationError
from e2espot.core.wording import counted
from e2espot.formats.format_names import CutListName, FormatName

if TYPE_CHECKING:
    from e2espot.formats.interchange import AnnotationSet


@dataclass(frozen=True, kw_only=True)
class ClipsOptions:
    """Cut clips around events of results or labels, by copying packets: they begin at the key picture before.

    Examples: e2espot clips out/match -v match.mp4 --before 5 --after 3; e2espot clips labels.csv -v match.mp4 --reel
    """

    source: tyro.conf.Positional[Path]
    """Folder of results, or a file of results or labels in any format that convert reads."""
    videos: Annotated[tuple[Path, ...], tyro.conf.arg(aliases=["-v"])]
    """The video (of several files a.mp4+b.mp4), those of the halves in order, or a folder with the videos of all."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("clips")
    """Folder for the clips and their list (clips.json, clips.csv)."""
    from_format: Annotated[FormatName | CutListName | None, tyro.conf.arg(name="from")] = None
    """Format of the events; by default taken from the name and the content of the file."""
    before: float = 5.0
    """Seconds before an event."""
    after: float = 3.0
    """Seconds after it."""
    exact: bool = False
    """Encode the pictures again, to begin where asked instead of at the key picture before."""
    reel: bool = False
    """One file for each video, in which clips that overlap are one."""
    classes: str = ""
    """Classes of which clips are cut, such as PASS,SHOT; by default all."""
    min_confidence: float = 0.0
    """Predictions of a lower confidence are left out."""
    per_minute: int | None = None
    """Most events of each minute of a video: the most confident ones."""
    resolution: str = "224p"
    """Which video file of a game is taken from a folder."""
    resume: bool = False
    """Continue an interrupted run: clips that exist stay."""
    overwrite: bool = False
    """Replace clips that exist."""


def main(arguments: list[str]) -> None:
    """Read the events, plan all clips, then cut them."""
    args = parse(ClipsOptions, arguments, "e2espot clips")
    from tqdm import tqdm

    from e2espot.files.atomic import check_folder
    from e2espot.formats.guess_format import read_any
    from e2espot.formats.interchange import DroppedFields
    from e2espot.formats.thinning import parse_thinning, thinned
    from e2espot.report.clip_plan import parse_clip_options
    from e2espot.report.cut_clips import cut_game, plan_game

    check_folder(args.out, option="out")
    options = parse_clip_options(args.before, args.after, exact=args.exact, reel=args.reel)
    thinning = parse_thinning(args.min_confidence, args.classes, args.per_minute)
    dropped = DroppedFields()
    dataset = thinned(read_any(args.source, args.from_format, dropped), thinning, dropped)
    games = _videos_by_game(args, dataset)
    planned = {}
    for game, videos in games.items():
        events = {video.half: video.annotations for video in dataset.videos if video.game == game}
        planned[args.out / game if len(games) > 1 else args.out] = plan_game(videos, events, options)
    total = sum(len(of_video.clips) for videos in planned.values() for of_video in videos)
    if not total:
        left_out = f"; left out: {'; '.join(dropped.lines())}" if dropped.lines() else ""
        raise ConfigurationError(f"{args.source}: no event to cut a clip of{left_out}")
    count = 0
    with tqdm(total=total, desc="clips", unit="clip", disable=None) as bar:
        for folder, of_game in planned.items():
            count += cut_game(of_game, folder, resume=args.resume, overwrite=args.overwrite, progress=bar.update)
    for line in dropped.lines():
        print(f"left out: {line}")
    there = f", {total - count} of {total} there already" if count < total else ""
    print(f"{counted(count, 'clip')} cut{there} -> {args.out}; times in clips.json and clips.csv")


def _videos_by_game(args: ClipsOptions, dataset: AnnotationSet) -> dict[str, dict[int, Path]]:
    """Game -> half -> video, of the games whose videos are named."""
    from e2espot.report.cut_clips import videos_of_game
    from e2espot.report.frame_strips import find_videos
    from e2espot.video.parts import stem_of

    names = list(dict.fromkeys(video.game for video in dataset.videos))
    if len(args.videos) == 1 and args.videos[0].is_dir():
        videos: dict[str, dict[int, Path]] = {}
        for (game, half), path in find_videos(args.videos[0], names, args.resolution).items():
            videos.setdefault(game, {})[half] = path
        return videos
    if not args.videos:
        raise ConfigurationError("no video is named", option="videos")
    stem = stem_of(args.videos[0])
    if len(names) > 1:
        names = [name for name in names if Path(name).name == stem]
    if len(names) != 1:
        raise ConfigurationError(
            f"{args.source}: holds several games, and {len(names)} are named {stem!r} as the video is; "
            "name the file of one game, or a folder with the videos of all",
            option="videos",
        )
    halves = sorted({video.half for video in dataset.videos if video.game == names[0] and video.annotations})
    return {names[0]: videos_of_game(args.videos, halves)}

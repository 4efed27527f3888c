"""Spot the ball actions of any video: e2espot infer RUN match.mp4 -o out/."""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from e2espot.cli.parsing import parse
from e2espot.cli.work_options import WorkOptions
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.wording import counted
from e2espot.inference.options import UserOptions

if TYPE_CHECKING:
    from fractions import Fraction

    from e2espot.core.events import Event
    from e2espot.formats.game import Game, Video
    from e2espot.inference.job import Job, VideoFailure, VideoResult

_LOG = logging.getLogger(__name__)

RUN_FILES = ("best.safetensors", "config.yaml", "spotter.json")
"""A folder that holds one of these is a run."""


@dataclass(frozen=True, kw_only=True)
class Infer:
    """Spot the ball actions of videos or of a dataset's games.

    Examples: e2espot infer RUN match.mp4 -o out/; e2espot infer RUN DATA -s test -o out/ --flip; a match in several
    files: e2espot infer RUN GX010012.MP4+GX020012.MP4 -o out/
    """

    run_and_sources: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[RUN] VIDEO_OR_DATA...")]
    """Run folder, .safetensors file or folder of an exported spotter (by default the shipped spotter), then videos,
    dataset folders or URLs."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results."""
    split: Annotated[str | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split of a dataset folder; by default all games."""
    ensemble: tuple[Path, ...] = ()
    """More runs, whose scores are averaged with those of the first; the calibration of the first is used."""
    resolution: Literal["224p", "720p"] = "224p"
    """Which video file of a game is read."""
    features: str | None = None
    """Name of the feature files that are read, such as ResNET_TF2; by default those of the run, None for videos."""
    reader: Literal["auto", "decord", "dali"] = "auto"
    """Decoder of the videos: auto uses DALI on a machine with CUDA and DALI, else the CPU."""
    device: str = "auto"
    """cpu, cuda or auto; with --engine ray, --task_gpus decides."""
    video: tyro.conf.OmitArgPrefixes[UserOptions] = field(default_factory=UserOptions)
    """How each video is read and processed."""
    resume: bool = False
    """Skip games that already have results in OUT, to continue with the same run and settings."""
    engine: Literal["local", "ray", "here"] = "local"
    """local: one video after another in this process; ray: one task per video on a Ray cluster; here: same as local."""
    work: tyro.conf.OmitArgPrefixes[WorkOptions] = field(default_factory=WorkOptions)
    """How the work on many games is shared out."""
    save_scores: bool = False
    """Also write the score of every frame (scores.npz)."""
    also: str = ""
    """More formats for the results, of those that convert writes: csv,xml,srt."""
    lead: float = 5.0
    """Seconds of a SportsCode instance or a cut of --also before its event."""
    lag: float = 3.0
    """Seconds of it after its event."""
    half_starts: str = "0:00"
    """Times at which the halves start on SportsCode's one time line, such as 0:00,47:12."""
    table: int = 20
    """Number of rows of the printed table, which shows the strongest events; 0 for none."""


def main(arguments: list[str]) -> None:
    """Plan all outputs before any work, then write the results of each game as soon as it is done."""
    args = parse(Infer, arguments, "e2espot infer")
    _check(args)
    run, sources = split_run(args.run_and_sources)
    if run is None:
        print(shipped_note(), flush=True)
    from e2espot.formats.interchange import DroppedFields
    from e2espot.formats.more_formats import parse_more_formats
    from e2espot.formats.sportscode import parse_instance_times
    from e2espot.inference.results import pending_games
    from e2espot.inference.sharding import shard_of

    more_formats = parse_more_formats(args.also, parse_instance_times(args.lead, args.lag, args.half_starts))
    resolution = args.features or _features_of(run) or args.resolution
    planned = shard_of(_plan(args, sources, resolution), args.work.shard)
    more_formats.check(planned)
    _warn_of_missing_halves(planned, resolution)
    games = pending_games(planned, args.out, save_scores=args.save_scores, resume=args.resume)
    if args.resume:
        print(
            f"{len(planned) - len(games)} of {counted(len(planned), 'game has', 'games have')} results in {args.out} "
            "already; skipped"
        )
    dropped = DroppedFields()
    # Results of an interrupted run may lack their copies.
    more_formats.write(args.out, [game for name, game in planned.items() if name not in games], dropped, new=False)
    try:
        if games:
            _spot(args, run, games, lambda game: more_formats.write(args.out, [game], dropped))
    finally:
        if lines := dropped.lines():
            print(f"not held, or rounded, by the formats of --also: {'; '.join(lines)}")


def shipped_note() -> str:
    """What the shipped spotter is, and how good it is on real footage, as its weights file records it."""
    from e2espot.models.weights.checkpoint import shipped_spotter
    from e2espot.models.weights.measured import read_measured

    measured = read_measured(shipped_spotter())
    quality = "was not measured on real footage" if measured is None else f"reaches {measured.describe()}"
    return (
        "no run is named: using the spotter that ships with e2espot (PASS and DRIVE). It was trained on rendered "
        "matches and, on unfamiliar footage, has an image network that knows photographs; it "
        f"{quality}. For better results, train on labels of your own."
    )


def split_run(words: Sequence[str]) -> tuple[Path | None, tuple[str, ...]]:
    """Separate the run from the sources: ``RUN match.mp4`` or ``match.mp4`` alone.

    The first word is a run when it is a weights file, a folder that holds one, or does not exist while
    others follow, so that a misspelt run is not taken for a video.

    Raises:
        ConfigurationError: no video or dataset is named.
    """
    if not words:
        raise ConfigurationError("no video is named; give [RUN] and videos, dataset folders or URLs")
    first = Path(words[0])
    is_run = first.suffix == ".safetensors" or any((first / name).exists() for name in RUN_FILES)
    if is_run or (len(words) > 1 and "://" not in words[0] and not _exists(words[0])):
        if len(words) == 1:
            raise ConfigurationError(f"{first} is a run, and no video follows it; name videos, dataset folders or URLs")
        return first, tuple(words[1:])
    return None, tuple(words)


def _exists(word: str) -> bool:
    """Whether a word of the command line names a file or folder, or the files of one match, joined by ``+``."""
    from e2espot.video.parts import parts_of

    return all(part.exists() for part in parts_of(word))


def _warn_of_missing_halves(games: Mapping[str, Game], resolution: str) -> None:
    """Warn where features of one half are there, and those of the other seem to be missing."""
    from e2espot.formats.feature_files import is_feature_file
    from e2espot.formats.feature_halves import missing_halves

    of_folders = [
        game
        for game in games.values()
        if game.videos and is_feature_file(game.videos[0].path) and game.videos[0].url is None
    ]
    for line in missing_halves(of_folders, resolution):
        _LOG.warning("%s", line)


def _check(args: Infer) -> None:
    args.video.frame_size()
    args.work.check()
    if args.table < 0:
        raise ConfigurationError(f"--table is {args.table}; give 0 rows or more")


def _features_of(run: Path | None) -> str | None:
    """Name of the features that a run reads; None for videos."""
    from e2espot.inference.exported_spec import is_exported

    if run is None or is_exported(run):  # neither needs torch to decide
        return None
    from e2espot.models.weights.checkpoint import read_spec, weights_file

    features = read_spec(weights_file(run)).features
    return None if features is None else features.name


def _plan(args: Infer, sources: Sequence[str], resolution: str) -> dict[str, Game]:
    """Output name -> what to read, refusing two outputs of one name."""
    from e2espot.sources.remote import redact

    games: dict[str, Game] = {}
    for source in sources:
        for game in games_of_source(source, split=args.split, resolution=resolution):
            if game.name in games:
                raise ConfigurationError(
                    f"{redact(source)}: a second source named {game.name!r} would overwrite the first one's results; "
                    "rename it or give it a run of its own"
                )
            games[game.name] = game
    return games


def games_of_source(source: str, *, split: str | None, resolution: str) -> list[Game]:
    """A dataset's games, or a loose video as a game of its own.

    Args:
        source: A video, a dataset folder or its list, or a URL.
        split: Split of a dataset; None for all games.
        resolution: Which of a game's files is read.

    Raises:
        ConfigurationError: no videos there.
    """
    from e2espot.formats.game import Game
    from e2espot.formats.games import find_games, is_dataset, loose_games, resolutions_below
    from e2espot.inference.job import single_video
    from e2espot.sources.remote import find_remote_games, is_url, redact

    if is_url(source):
        games = find_remote_games(source, split=split, resolution=resolution)
    else:
        path = Path(source)
        games = find_games(path, split=split, resolution=resolution) if is_dataset(path) else None
    if games is None:
        video = single_video(source)
        return [Game(name=video.game, folder=video.path.parent, videos=(video,), labels_path=None)]
    if games:
        return games
    if not is_url(source):
        present = ", ".join(resolutions_below(Path(source)))
        loose = loose_games(Path(source)) if split is None and not present else []
        if loose:
            return loose
        if present:
            if not re.fullmatch("[0-9]+p", resolution):
                raise ConfigurationError(
                    f"{source}: no games with features {resolution}{_in_split(split)}; it has videos: extract the "
                    "features first, e2espot features",
                    option="features",
                )
            raise ConfigurationError(
                f"{source}: no games with {resolution} video{_in_split(split)}; it has {present}",
                option="resolution",
            )
    raise ConfigurationError(f"{redact(source)}: no videos there{_in_split(split)}")


def _in_split(split: str | None) -> str:
    return "" if split is None else f" in split {split!r}"


def _spot(
    args: Infer, run: Path | None, games: dict[str, Game], write_copies: Callable[[Game], Sequence[Path]]
) -> None:
    from e2espot.inference.job import VideoFailure
    from e2espot.inference.results import BatchResults

    job = _job(args, run)
    fps, height = job.spotters[0].grid_fps, job.spotters[0].spec.height
    batch = BatchResults(games=games, out=args.out, fps=fps)
    if height > 224 and any("224p" in video.path.stem for video in batch.videos):
        print(f"note: this run uses frames of {height} lines; pass --resolution 720p to read the 720p files")
    failed: dict[str, VideoError] = {}
    for result in _run_engine(args, job, batch.videos):
        if not isinstance(result, VideoFailure):
            if result.coverage is not None:
                print(
                    f"{result.video.game} ({result.video.path.name}): read only {result.coverage.describe(fps)}",
                    flush=True,
                )
            written = batch.add(result)
            if written is not None:
                path, events = written
                _print_table(games[result.video.game], events, fps, args.table)
                copies = write_copies(games[result.video.game])
                print(f"{counted(len(events), 'event')} -> {', '.join(map(str, (path, *copies)))}", flush=True)
        elif result.video.game not in failed:
            error = failed[result.video.game] = batch.add_failure(result)
            if len(games) > 1:
                sys.stderr.write(f"{result.video.game}: no results: {error}\n")
    if len(games) == 1 and failed:
        raise next(iter(failed.values()))
    if failed:
        raise VideoError(
            f"{len(failed)} of {counted(len(games), 'game')} have no results: {'; '.join(map(str, failed.values()))}"
        )


def _pictures_of_frames(video: Video, fps: Fraction) -> Sequence[int]:
    """Number of the picture that each frame shows, from 0; nothing for a video in a store or in several files."""
    from e2espot.video import index_of, parts_of, pictures_of_grid

    if video.url is not None or len(parts_of(video.path)) > 1:
        return ()
    try:
        index = index_of(video.path, allow_truncated=True, video_stream=video.video_stream)
        return pictures_of_grid(index, fps).tolist()  # type: ignore[no-any-return]
    except VideoError:  # such as a raw stream without times, which was read at another rate
        return ()


def _run_engine(args: Infer, job: Job, videos: list[Video]) -> Iterator[VideoResult | VideoFailure]:
    if args.engine != "ray":
        from e2espot.inference.local import run_local

        return run_local(job, videos)
    from e2espot.inference.ray_cluster import run_on_ray

    return run_on_ray(job, videos, args.work.cluster())


def _job(args: Infer, run: Path | None) -> Job:
    from e2espot.core.device import reuse_freed_memory
    from e2espot.inference.exported_spec import is_exported
    from e2espot.inference.job import load_job
    from e2espot.inference.options import InferenceOptions

    runs = [run or _shipped(), *args.ensemble]
    if args.engine == "ray" and args.work.task_gpus and any(map(is_exported, runs)):
        raise ConfigurationError("exported spotters run on the CPU; give 0 GPUs", option="task_gpus")
    reuse_freed_memory()
    return load_job(
        runs,
        device="cpu" if args.engine == "ray" else args.device,  # on Ray each task moves them to its own device
        options=InferenceOptions(**asdict(args.video), reader=args.reader),
        cache=args.work.video_cache(),
        keep_scores=args.save_scores,
    )


def _shipped() -> Path:
    from e2espot.models.weights.checkpoint import shipped_spotter

    return shipped_spotter()


def _print_table(game: Game, events: list[Event], fps: Fraction, rows: int) -> None:
    """Print the strongest events with their times, and their pictures: what a player or an editor counts."""
    from e2espot.core.timeline import game_time, position_ms_of_frame

    strongest = sorted(events, key=lambda event: -event.confidence)[:rows]
    shown = f": the {len(strongest)} strongest of {counted(len(events), 'event')}" if rows else ""
    print(f"\n{game.name}{shown}")
    if strongest:
        print(f"{'time':>12}  {'picture':>7}  {'label':<24} confidence")
    pictures = {video.half: _pictures_of_frames(video, fps) for video in game.videos} if strongest else {}
    for event in sorted(strongest, key=lambda event: (event.half, event.frame)):
        position_ms = position_ms_of_frame(event.frame, fps)
        clock = f"{game_time(position_ms, event.half)}.{position_ms % 1000 // 10:02d}"
        of_half = pictures.get(event.half, ())
        picture = of_half[event.frame] if event.frame < len(of_half) else "-"
        print(f"{clock:>12}  {picture:>7}  {event.label:<24} {event.confidence:.3f}")
    likely = Counter(event.label for event in events if event.confidence >= 0.5)
    print("above 0.5: " + (", ".join(f"{count} {label}" for label, count in likely.most_common()) or "none"))

"""Spot the ball actions of any video: e2espot infer RUN match.mp4 -o out/."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from e2espot.cli.event_table import print_events
from e2espot.cli.parsing import Paths, Words, parse
from e2espot.cli.sources import games_of_source, split_run
from e2espot.cli.work_options import WorkOptions
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.wording import counted
from e2espot.inference.options import UserOptions

if TYPE_CHECKING:
    from e2espot.formats.game import Game, Video
    from e2espot.inference.job import Job, VideoFailure, VideoResult

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Infer:
    """Spot the ball actions of videos or of a dataset's games.

    Examples: e2espot infer RUN match.mp4 -o out/; e2espot infer RUN DATA -s test -o out/ --flip; a match in several
    files: e2espot infer RUN GX010012.MP4+GX020012.MP4 -o out/
    """

    run_and_sources: Annotated[Words, tyro.conf.arg(metavar="[RUN] VIDEO_OR_DATA...")]
    """Run folder, .safetensors file or folder of an exported spotter (by default the shipped spotter), then videos,
    dataset folders or URLs."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results."""
    split: Annotated[str | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split of a dataset folder; by default all games."""
    ensemble: Paths = ()
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
    from e2espot.files.atomic import check_folder

    args = parse(Infer, arguments, "e2espot infer")
    _check(args)
    run, sources = split_run(args.run_and_sources)
    check_folder(args.out, option="out")
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
    _warn_of_chapters(planned)
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


def _warn_of_chapters(games: Mapping[str, Game]) -> None:
    """Warn where the chapters of one recording are taken for matches of their own."""
    from e2espot.formats.chapters import recordings_in_chapters

    videos = (video for game in games.values() for video in game.videos if len(game.videos) == 1 and video.url is None)
    for first, *others in recordings_in_chapters(video.path for video in videos):
        joined = "+".join([str(first), *(path.name for path in others)])
        _LOG.warning("%s: chapters of one recording are spotted one by one; %s is one match", first.parent, joined)


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
                print_events(games[result.video.game], events, fps, args.table, job.options.opening)
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


def _run_engine(args: Infer, job: Job, videos: list[Video]) -> Iterator[VideoResult | VideoFailure]:
    if args.engine != "ray":
        from e2espot.inference.local import run_local

        return run_local(job, videos)
    from e2espot.inference.ray_cluster import run_on_ray

    return run_on_ray(job, videos, args.work.cluster())


def _job(args: Infer, run: Path | None) -> Job:
    from e2espot.core.device import leave_core_to_decoder, reuse_freed_memory
    from e2espot.inference.exported_spec import is_exported
    from e2espot.inference.job import load_job
    from e2espot.inference.options import InferenceOptions

    runs = [run or _shipped(), *args.ensemble]
    if args.engine == "ray" and args.work.task_gpus and any(map(is_exported, runs)):
        raise ConfigurationError("exported spotters run on the CPU; give 0 GPUs", option="task_gpus")
    reuse_freed_memory()
    if args.engine != "ray" and not all(map(is_exported, runs)):  # exported ones do without torch
        leave_core_to_decoder()
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

"""Spot the ball actions of any video: python tools/infer.py RUN match.mp4 -o out/."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from e2espot.command import run_command
from e2espot.errors import ConfigurationError, VideoError
from e2espot.season import shard_of

if TYPE_CHECKING:
    from e2espot.events import Event, Scores
    from e2espot.games import Game
    from e2espot.models import Spotter


@dataclass(frozen=True, kw_only=True)
class Infer:
    """Spot the ball actions of videos or of a dataset's games."""

    run: tyro.conf.Positional[Path]
    """Run folder made by tools/train.py, or a .safetensors file."""
    sources: tyro.conf.Positional[tuple[Path, ...]]
    """Video files, or dataset folders."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the results."""
    split: Annotated[str | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split of a dataset folder; all games without it."""
    ensemble: tuple[Path, ...] = ()
    """More runs whose scores are averaged with those of the first; its suppression is used."""
    resolution: Literal["224p", "720p"] = "224p"
    """Which of a game's files is read."""
    reader: Literal["auto", "decord", "dali"] = "auto"
    """What decodes the videos: auto takes DALI on a CUDA machine that has it, and the CPU elsewhere."""
    device: str = "auto"
    """cpu, cuda or auto."""
    allow_truncated: bool = False
    """Take a video that breaks off as far as it goes."""
    resume: bool = False
    """Leave out games whose results are in OUT already: for going on with the same run and settings."""
    shard: str = "1/1"
    """Do only this part of the games, such as 2/8: for job arrays, one part a job."""
    flip: bool = False
    """Look at the mirror image as well and average the scores: better by a little, and twice the time."""
    cuda_graphs: bool = False
    """On CUDA, record the trunk's work once and replay it: for GPUs that wait for their CPU."""
    save_scores: bool = False
    """Also write the score of every frame (scores.npz)."""
    table: int = 20
    """Rows of the table on the screen; the strongest events are shown."""


def main() -> None:
    """Plan all outputs before any work, then spot one game after another."""
    told = tyro.cli(Infer)
    games = _left_to_do(told, shard_of(_plan(told), told.shard))
    if not games:
        return

    import torch

    from e2espot.models import load_spotter
    from e2espot.precision import keep_freed_memory

    keep_freed_memory()
    device = ("cuda" if torch.cuda.is_available() else "cpu") if told.device == "auto" else told.device
    spotters = [load_spotter(run, device) for run in (told.run, *told.ensemble)]
    spotter = spotters[0]
    if spotter.spec.height > 224 and told.resolution == "224p" and any(source.is_dir() for source in told.sources):
        print(f"note: this run sees {spotter.spec.height} lines; the games' 720p files are read with --resolution 720p")
    failed: list[VideoError] = []
    for name, game in games.items():
        try:
            _write_game(told, spotters, name, game)
        except VideoError as error:  # one bad file takes one game
            failed.append(error)
            if len(games) > 1:
                sys.stderr.write(f"{name}: left out: {error}\n")
    if len(games) == 1 and failed:
        raise failed[0]
    if failed:
        raise VideoError(f"{len(failed)} of {len(games)} games have no results: {'; '.join(map(str, failed))}")


def _left_to_do(told: Infer, games: dict[str, Game]) -> dict[str, Game]:
    """The games to spot: with --resume, those without results."""
    from e2espot.formats.atomic import sweep

    for name in games:
        sweep(told.out / name)
    if not told.resume:
        return games
    left = {name: game for name, game in games.items() if not all(file.is_file() for file in _results(told, game))}
    print(f"{len(games) - len(left)} of {len(games)} games have results in {told.out} already; left out")
    return left


def _results(told: Infer, game: Game) -> list[Path]:
    """Files a game leaves, the predictions last."""
    halves = [f"_{video.half}" if len(game.videos) > 1 else "" for video in game.videos]
    names = [f"scores{half}.npz" for half in halves] if told.save_scores else []
    return [told.out / game.name / name for name in (*names, "results_spotting.json")]


def _write_game(told: Infer, spotters: list[Spotter], name: str, game: Game) -> None:
    from e2espot.formats.soccernet import write_predictions

    events, fps = _spot_game(told, spotters, name, game), spotters[0].grid_fps
    target = told.out / name / "results_spotting.json"
    write_predictions(target, url_local=name, events=events, fps=fps)
    _print_table(name, events, fps, told.table)
    print(f"{len(events)} events -> {target}")


def _plan(told: Infer) -> dict[str, Game]:
    """Output name -> what to read, refusing two outputs of one name."""
    from e2espot.games import Game, Video, find_games

    games: dict[str, Game] = {}
    for source in told.sources:
        if source.is_dir():
            found = find_games(source, split=told.split, resolution=told.resolution)
            if not found:
                raise ConfigurationError(f"{source}: no games with {told.resolution} video in split {told.split!r}")
        else:
            video = Video(game=source.stem, half=1, path=source)
            found = [Game(name=source.stem, folder=source.parent, videos=(video,), labels_path=None)]
        for game in found:
            if game.name in games:
                raise ConfigurationError(
                    f"{source}: a second source named {game.name!r} would overwrite the first one's results; "
                    "rename it or give it a run of its own"
                )
            games[game.name] = game
    return games


def _spot_game(told: Infer, spotters: list[Spotter], name: str, game: Game) -> list[Event]:
    from tqdm import tqdm

    from e2espot.calibration import apply_calibration, read_calibration
    from e2espot.formats.scores import write_scores
    from e2espot.inference import InferenceOptions, average_scores, spot_video

    calibration = read_calibration(told.run)
    events: list[Event] = []
    for video in game.videos:
        found: list[Scores] = []
        with tqdm(desc=f"{name} ({video.path.name})", unit="frame", disable=None) as bar:

            def show(done: int, total: int, bar: object = bar, found: list[Scores] = found) -> None:
                assert isinstance(bar, tqdm)
                bar.total = total * len(spotters)
                bar.update(done + total * len(found) - bar.n)

            options = InferenceOptions(
                reader=told.reader,
                flip=told.flip,
                allow_truncated=told.allow_truncated,
                cuda_graphs=told.cuda_graphs,
            )
            for spotter in spotters:
                found.append(spot_video(spotter, video.path, options, progress=show))
        scores = average_scores(found)
        events += apply_calibration(calibration, scores, half=video.half)
        if told.save_scores:
            half = f"_{video.half}" if len(game.videos) > 1 else ""
            write_scores(told.out / name / f"scores{half}.npz", scores)
    return events


def _print_table(name: str, events: list[Event], fps: object, rows: int) -> None:
    from fractions import Fraction

    from e2espot.timeline import game_time, position_ms_of_frame

    assert isinstance(fps, Fraction)
    strongest = sorted(events, key=lambda event: -event.confidence)[:rows]
    print(f"\n{name}: the {len(strongest)} strongest of {len(events)} events")
    print(f"{'time':>12}  {'frame':>7}  {'label':<24} confidence")
    for event in sorted(strongest, key=lambda event: (event.half, event.frame)):
        position_ms = position_ms_of_frame(event.frame, fps)
        clock = f"{game_time(position_ms, event.half)}.{position_ms % 1000 // 10:02d}"
        print(f"{clock:>12}  {event.frame:>7}  {event.label:<24} {event.confidence:.3f}")
    likely = Counter(event.label for event in events if event.confidence >= 0.5)
    print("above 0.5: " + (", ".join(f"{count} {label}" for label, count in likely.most_common()) or "none"))


if __name__ == "__main__":
    run_command(main)

"""Look at and correct labels and predictions in the browser: e2espot review VIDEO_OR_GAME -p PREDICTIONS."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from e2espot.cli.parsing import parse
from e2espot.core.errors import ConfigurationError
from e2espot.core.wording import counted
from e2espot.formats.filenames import SPLITS_FILE

if TYPE_CHECKING:
    from e2espot.review.export import ExportedGame
    from e2espot.review.inputs import ReviewInputs
    from e2espot.review.session import Review


@dataclass(frozen=True, kw_only=True)
class ReviewOptions:
    """Look at and correct labels and predictions in the browser. Only this machine can open the page.

    Every decision is saved at once.

    Example: e2espot review DATA -p out/ --queue uncertain
    """

    source: tyro.conf.Positional[Path]
    """A video, the folder of a game, or a dataset."""
    predictions: tyro.conf.UseAppendAction[Annotated[tuple[Path, ...], tyro.conf.arg(aliases=["-p"])]] = ()
    """Results of e2espot infer: folder, zip or file. The first -p is shown; --queue disagree compares them all."""
    labels: Annotated[Path | None, tyro.conf.arg(aliases=["-l"])] = None
    """Label file or folder of <game>/Labels-ball.json; by default the label file next to each video."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for the corrected labels; by default the label file is replaced and a copy saved."""
    port: int = 8000
    """Port on 127.0.0.1; 0 for a free one."""
    queue: Literal["uncertain", "disagree"] | None = None
    """Order events so that the first answers give the most information: by uncertainty, or by disagreement."""
    label_set: str | None = None
    """ball-2, ball-12, soccernet-v2-17 or a class.txt; by default the smallest set with all classes that occur."""
    split: Annotated[str | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split of a dataset; by default all games."""
    resolution: Literal["224p", "720p"] = "224p"
    """Which video file of a game is shown."""
    video_stream: int | None = None
    """Which video stream of a file is shown, counted from 0; by default the one that players choose."""
    allow_truncated: bool = False
    """Use a truncated video up to its end."""
    threshold: float = 0.2
    """Score below which predictions are hidden at first."""
    cache: Path | None = None
    """Folder for videos copied to a container that browsers play; by default ~/.cache/e2espot/videos."""
    export_osl: Path | None = None
    """Write the labels as OpenSportsLab JSON to this file and stop."""
    export_dataset: Path | None = None
    """Write labels and links to the videos to this folder, for e2espot train, and stop."""
    assume: float | None = None
    """With --export_dataset: add unreviewed predictions of at least this score as labels."""


def main(arguments: list[str]) -> None:
    """Load the inputs, then export or serve."""
    args = parse(ReviewOptions, arguments, "e2espot review")
    _check(args)
    from e2espot.review.inputs import load_inputs

    inputs = load_inputs(
        args.source,
        predictions=args.predictions,
        labels=args.labels,
        out=args.out,
        label_set=args.label_set,
        split=args.split,
        resolution=args.resolution,
        video_stream=args.video_stream,
    )
    review = _review(args, inputs)
    try:
        if args.export_osl is not None or args.export_dataset is not None:
            _export(args, review)
        else:
            _serve(args, review)
    finally:
        review.close()


def _check(args: ReviewOptions) -> None:
    if not 0 <= args.port < 65536:
        raise ConfigurationError(f"--port {args.port}: give a number from 0 to 65535")
    if not 0 <= args.threshold <= 1 or (args.assume is not None and not 0 <= args.assume <= 1):
        raise ConfigurationError("--threshold and --assume are scores; give numbers from 0 to 1")
    if args.queue is not None and not args.predictions:
        raise ConfigurationError("--queue orders predictions; name them with -p")


def _review(args: ReviewOptions, inputs: ReviewInputs) -> Review:
    from e2espot.files.cache import cache_dir
    from e2espot.review.session import Review

    return Review(
        inputs,
        args.cache or cache_dir("videos"),
        queue_mode=args.queue,
        threshold=args.threshold,
        allow_truncated=args.allow_truncated,
    )


def _serve(args: ReviewOptions, review: Review) -> None:
    try:
        import uvicorn

        from e2espot.review.server import application
    except ModuleNotFoundError as error:
        raise ConfigurationError(f'the review page needs {error.name}; pip install "e2espot[review]"') from None
    from tqdm import tqdm

    games = review.inputs.games
    for number in range(len(games)):
        review.store(number)  # damaged labels are reported now, not when the page asks for them
    with tqdm(desc="copying for the browser", unit="B", unit_scale=True, disable=None, delay=0.5) as bar:
        review.browser_video(0, bar.update)
    listening = _listen(args.port)
    port = listening.getsockname()[1]
    print(f"decisions are saved to {games[0].target}" + (f" and {len(games) - 1} more" if len(games) > 1 else ""))
    print(f"open http://127.0.0.1:{port}/   (Ctrl-C stops the server; nothing is lost)", flush=True)
    config = uvicorn.Config(
        application(review, port), log_level="warning", timeout_graceful_shutdown=1, server_header=False, ws="none"
    )
    uvicorn.Server(config).run(sockets=[listening])


def _listen(port: int) -> socket.socket:
    """A socket on the loopback interface; it listens before its address is printed."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(f"--port {port}: {error.strerror}; choose another, or 0 for a free one") from None
    listening.listen(64)
    return listening


def _export(args: ReviewOptions, review: Review) -> None:
    from e2espot.files.atomic import write_atomically
    from e2espot.review.export import ExportedGame, export_opensportslab, with_pseudo_labels, write_dataset

    games = review.inputs.games
    stores = [review.store(number) for number in range(len(games))]
    if args.export_osl is not None:
        exported = [
            ExportedGame(name=game.name, videos=game.videos, text=store.text())
            for game, store in zip(games, stores, strict=True)
        ]
        result = export_opensportslab(exported, review.inputs.label_set)
        write_atomically(args.export_osl, json.dumps(result.document, indent=1).encode())
        print(f"{counted(result.num_labels, 'label')} of {counted(len(games), 'game')} -> {args.export_osl}")
        if result.dropped:
            print(f"not exported: {'; '.join(result.dropped)}")
    if args.export_dataset is not None:
        datasets: list[ExportedGame] = []
        for game, store in zip(games, stores, strict=True):
            text = store.text()
            if args.assume is not None and game.predictions:
                text = with_pseudo_labels(text, game.predictions[0], store.verdicts(), args.assume)
            datasets.append(ExportedGame(name=game.name, videos=game.videos, text=text))
        write_dataset(args.export_dataset, datasets)
        splits = args.source / SPLITS_FILE
        if splits.is_file():
            write_atomically(args.export_dataset / SPLITS_FILE, splits.read_bytes())
        elif by_split := _splits_of(args.source, {game.name for game in games}):
            write_atomically(args.export_dataset / SPLITS_FILE, json.dumps(by_split, indent=1).encode())
        print(f"{counted(len(games), 'game')} -> {args.export_dataset}")


def _splits_of(source: Path, names: set[str]) -> dict[str, list[str]]:
    """Split -> exported games, as the list or the folders of the source name them; empty if they name none."""
    from e2espot.formats.games import find_games, is_dataset

    splits: dict[str, list[str]] = {}
    for game in find_games(source) if is_dataset(source) else []:
        if game.split and game.name in names:
            splits.setdefault(game.split, []).append(game.name)
    return splits

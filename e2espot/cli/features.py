"""Extract features of any video: e2espot features match.mkv -o feats/ --backbone resnet152 --rate 2."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from e2espot.cli.parsing import Words, parse
from e2espot.cli.sources import games_of_source, is_run
from e2espot.cli.work_options import WorkOptions
from e2espot.core.device import Precision
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.picture_options import PictureOptions
from e2espot.core.timeline import fps_text, parse_clock_ms, parse_fps
from e2espot.core.wording import counted

if TYPE_CHECKING:
    from e2espot.features.backbones import ImageExtractor
    from e2espot.features.extract import ExtractionJob, SpotterExtractor
    from e2espot.features.pca import Pca
    from e2espot.formats.game import Game

_USUAL_RATE = Fraction(2)


@dataclass(frozen=True, kw_only=True)
class Features(PictureOptions):
    """Extract features of videos or of a dataset's games: one row of numbers at a constant rate.

    Examples: e2espot features match.mkv -o feats/ --backbone resnet152; e2espot features DATA -s train --grid soccernet
    --pca 512 --pca_fit pca512.npz; e2espot features DATA -o feats/ --backbone RUN
    """

    sources: Annotated[Words, tyro.conf.arg(metavar="VIDEO_OR_DATA...")]
    """Videos, dataset folders or URLs."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for the features, with the labels of a dataset; by default they go next to the videos."""
    split: Annotated[str | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split of a dataset folder; by default all games."""
    backbone: str = "resnet152"
    """timm:NAME, torchvision:NAME, a name of either, or the folder of a run, whose backbone is used."""
    weights: str = "pretrained"
    """Weights of an image network: pretrained, none for random ones, or a .safetensors or .pth file."""
    rate: str = "auto"
    """Rows a second, such as 1, 2, 5, 12.5 or 25; auto: 2, or the rate of a run."""
    grid: Literal["middle", "soccernet"] = "middle"
    """Picture of a row: the one in the middle of its interval, or the last one, as SoccerNet's extractor takes."""
    transform: Literal["crop", "resize", "resize256crop224"] = "crop"
    """How pictures become squares: cut out of the middle, squeezed, or cut out of a larger picture."""
    start: str = "0"
    """Time of the video at which row 0 begins, such as that of kick-off: seconds or minutes:seconds."""
    duration: str | None = None
    """How much of the video from there is read; by default the rest."""
    name: str | None = None
    """Name of the files, such as ResNET_TF2; by default that of the network."""
    half_precision: bool = False
    """Store float16 instead of float32: half the size."""
    pca: str | None = None
    """Project rows: a PCA file (.npz), or with --pca_fit the number of components."""
    pca_fit: Path | None = None
    """Fit a PCA on all features of this call, write it to this .npz, and write projected features as well."""
    pca_average: Path | None = None
    """The vector that is subtracted first, where --pca is one of SoccerNet's pickles."""
    trust_pickle: bool = False
    """Read the arrays of SoccerNet's PCA pickles, without running what else they hold."""
    resolution: Literal["224p", "720p"] = "224p"
    """Which video file of a game is read."""
    reader: Literal["auto", "decord", "dali"] = "auto"
    """Decoder of the videos; dali for the backbone of a run only."""
    allow_truncated: bool = False
    """Read a damaged or truncated video as far as it decodes."""
    device: str = "auto"
    """cpu, cuda or auto; with --engine ray, --task_gpus decides."""
    precision: Precision = "auto"
    """Number format of the network."""
    resume: bool = False
    """Skip videos whose features of this kind are complete."""
    engine: Literal["local", "ray"] = "local"
    """local: one video after another; ray: one task per video on a Ray cluster, whose machines write the files."""
    work: tyro.conf.OmitArgPrefixes[WorkOptions] = field(default_factory=WorkOptions)
    """How the work on many games is shared out."""


def main(arguments: list[str]) -> None:
    """Plan all outputs before any work, then write the features of each video as soon as they are complete."""
    from e2espot.files.atomic import check_folder

    args = parse(Features, arguments, "e2espot features")
    args.work.check()
    components = _components(args)
    if args.out is not None:
        check_folder(args.out, option="out")
    games, loose = _plan(args)
    job, planned = _job(args, games, loose)
    if components > job.extractor.dim:
        raise ConfigurationError(
            f"pca is {components}, and {args.backbone} gives rows of {job.extractor.dim} values; give at most as many "
            "components",
            option="pca",
        )
    from e2espot.features.extract import is_complete

    pending = {
        name: game
        for name, game in planned.items()
        if not args.resume
        or not all(is_complete(job.targets[name, video.half], job.kind_fields()) for video in game.videos)
    }
    if args.resume:
        print(f"{len(planned) - len(pending)} of {counted(len(planned), 'game')} have these features already; skipped")
    if args.out is not None:
        _copy_labels(args, games, loose, job)
    _extract(args, job, pending)
    if components:
        _fit(args, job, components)


def _components(args: Features) -> int:
    """Number of components to fit; 0 for none.

    Raises:
        ConfigurationError: options that contradict each other.
    """
    if args.pca_fit is None:
        if args.pca is not None and args.pca.isdecimal():
            raise ConfigurationError(
                f"pca is {args.pca}; a number of components needs the file to write the PCA to", option="pca_fit"
            )
        return 0
    if args.pca is None or not re.fullmatch(r"[1-9][0-9]{0,5}", args.pca):
        raise ConfigurationError(f"pca is {args.pca!r}; to fit one, give the number of components", option="pca")
    if args.pca_fit.exists():
        raise ConfigurationError(
            f"{args.pca_fit} exists; features projected by another PCA cannot be compared: apply it (pca), or name "
            "another file",
            option="pca_fit",
        )
    if args.work.shard != "1/1":
        raise ConfigurationError(
            "a PCA is fitted on all games, not on a shard; extract in shards first, then resume without", option="shard"
        )
    return int(args.pca)


def _plan(args: Features) -> tuple[dict[str, Game], frozenset[str]]:
    """Games by name, and which of them are loose videos."""
    if not args.sources:
        raise ConfigurationError("no video is named; give videos, dataset folders or URLs")
    games: dict[str, Game] = {}
    loose: set[str] = set()
    for source in args.sources:
        is_dataset = Path(source).is_dir() or Path(source).suffix.lower() in (".csv", ".yaml", ".yml")
        for game in games_of_source(source, split=args.split, resolution=args.resolution):
            if game.name in games:
                raise ConfigurationError(
                    f"{source}: a second source named {game.name!r} would overwrite the first one's features; rename it"
                )
            games[game.name] = game
            if not is_dataset:
                loose.add(game.name)
    return games, frozenset(loose)


def _job(args: Features, games: dict[str, Game], loose: frozenset[str]) -> tuple[ExtractionJob, dict[str, Game]]:
    """The job, and the games of this shard."""
    from e2espot.core.device import reuse_freed_memory
    from e2espot.features.extract import ExtractionJob
    from e2espot.features.grid import RowGrid
    from e2espot.features.outputs import targets_of
    from e2espot.inference.options import InferenceOptions
    from e2espot.inference.sharding import shard_of

    planned = shard_of(games, args.work.shard)
    start_s, duration_s = _seconds(args.start, "start"), None
    if args.duration is not None:
        duration_s = _seconds(args.duration, "duration")
    pca = _given_pca(args)
    _check_before_weights(args)
    reuse_freed_memory()
    extractor, own_rate = _extractor(args)
    _check_network(args, extractor.dim, own_rate, pca)
    rate = _rate(args, own_rate)
    name = args.name or _default_name(args, rate, pca)
    _check_name(name)
    job = ExtractionJob(
        extractor=extractor,
        grid=RowGrid(rate=rate, rule=args.grid, start_s=start_s, duration_s=duration_s),
        name=name,
        pca=pca,
        half_precision=args.half_precision,
        options=InferenceOptions(
            reader=args.reader,
            allow_truncated=args.allow_truncated,
            adapt="none",
            precision=args.precision,
            deinterlace=args.deinterlace,
            tone_map=args.tone_map,
            crop_bars=args.crop_bars,
        ),
        cache=args.work.video_cache(),
        targets=targets_of(games, name, args.out, loose=loose),
    )
    return job, planned


def _check_before_weights(args: Features) -> None:
    """Refuse what can be refused before the weights, which may have to be downloaded."""
    from e2espot.video import choose_backend

    _rate(args, None)
    if args.reader == "dali":
        if not is_run(Path(args.backbone)):
            raise ConfigurationError(
                f"reader is dali, which decodes every frame for the backbone of a run, and {args.backbone} sees single "
                "pictures; choose auto or decord",
                option="reader",
            )
        choose_backend(args.reader, args.device)  # refuses it where it is not installed
    if args.name is not None:
        _check_name(args.name)


def _check_network(args: Features, dim: int, own_rate: Fraction | None, pca: Pca | None) -> None:
    """Refuse options that do not fit the network, which gives rows of ``dim`` values; only a run has a rate."""
    if own_rate is not None and (args.grid != "middle" or _seconds(args.start, "start") or args.duration is not None):
        raise ConfigurationError(
            "the backbone of a run sees every frame of its own grid, from the first on; leave grid, start and duration "
            "as they are",
            option="grid",
        )
    if pca is not None and len(pca.mean_D) != dim:
        raise ConfigurationError(
            f"the PCA was fitted on rows of {len(pca.mean_D)} values, and {args.backbone} gives {dim}; it belongs to "
            "another network",
            option="pca",
        )


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name):
        raise ConfigurationError(f"name is {name!r}; give letters, digits, dots, dashes and underscores", option="name")


def _seconds(text: str, option: str) -> Fraction:
    position_ms = parse_clock_ms(text)
    if position_ms is None or (option == "duration" and position_ms == 0):
        raise ConfigurationError(f"{option} is {text!r:.40}; give seconds, or minutes:seconds", option=option)
    return Fraction(position_ms, 1000)


def _rate(args: Features, own_rate: Fraction | None) -> Fraction:
    if args.rate == "auto":
        return own_rate or _USUAL_RATE
    try:
        rate = parse_fps(args.rate)
    except ValueError as error:
        raise ConfigurationError(str(error).replace("fps", "rate", 1), option="rate") from None
    if own_rate is not None and rate != own_rate:
        raise ConfigurationError(
            f"rate is {fps_text(rate)}; this run sees {fps_text(own_rate)} frames a second", option="rate"
        )
    return rate


def _default_name(args: Features, rate: Fraction, pca: Pca | None) -> str:
    of_run = is_run(Path(args.backbone))
    stem = (Path(args.backbone).resolve().stem if of_run else args.backbone).rpartition(":")[2]
    stem = re.sub(r"[^\w.-]+", "-", stem).replace(".", "-")
    speed = "" if rate == _USUAL_RATE or of_run else f"_{float(rate):g}fps".replace(".", "-")
    return f"{stem}{speed}" + ("" if pca is None else f"_PCA{pca.num_components}")


def _given_pca(args: Features) -> Pca | None:
    from e2espot.features.kit_pickles import read_kit_pca
    from e2espot.features.pca import read_pca

    if args.pca is None or args.pca_fit is not None:
        return None
    path = Path(args.pca)
    if args.trust_pickle and path.suffix.lower() in (".pkl", ".pickle"):
        return read_kit_pca(path, args.pca_average)
    return read_pca(path)


def _extractor(args: Features) -> tuple[ImageExtractor | SpotterExtractor, Fraction | None]:
    """The network, and the rate of a run's."""
    from e2espot.core.device import parse_device
    from e2espot.features.backbones import load_extractor

    device = parse_device("cpu" if args.engine == "ray" else args.device)
    if is_run(Path(args.backbone)):
        from e2espot.features.extract import spotter_extractor

        extractor = spotter_extractor(Path(args.backbone), device)
        return extractor, extractor.spotter.fps
    return (
        load_extractor(
            args.backbone,
            weights=args.weights,
            transform=args.transform,
            device=device,
            precision=args.precision,
        ),
        None,
    )


def _copy_labels(args: Features, games: dict[str, Game], loose: frozenset[str], job: ExtractionJob) -> None:
    from e2espot.features.outputs import copy_labels

    assert args.out is not None
    of_dataset = {name: game for name, game in games.items() if name not in loose}
    roots = [Path(source) for source in args.sources if Path(source).exists()]
    if of_dataset and len(roots) == 1:
        copy_labels(roots[0], of_dataset, job.targets, args.out)


def _extract(args: Features, job: ExtractionJob, games: dict[str, Game]) -> None:
    from e2espot.features.extract import extract_video
    from e2espot.inference.job import VideoFailure
    from e2espot.inference.local import run_in_order

    videos = [video for game in games.values() for video in game.videos]
    results: Any
    if args.engine == "ray":
        from e2espot.inference.ray_cluster import run_work_on_ray

        results = run_work_on_ray(extract_video, job, videos, args.work.cluster())
    else:
        results = run_in_order(partial(extract_video, job), videos)
    failed: list[VideoError] = []
    for result in results:
        if isinstance(result, VideoFailure):
            failed.append(result.error)
            if len(games) > 1:
                sys.stderr.write(f"{result.video.game}: no features: {result.error}\n")
        else:
            print(f"{result.num_rows} rows of {job.dim} values -> {result.path}", flush=True)
    if len(games) == 1 and failed:
        raise failed[0]
    if failed:
        raise VideoError(
            f"{len(failed)} of {counted(len(games), 'game')} have no features: {'; '.join(map(str, failed))}"
        )


def _fit(args: Features, job: ExtractionJob, components: int) -> None:
    from e2espot.features.extract import project_file
    from e2espot.features.pca import PcaSums, variance_curve_svg, write_pca
    from e2espot.files.atomic import write_atomically
    from e2espot.formats.feature_files import open_features

    assert args.pca_fit is not None
    sums, sources = PcaSums(), list(job.targets.values())
    for source in sources:
        for _, rows_ND in open_features(source).blocks():
            sums.add(rows_ND)
    pca = sums.fit(components)
    write_pca(args.pca_fit, pca)
    write_atomically(args.pca_fit.with_suffix(".svg"), variance_curve_svg(pca).encode())
    print(
        f"{components} components of {sums.num_rows} rows explain {100 * pca.explained:.1f} % of the variance "
        f"-> {args.pca_fit}"
    )
    name = f"{job.name}_PCA{components}"
    for source in sources:
        target = source.with_name(source.name.replace(f"{job.name}.npy", f"{name}.npy"))
        project_file(source, target, name, pca)
    print(f"{counted(len(sources), 'file')} projected: {name}")
    if args.out is not None and (args.out / "dataset.csv").is_file():
        print("the list dataset.csv names the features before the projection")

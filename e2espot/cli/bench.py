"""Compare the speed of e2espot with that of other software, and score a spotter on real footage: e2espot bench all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from e2espot.cli.parsing import Paths, parse
from e2espot.core.errors import ConfigurationError
from e2espot.inference.options import UserOptions

if TYPE_CHECKING:
    from e2espot.benchmarks.results import BenchResults
    from e2espot.formats.labelled_clips import LabelledClip
    from e2espot.inference.job import Job

Topic = Literal[
    "decode",
    "infer",
    "train",
    "suppress",
    "evaluate",
    "labels",
    "start",
    "limits",
    "growth",
    "kernels",
    "startup",
    "roofline",
    "scaling",
    "features",
    "real",
    "live",
    "latency",
]
_ALIASES = {"startup": "start", "roofline": "limits", "scaling": "growth"}
CLIPS_VARIABLE = "E2ESPOT_REAL_CLIPS"
"""Environment variable with the folders of labelled clips, separated as in ``PATH``."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Compare the speed of e2espot with that of other software, in turn within one run, on one thread.

    Prints Markdown tables.

    Examples: e2espot bench decode match.mp4; e2espot bench all --json out/bench.json
    """

    topic: tyro.conf.Positional[Topic | Literal["all"]]
    """What to measure; labels reads them in every format, start is startup, limits roofline, growth scaling (with
    length, classes and videos), kernels compares compiled kernels with torch's operations, features extracts, trains
    and scores features. real scores a spotter on labelled clips, live does so for several look-aheads and latencies,
    latency times the lines of a live stream; all leaves out these three and features."""
    files: tyro.conf.Positional[Paths] = ()
    """Videos to read. By default a match is rendered: a minute as H.264 and VP9, or 48 s at 224p and 720p (infer). For
    real and live, folders of labelled clips; by default those of the environment variable E2ESPOT_REAL_CLIPS. live
    also takes datasets with a splits.json, and scores their test split."""
    run: Path | None = None
    """Run folder or .safetensors file to score (real, live) or to time (latency); by default the shipped spotter."""
    record: bool = False
    """Write the score into the run's weights file, so that infer can state it (real)."""
    video: tyro.conf.OmitArgPrefixes[UserOptions] = field(default_factory=UserOptions)
    """How each clip is read and processed (real, live)."""
    clip_len: int = 64
    """Frames per clip (decode)."""
    num_clips: int = 12
    """Clips per round (decode)."""
    minutes: float = 10.0
    """Length of the match whose features are extracted once (features)."""
    long_minutes: float = 90.0
    """Length of the match that shows how memory grows (features)."""
    backbones: tuple[str, ...] = ("regnety_008", "resnet152")
    """Networks of timm that extract features; the first one extracts the long match too (features)."""
    halves: int = 40
    """Halves whose features are trained on (features)."""
    repeats: int = 3
    """Number of rounds; their medians are compared."""
    feature_arch: str = "rny002_gsm"
    """Backbone (infer, train, limits)."""
    device: str = "auto"
    """Device on which DALI decodes, or on which a spotter computes (real, live): cpu, cuda or auto."""
    picture: Path | None = None
    """Also draw the scores into this .svg file (live)."""
    json: Path | None = None
    """Also write all measurements to this file."""


def main(arguments: list[str]) -> None:
    """Measure, print Markdown, write JSON."""
    args = parse(Bench, arguments, "e2espot bench")
    _check(args)
    import torch

    from e2espot.benchmarks.results import BenchResults, machine, targets_text
    from e2espot.core.device import reuse_freed_memory
    from e2espot.files.atomic import write_atomically

    torch.set_num_threads(1)
    platform = machine()
    print(", ".join(f"{key} {value}" for key, value in platform.items()) + "; one thread", flush=True)
    topics = list(_SPEED) if args.topic == "all" else [_ALIASES.get(args.topic, args.topic)]
    tables, targets = [], []
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for topic in topics:
            if topic not in _IN_SUBPROCESSES:
                reuse_freed_memory()
            measured = (_SPEED | {"real": _real, "live": _live, "latency": _latency, "features": _features})[topic](
                args, Path(folder) / topic
            )
            for results in [measured] if isinstance(measured, BenchResults) else measured:
                tables += results.tables
                targets += results.targets
                figures |= results.figures
                for table in results.tables:
                    print("\n" + table.text(), flush=True)
    if targets:
        print("\n" + targets_text(targets))
    if args.json is not None:
        content = {
            "machine": platform,
            "tables": [table.to_json() for table in tables],
            "targets": [target.to_json() for target in targets],
            "figures": figures,
        }
        write_atomically(args.json, (json.dumps(content, indent=1) + "\n").encode())


def _check(args: Bench) -> None:
    """Fail before minutes are spent."""
    from e2espot.core.device import parse_device
    from e2espot.models.backbones.registry import FEATURE_ARCHS

    for name in ("clip_len", "num_clips", "repeats"):
        if not 1 <= getattr(args, name) <= 100_000:
            raise ConfigurationError(f"--{name} is {getattr(args, name)}; give 1 to 100000")
    if args.feature_arch not in FEATURE_ARCHS:
        raise ConfigurationError(f"--feature_arch is {args.feature_arch!r}; choose from {', '.join(FEATURE_ARCHS)}")
    parse_device(args.device)
    args.video.frame_size()
    for file in args.files:
        if args.topic not in ("real", "live") and not file.is_file():
            raise ConfigurationError(f"{file}: no such video")
    if args.topic == "features":
        _check_features(args)
    if args.record and args.topic != "real":
        raise ConfigurationError("--record is for bench real, which scores a spotter")
    if args.picture is not None and args.topic != "live":
        raise ConfigurationError("--picture is for bench live")


def _check_features(args: Bench) -> None:
    import timm

    for name in ("minutes", "long_minutes"):
        if not 0 < getattr(args, name) <= 1000:
            raise ConfigurationError(f"--{name} is {getattr(args, name):g}; give minutes above 0, up to 1000")
    if not 1 <= args.halves <= 10_000:
        raise ConfigurationError(f"--halves is {args.halves}; give 1 to 10000")
    for backbone in args.backbones:
        if not timm.is_model(backbone):
            raise ConfigurationError(f"--backbones: timm has no {backbone!r}; give names such as resnet152")
    if not args.backbones:
        raise ConfigurationError("--backbones is empty; name at least one network of timm")


def _decode(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.decode import DecodeSettings, bench_decode
    from e2espot.core.device import parse_device

    settings = DecodeSettings(
        clip_len=args.clip_len, num_clips=args.num_clips, repeats=args.repeats, device=parse_device(args.device)
    )
    return bench_decode(list(args.files) or _rendered(folder), settings)


def _infer(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.infer import InferSettings, bench_infer

    files = list(args.files) or _two_sizes(folder)
    settings = InferSettings(feature_arch=args.feature_arch, repeats=args.repeats)
    return bench_infer(files[0], files[1] if len(files) > 1 else None, settings)


def _train(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.train import TrainSettings, bench_train

    return bench_train(TrainSettings(feature_arch=args.feature_arch, repeats=args.repeats))


def _suppress(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.scoring import ScoreSettings, bench_suppress

    return bench_suppress(ScoreSettings(repeats=args.repeats))


def _evaluate(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.scoring import ScoreSettings, bench_evaluate

    return bench_evaluate(ScoreSettings(repeats=args.repeats))


def _labels(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.labels import LabelSettings, bench_labels

    return bench_labels(folder, LabelSettings(repeats=args.repeats))


def _startup(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.startup import bench_startup
    from e2espot.cli.main import COMMANDS

    return bench_startup([(name, "--help") for commands in COMMANDS.values() for name in commands], args.repeats)


def _roofline(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.roofline import bench_roofline

    return bench_roofline(args.feature_arch)


def _scaling(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.scaling import bench_scaling

    return bench_scaling(args.files[0] if args.files else _rendered(folder)[0], args.repeats)


def _kernels(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.kernels import KernelSettings, bench_kernels

    return bench_kernels(KernelSettings(repeats=args.repeats))


def _features(args: Bench, folder: Path) -> Iterator[BenchResults]:
    from e2espot.benchmarks.features import FeatureSettings, bench_features

    video = args.files[0] if args.files else _rendered(folder)[0]
    settings = FeatureSettings(
        minutes=args.minutes,
        long_minutes=args.long_minutes,
        backbones=args.backbones,
        num_halves=args.halves,
        repeats=args.repeats,
    )
    return bench_features(video, folder / "features", settings, partial(print, flush=True))


def _real(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.real_clips import run_on_clips
    from e2espot.benchmarks.real_scores import record_of, score_clips, score_tables
    from e2espot.benchmarks.results import BenchResults
    from e2espot.models.weights.checkpoint import weights_file
    from e2espot.models.weights.measured import write_measured

    run, job, clips = _spotter_and_clips(args)
    scores = score_clips(run_on_clips(job, clips, _print_progress))
    for name, reason in scores["refused"].items():
        print(f"refused, so scored as empty: {name}: {reason}")
    if args.record:
        write_measured(weights_file(run), record_of(scores))
    return BenchResults(tables=[*score_tables(scores)], figures={"real": scores})


def _live(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.live_accuracy import accuracy_tables, find_footage, score_settings
    from e2espot.benchmarks.live_chart import draw
    from e2espot.benchmarks.results import BenchResults
    from e2espot.files.atomic import write_atomically

    _, job = _spotter(args)
    panels = [
        (footage, score_settings(job, footage, _print_progress))
        for footage in find_footage(list(args.files) or _clip_folders())
    ]
    if args.picture is not None:
        write_atomically(args.picture, draw(panels).encode())
    return BenchResults(tables=[table for panel in panels for table in accuracy_tables(*panel)])


def _latency(args: Bench, folder: Path) -> BenchResults:
    from e2espot.benchmarks.latency import LatencySettings, bench_latency

    video = args.files[0] if args.files else _two_sizes(folder)[1]
    return bench_latency(video, LatencySettings(run=args.run))


def _spotter_and_clips(args: Bench) -> tuple[Path, Job, list[LabelledClip]]:
    from e2espot.formats.labelled_clips import find_labelled_clips

    return *_spotter(args), find_labelled_clips(list(args.files) or _clip_folders())


def _spotter(args: Bench) -> tuple[Path, Job]:
    from e2espot.inference.job import load_job
    from e2espot.inference.options import InferenceOptions
    from e2espot.models.weights.checkpoint import shipped_spotter
    from e2espot.sources.remote import default_cache

    run = args.run or shipped_spotter()
    options = InferenceOptions(**asdict(args.video))
    return run, load_job([run], device=args.device, options=options, cache=default_cache())


def _print_progress(done: int, total: int) -> None:
    print(f"clip {done} of {total}", flush=True)


def _clip_folders() -> list[Path]:
    folders = [Path(part) for part in os.environ.get(CLIPS_VARIABLE, "").split(os.pathsep) if part]
    if not folders:
        raise ConfigurationError(
            f"no labelled clips are named; give folders with NAME.mp4 and NAME.labels.json, or set {CLIPS_VARIABLE}"
        )
    return folders


_SPEED: dict[str, Callable[[Bench, Path], BenchResults | Iterator[BenchResults]]] = {
    "decode": _decode,
    "infer": _infer,
    "train": _train,
    "suppress": _suppress,
    "evaluate": _evaluate,
    "labels": _labels,
    "start": _startup,
    "limits": _roofline,
    "growth": _scaling,
    "kernels": _kernels,
}
_IN_SUBPROCESSES = ("infer", "train", "evaluate", "start", "features")
"""Topics measured in subprocesses, which have only the settings that their users would have."""


def _two_sizes(folder: Path) -> list[Path]:
    """Render 48 seconds of one match at both sizes."""
    from e2espot.synthetic.dataset import render_dataset
    from e2espot.synthetic.specs import DatasetSpec

    files = []
    resolutions: tuple[Literal["224p", "720p"], ...] = ("224p", "720p")
    for resolution in resolutions:
        render_dataset(folder / resolution, DatasetSpec(games=1, minutes=48 / 60, resolution=resolution), jobs=1)
        files.append(next((folder / resolution).glob(f"rendered/*/*/{resolution}.mp4")))
    return files


def _rendered(folder: Path) -> list[Path]:
    """Render one minute of a match, as H.264 and as VP9."""
    import av

    from e2espot.synthetic.dataset import render_dataset
    from e2espot.synthetic.specs import DatasetSpec

    render_dataset(folder, DatasetSpec(games=1, minutes=1.0), jobs=1)
    h264 = next(folder.glob("rendered/*/*/224p.mp4"))
    vp9 = h264.with_name("224p.webm")
    with av.open(str(h264)) as source, av.open(str(vp9), "w") as target:
        old = source.streams.video[0]
        new = target.add_stream("libvpx-vp9", rate=25, options={"deadline": "realtime", "cpu-used": "8", "g": "150"})
        if new.codec_context is None:
            raise ConfigurationError("this PyAV has no VP9 encoder; name video files to measure")
        new.width, new.height, new.pix_fmt, new.bit_rate = old.width, old.height, "yuv420p", 500_000
        for picture in source.decode(old):
            picture.pict_type = 0
            target.mux(new.encode(picture))
        target.mux(new.encode(None))
    return [h264, vp9]

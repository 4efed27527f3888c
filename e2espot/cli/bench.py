"""Time the library's roads beside those of others: e2espot bench all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from e2espot.core.errors import ConfigurationError

if TYPE_CHECKING:
    from e2espot.benchmarks.results import Findings

Road = Literal["decode", "infer", "train", "suppress", "evaluate", "start", "limits", "growth"]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Time the library's roads beside those of others, all in one run, in turn, threads pinned."""

    road: tyro.conf.Positional[Road | Literal["all"]]
    """What to time; start: imports and --help; limits: what the machine allows; growth: longer, wider, more."""
    files: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Videos; without any, a rendered match: a minute as H.264 and VP9 to decode, 48 s as 224p and 720p to infer."""
    clip_len: int = 64
    """Frames of a clip."""
    num_clips: int = 12
    """Clips of a round."""
    repeats: int = 3
    """Measured rounds; medians are compared."""
    feature_arch: str = "rny002_gsm"
    """Trunk to infer with and to train."""
    device: str = "auto"
    """Where DALI decodes: cpu, cuda or auto."""
    json: Path | None = None
    """Also write everything measured to this file."""


def main(arguments: list[str]) -> None:
    """Measure, print Markdown, write JSON."""
    args = tyro.cli(Bench, args=arguments, prog="e2espot bench")
    _check(args)
    import torch

    from e2espot.benchmarks.results import machine, targets_text
    from e2espot.core.device import keep_freed_memory
    from e2espot.files.atomic import write_atomically

    torch.set_num_threads(1)
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()) + "; one thread", flush=True)
    roads = {road: _ROADS[road] for road in (_ROADS if args.road == "all" else (args.road,))}
    tables, targets = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, (road, measure) in enumerate(roads.items()):
            if road not in _APART:
                keep_freed_memory()
            found = measure(args, Path(folder) / str(number))
            tables += found.tables
            targets += found.targets
            for table in found.tables:
                print("\n" + table.text(), flush=True)
    if targets:
        print("\n" + targets_text(targets))
    if args.json is not None:
        content = {
            "machine": about,
            "tables": [table.to_json() for table in tables],
            "targets": [target.to_json() for target in targets],
        }
        write_atomically(args.json, (json.dumps(content, indent=1) + "\n").encode())


def _check(args: Bench) -> None:
    """Refuse before minutes are spent."""
    from e2espot.core.device import device_named
    from e2espot.models.backbones.registry import FEATURE_ARCHS

    for name in ("clip_len", "num_clips", "repeats"):
        if not 1 <= getattr(args, name) <= 100_000:
            raise ConfigurationError(f"--{name} is {getattr(args, name)}; it must lie from 1 to 100000")
    if args.feature_arch not in FEATURE_ARCHS:
        raise ConfigurationError(f"--feature_arch is {args.feature_arch!r}; choose from {', '.join(FEATURE_ARCHS)}")
    device_named(args.device)
    for file in args.files:
        if not file.is_file():
            raise ConfigurationError(f"{file}: no such video")


def _decode(args: Bench, folder: Path) -> Findings:
    from e2espot.benchmarks.decode import DecodeSettings, bench_decode
    from e2espot.core.device import device_named

    settings = DecodeSettings(
        clip_len=args.clip_len, num_clips=args.num_clips, repeats=args.repeats, device=device_named(args.device)
    )
    return bench_decode(list(args.files) or _rendered(folder), settings)


def _infer(args: Bench, folder: Path) -> Findings:
    from e2espot.benchmarks.infer import InferSettings, bench_infer

    files = list(args.files) or _two_sizes(folder)
    settings = InferSettings(feature_arch=args.feature_arch, repeats=args.repeats)
    return bench_infer(files[0], files[1] if len(files) > 1 else None, settings)


def _train(args: Bench, folder: Path) -> Findings:
    from e2espot.benchmarks.train import TrainSettings, bench_train

    return bench_train(TrainSettings(feature_arch=args.feature_arch, repeats=args.repeats))


def _suppress(args: Bench, folder: Path) -> Findings:
    from e2espot.benchmarks.scoring import ScoreSettings, bench_suppress

    return bench_suppress(ScoreSettings(repeats=args.repeats))


def _evaluate(args: Bench, folder: Path) -> Findings:
    from e2espot.benchmarks.scoring import ScoreSettings, bench_evaluate

    return bench_evaluate(ScoreSettings())


def _start(args: Bench, folder: Path) -> Findings:
    from e2espot.benchmarks.startup import bench_start

    from e2espot.cli.main import COMMANDS

    return bench_start([name for commands in COMMANDS.values() for name in commands], args.repeats)


def _limits(args: Bench, folder: Path) -> Findings:
    from e2espot.benchmarks.roofline import bench_limits

    return bench_limits(args.feature_arch)


def _growth(args: Bench, folder: Path) -> Findings:
    from e2espot.benchmarks.scaling import bench_growth

    return bench_growth(args.files[0] if args.files else _rendered(folder)[0], args.repeats)


_ROADS: dict[str, Callable[[Bench, Path], Findings]] = {
    "decode": _decode,
    "infer": _infer,
    "train": _train,
    "suppress": _suppress,
    "evaluate": _evaluate,
    "start": _start,
    "limits": _limits,
    "growth": _growth,
}
_APART = ("infer", "train", "evaluate", "start")
"""Roads that measure in processes of their own, so that nothing set here can help or hinder them."""


def _two_sizes(folder: Path) -> list[Path]:
    """Forty-eight seconds of one match at both sizes."""
    from e2espot.synthetic.match import render_dataset

    files = []
    for resolution in ("224p", "720p"):
        render_dataset(folder / resolution, games=1, minutes=48 / 60, jobs=1, resolution=resolution)
        files.append(next((folder / resolution).glob(f"rendered/*/*/{resolution}.mp4")))
    return files


def _rendered(folder: Path) -> list[Path]:
    """One minute of a rendered match, as H.264 and as VP9."""
    import av

    from e2espot.synthetic.match import render_dataset

    render_dataset(folder, games=1, minutes=1.0, jobs=1)
    found = next(folder.glob("rendered/*/*/224p.mp4"))
    other = found.with_name("224p.webm")
    with av.open(str(found)) as source, av.open(str(other), "w") as target:
        old = source.streams.video[0]
        new = target.add_stream("libvpx-vp9", rate=25, options={"deadline": "realtime", "cpu-used": "8", "g": "150"})
        if new.codec_context is None:
            raise ConfigurationError("this PyAV has no VP9 encoder; give files of your own")
        new.width, new.height, new.pix_fmt, new.bit_rate = old.width, old.height, "yuv420p", 500_000
        for picture in source.decode(old):
            picture.pict_type = 0
            target.mux(new.encode(picture))
        target.mux(new.encode(None))
    return [found, other]

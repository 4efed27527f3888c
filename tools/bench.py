"""Time the library's roads beside those of others: python tools/bench.py all."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from e2espot.command import run_command
from e2espot.errors import ConfigurationError

if TYPE_CHECKING:
    from e2espot.benchmarks.timing import Table

ROADS = ("decode", "infer", "train", "suppress", "evaluate")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Time the library's roads beside those of others, all in one run, in turn, threads pinned."""

    road: tyro.conf.Positional[Literal["decode", "infer", "train", "suppress", "evaluate", "all"]]
    """What to time."""
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


def main() -> None:
    """Measure, print Markdown, write JSON."""
    told = tyro.cli(Bench)
    import torch

    from e2espot.benchmarks.timing import machine
    from e2espot.formats.atomic import write_atomically
    from e2espot.precision import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    device = ("cuda" if torch.cuda.is_available() else "cpu") if told.device == "auto" else told.device
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()) + "; one thread\n")
    tables = []
    for road in ROADS if told.road == "all" else (told.road,):
        tables += _measured(road, told, device)
    print("\n\n".join(table.text() for table in tables))
    if told.json is not None:
        content = {"machine": about, "tables": [table.to_json() for table in tables]}
        write_atomically(told.json, (json.dumps(content, indent=1) + "\n").encode())


def _measured(road: str, told: Bench, device: str) -> list[Table]:
    import torch

    from e2espot.benchmarks import decode, infer, score, train

    if road == "suppress":
        return score.bench_suppress(score.ScoreSettings(repeats=told.repeats))
    if road == "evaluate":
        return score.bench_evaluate(score.ScoreSettings())
    if road == "train":
        return train.bench_train(train.TrainSettings(feature_arch=told.feature_arch, repeats=told.repeats))
    with tempfile.TemporaryDirectory() as folder:
        if road == "infer":
            files = list(told.files) or _two_sizes(Path(folder))
            arch = infer.InferSettings(feature_arch=told.feature_arch, repeats=told.repeats)
            return infer.bench_infer(files[0], files[1] if len(files) > 1 else None, arch)
        settings = decode.DecodeSettings(
            clip_len=told.clip_len, num_clips=told.num_clips, repeats=told.repeats, device=torch.device(device)
        )
        return decode.bench_decode(list(told.files) or _rendered(Path(folder)), settings)


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


if __name__ == "__main__":
    run_command(main)

"""How cost grows: with the length of a match, with the number of classes, with the videos of a training."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import av

from e2espot.benchmarks.infer import our_way
from e2espot.benchmarks.results import Facts, Findings, Row, Target
from e2espot.benchmarks.timing import Apart, Work, interleaved
from e2espot.core.device import keep_freed_memory
from e2espot.inference.predict import spot_video
from e2espot.models.weights.checkpoint import load_spotter
from e2espot.suppression.nms import suppress
from e2espot.training.setup import SHIPPED_TRUNK

LENGTHS = (5, 15, 45, 90)
CLASSES = (1, 2, 6, 12)
VIDEOS = (1, 8, 64)


def repeated(source: Path, target: Path, times: int) -> Path:
    """A video file whose packets follow each other several times, nothing encoded anew."""
    with av.open(str(source)) as inside, av.open(str(target), "w") as outside:
        stream = inside.streams.video[0]
        packets = [packet for packet in inside.demux(stream) if packet.dts is not None and packet.pts is not None]
        written = outside.add_stream_from_template(stream)
        step = packets[0].duration or int(1 / (25 * packets[0].time_base))
        length, data = step * len(packets), [(bytes(packet), packet.pts, packet.dts, packet) for packet in packets]
        for turn in range(times):
            for content, pts, dts, old in data:
                packet = av.Packet(content)
                packet.pts, packet.dts, packet.duration = pts + turn * length, dts + turn * length, step
                packet.time_base, packet.is_keyframe, packet.stream = old.time_base, old.is_keyframe, written
                outside.mux(packet)
    return target


def whole_match(path: Path) -> Work:
    """The shipped network over a file, to events."""
    keep_freed_memory()
    spotter = load_spotter(SHIPPED_TRUNK)

    def work() -> int:
        suppress(spot_video(spotter, path))
        return 1

    return work


def epoch_of(paths: list[Path]) -> Work:
    """Sixteen random clips of so many videos; in the process itself, where CPU time is counted."""
    from e2espot.benchmarks.decode import DecodeSettings, dataset_of
    from e2espot.clips.dataset import load_clips

    settings = DecodeSettings(num_clips=16)
    dataset: Any = dataset_of(paths, settings)

    def work() -> int:
        for _ in load_clips(dataset, epoch=0, batch_size=2, num_workers=0):
            pass
        return settings.num_clips

    return work


def bench_growth(minute: Path, repeats: int) -> Findings:
    """``minute`` is a video of one minute at the network's size."""
    found = Findings()
    with tempfile.TemporaryDirectory() as folder:
        files = [repeated(minute, Path(folder) / f"{length}.mp4", length) for length in LENGTHS]
        matches = [Apart(f"{length} minutes", whole_match, file) for length, file in zip(LENGTHS, files, strict=True)]
        table = interleaved("laptop network, 398x224 file to events", "match", matches, 1, warm_up=False)
        found.tables.append(_lengths(table.rows))
        found.targets.append(
            Target(
                road="peak memory, 90 minutes, 398x224",
                against="the file's length",
                promised="under 1,500 MB",
                most=1500,
                unit="MB",
                measured=table.rows[-1].peak_mb or 0,
            )
        )
        classes = [
            Apart(f"{count} class{'es' * (count > 1)}", our_way, "small_gsm", minute, count) for count in CLASSES
        ]
        found.tables.append(interleaved("small_gsm, one minute to JSON", "frame", classes, repeats))
        trainings = []
        for count in VIDEOS:
            copies = [Path(folder) / str(count) / f"game {number}" / minute.name for number in range(count)]
            for copy in copies:
                copy.parent.mkdir(parents=True)
                shutil.copy(minute, copy)
            trainings.append(Apart(f"{count} video{'s' * (count > 1)}", epoch_of, copies))
        found.tables.append(
            interleaved("16 random clips of 64 frames, read without workers", "clip", trainings, repeats)
        )
    return found


def _lengths(rows: list[Row]) -> Facts:
    return Facts(
        title="laptop network, 398x224 file to events, one thread",
        columns=("CPU s", "wall s", "CPU s a minute", "peak MB"),
        rows=tuple(
            (
                row.name,
                f"{row.cpu / 1000:.0f}",
                f"{row.wall_ms[0] / 1000:.0f}",
                f"{row.cpu / 1000 / length:.2f}",
                f"{row.peak_mb or 0:.0f}",
            )
            for row, length in zip(rows, LENGTHS, strict=True)
        ),
    )

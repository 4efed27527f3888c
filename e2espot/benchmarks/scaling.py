"""How cost scales: with the length of a match, the number of classes, and the number of training videos."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import av

from e2espot.benchmarks.infer import e2espot_pipeline
from e2espot.benchmarks.results import BenchResults, FactTable, Row, Target
from e2espot.benchmarks.timing import Subprocess, Work, interleaved
from e2espot.core.device import reuse_freed_memory
from e2espot.inference.predict import spot_video
from e2espot.models.weights.checkpoint import load_spotter, shipped_spotter
from e2espot.suppression.nms import suppress

LENGTHS = (5, 15, 45, 90)
CLASSES = (1, 2, 6, 12)
VIDEOS = (1, 8, 64)


def repeat_video(source: Path, target: Path, times: int) -> Path:
    """Write the packets of a video several times in a row, without encoding; return ``target``."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        packets = [packet for packet in reader.demux(stream) if packet.dts is not None and packet.pts is not None]
        written = writer.add_stream_from_template(stream)
        step = packets[0].duration or int(1 / (25 * packets[0].time_base))
        length, data = step * len(packets), [(bytes(packet), packet.pts, packet.dts, packet) for packet in packets]
        for turn in range(times):
            for content, pts, dts, old in data:
                packet = av.Packet(content)
                packet.pts, packet.dts, packet.duration = pts + turn * length, dts + turn * length, step
                packet.time_base, packet.is_keyframe, packet.stream = old.time_base, old.is_keyframe, written
                writer.mux(packet)
    return target


def match_to_events(path: Path) -> Work:
    """Run the shipped network over a file and suppress its scores to events."""
    reuse_freed_memory()
    spotter = load_spotter(shipped_spotter())

    def work() -> int:
        suppress(spot_video(spotter, path))
        return 1

    return work


def random_clips(paths: list[Path]) -> Work:
    """Read sixteen random clips, without worker processes so that CPU time is counted."""
    from e2espot.benchmarks.decode import DecodeSettings, clip_dataset
    from e2espot.clips.dataset import load_clips

    settings = DecodeSettings(num_clips=16)
    dataset: Any = clip_dataset(paths, settings)

    def work() -> int:
        for _ in load_clips(dataset, epoch=0, batch_size=2, num_workers=0):
            pass
        return settings.num_clips

    return work


def bench_scaling(minute: Path, repeats: int) -> BenchResults:
    """Measure all three.

    Args:
        minute: A video of one minute at the network's size.
        repeats: Measured rounds.
    """
    results = BenchResults()
    with tempfile.TemporaryDirectory() as folder:
        files = [repeat_video(minute, Path(folder) / f"{length}.mp4", length) for length in LENGTHS]
        matches = [
            Subprocess(f"{length} minutes", match_to_events, file) for length, file in zip(LENGTHS, files, strict=True)
        ]
        table = interleaved("laptop network, 398x224 file to events", "match", matches, 1, warm_up=False)
        results.tables.append(_lengths(table.rows))
        results.targets.append(
            Target(
                what="peak memory, 90 minutes, 398x224",
                baseline="the file's length",
                target="under 1,500 MB",
                most=1500,
                unit="MB",
                measured=table.rows[-1].peak_mb or 0,
            )
        )
        classes = [
            Subprocess(f"{count} class{'es' * (count > 1)}", e2espot_pipeline, "small_gsm", minute, count)
            for count in CLASSES
        ]
        results.tables.append(interleaved("small_gsm, one minute to JSON", "frame", classes, repeats))
        trainings = []
        for count in VIDEOS:
            copies = [Path(folder) / str(count) / f"game {number}" / minute.name for number in range(count)]
            for copy in copies:
                copy.parent.mkdir(parents=True)
                shutil.copy(minute, copy)
            trainings.append(Subprocess(f"{count} video{'s' * (count > 1)}", random_clips, copies))
        results.tables.append(
            interleaved("16 random clips of 64 frames, read without workers", "clip", trainings, repeats)
        )
    return results


def _lengths(rows: list[Row]) -> FactTable:
    return FactTable(
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

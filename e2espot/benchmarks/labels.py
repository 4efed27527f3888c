"""How long labels take to read in every format, and a dataset to look at."""

from __future__ import annotations

import dataclasses
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from e2espot.benchmarks.results import BenchResults, FactTable, Target
from e2espot.formats.conversion import Conversion, convert, read_events
from e2espot.formats.format_names import FormatName
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.opensportslab_documents import opensportslab_files
from e2espot.formats.sportscode import InstanceTimes

_LABELS_A_HALF = 110
"""As in the 500 games of SoccerNet's action spotting, which have 110,458 labels."""
_HALF_MS = 45 * 60_000
_CLASSES = {"PASS": "play", "DRIVE": "play", "THROW IN": "throwin", "PLAYER SUCCESSFUL TACKLE": "challenge"}
"""Class of the games -> class of the DFL's data."""
_ONE_FILE = {"dfl": "train.csv"}


@dataclass(frozen=True, kw_only=True)
class LabelSettings:
    """How much is read."""

    games: int = 500
    """Games in two halves with 110 labels each."""
    videos: int = 200
    """Videos of the dataset that is looked at."""
    video_minutes: int = 10
    """Length of each."""
    repeats: int = 3
    """Rounds; the fastest counts."""


def bench_labels(folder: Path, settings: LabelSettings) -> BenchResults:
    """Read the same games in every format, and look at a dataset whose videos have indexes.

    Args:
        folder: Gets the files.
        settings: How much is read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "source.json"
    ((_, data),) = opensportslab_files(_dataset(settings.games), source, DroppedFields()).items()
    source.write_bytes(data)
    seconds = {name: _seconds(folder, source, name, settings.repeats) for name in get_args(FormatName)}
    slowest = max(seconds, key=lambda name: seconds[name])
    look_s = _look(folder / "videos", settings)
    num_labels = 2 * settings.games * _LABELS_A_HALF
    return BenchResults(
        tables=[
            FactTable(
                title=f"labels of {settings.games} games ({num_labels:,})",
                columns=("CPU s",),
                rows=tuple((name, f"{its_s:.2f}") for name, its_s in seconds.items()),
            )
        ],
        targets=[
            Target(
                what=f"labels of {settings.games} games",
                baseline=f"slowest format: {slowest}",
                target="under 2 s",
                most=2,
                unit="CPU s",
                measured=seconds[slowest],
            ),
            Target(
                what=f"`e2espot dataset`, {settings.videos} videos of {settings.video_minutes} minutes",
                baseline="indexes on disk",
                target="under 5 s",
                most=5,
                unit="CPU s",
                measured=look_s,
            ),
        ],
        figures={"labels": seconds, "dataset": look_s},
    )


def _dataset(games: int) -> AnnotationSet:
    choice = random.Random(0)
    return AnnotationSet(
        videos=tuple(
            AnnotatedVideo(
                game=f"league/season/game {game}",
                half=half,
                split="train",
                annotations=tuple(
                    Annotation(
                        label=choice.choice([*_CLASSES]),
                        position_ms=position_ms,
                        team=choice.choice(("left", "right")),
                        visibility="visible",
                    )
                    for position_ms in sorted(choice.sample(range(_HALF_MS), _LABELS_A_HALF))
                ),
                video=f"league/season/game {game}/{half}_224p.mkv",
                metadata={"fps": 25, "num_frames": 25 * _HALF_MS // 1000, "width": 398, "height": 224},
            )
            for game in range(games)
            for half in (1, 2)
        )
    )


def _seconds(folder: Path, source: Path, name: FormatName, repeats: int) -> float:
    """Write the games in one format, and time reading them."""
    class_map = folder / "map.yaml"
    class_map.write_text("".join(f"{label}: {other}\n" for label, other in _CLASSES.items()))
    written = Conversion(
        source=source,
        target=folder / name / _ONE_FILE.get(name, ""),
        from_format="opensportslab",
        to_format=name,
        predictions=False,
        map=class_map if name == "dfl" else None,
        times=InstanceTimes(half_starts_ms=(0, _HALF_MS)),
    )
    convert(written)
    read = dataclasses.replace(written, source=written.target, from_format=name)
    times_s = []
    for _ in range(repeats):
        start_s = time.process_time()
        read_events(read)
        times_s.append(time.process_time() - start_s)
    return min(times_s)


def _look(folder: Path, settings: LabelSettings) -> float:
    """Write videos with labels, index them, and time the summary."""
    from e2espot.formats.soccernet_interchange import soccernet_files
    from e2espot.report.dataset_summary import summarise

    names = [f"game {number}" for number in range(settings.videos)]
    video = _small_video(folder, settings.video_minutes)
    step_ms = 5000
    times_ms = range(step_ms, settings.video_minutes * 60_000, step_ms)
    labels = tuple(Annotation(label="PASS", position_ms=position_ms, team="left") for position_ms in times_ms)
    dataset = AnnotationSet(videos=tuple(AnnotatedVideo(game=name, annotations=labels) for name in names))
    for path, data in soccernet_files(dataset, folder, DroppedFields()).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        (path.parent / "224p.mp4").write_bytes(video)
    summarise(folder)  # writes the indexes
    times_s = []
    for _ in range(settings.repeats):
        start_s = time.process_time()
        summarise(folder).text()
        times_s.append(time.process_time() - start_s)
    return min(times_s)


def _small_video(folder: Path, minutes: int) -> bytes:
    """Content of a video of 64x48."""
    import av
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    file = folder.parent / "small.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(25 * 60 * minutes):
            grey = np.full((48, 64, 3), number % 100, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return file.read_bytes()

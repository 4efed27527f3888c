"""Frames out of files: in order and at random, by decord, by our readers and by DALI; and the first batch."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from e2espot.benchmarks.results import Facts, Findings, Table
from e2espot.benchmarks.timing import Here, interleaved
from e2espot.clips.augmentation_params import ClipChange, draw_change
from e2espot.clips.dataset import ClipDataset, TrainingVideo, load_clips
from e2espot.clips.device_batch import make_ready
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from e2espot.video import index_of, open_reader, probe, stream_frames
from e2espot.video.backend import has_dali
from e2espot.video.indexing import forget_indexes
from e2espot.video.stream_copy import decoded_per_used


@dataclass(frozen=True, kw_only=True)
class DecodeSettings:
    """What is decoded."""

    size: tuple[int, int] = (398, 224)
    """Width and height of the frames."""
    clip_len: int = 64
    """Frames of a clip."""
    num_clips: int = 12
    """Clips of a round."""
    repeats: int = 3
    """Measured rounds."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where DALI decodes; the others use the CPU."""


def bench_decode(paths: list[Path], settings: DecodeSettings) -> Findings:
    """A table in order and one at random for each file, and one for the first batch of many files."""
    tables: list[Table | Facts] = []
    for path in paths:
        index = index_of(path)
        about = f"{path.name}, {index.codec_name} {index.width}x{index.height}"
        effort = decoded_per_used(index, settings.clip_len)
        in_order, clips = _in_order(path, settings), _clips(path, settings)
        tables.append(interleaved(f"{about}, in order", "frame", in_order, settings.repeats))
        title = f"{about}, random clips ({effort:.2f} pictures decoded for each used)"
        tables.append(interleaved(title, "frame", clips, settings.repeats))
    with tempfile.TemporaryDirectory() as folder, _indexes_kept_in(f"{folder}/indexes"):
        for count in (2, 200):
            copies = [Path(folder) / str(count) / f"game {number}" / paths[-1].name for number in range(count)]
            for copy in copies:
                copy.parent.mkdir(parents=True)
                shutil.copy(paths[-1], copy)
            variants = _first_batch(copies, settings)
            tables.append(interleaved(f"first batch out of {count} files", "start", variants, settings.repeats))
    return Findings(tables=tables)


@contextmanager
def _indexes_kept_in(place: str) -> Iterator[None]:
    """Keep indexes in a folder, or nowhere."""
    before = os.environ.get("E2ESPOT_INDEX_CACHE")
    os.environ["E2ESPOT_INDEX_CACHE"] = place
    try:
        yield
    finally:
        del os.environ["E2ESPOT_INDEX_CACHE"]
        if before is not None:
            os.environ["E2ESPOT_INDEX_CACHE"] = before


def _decord(path: Path, settings: DecodeSettings) -> Any:
    import decord

    return decord.VideoReader(str(path), width=settings.size[0], height=settings.size[1], num_threads=1)


def _in_order(path: Path, settings: DecodeSettings) -> list[Here]:
    def plain() -> int:
        reader = _decord(path, settings)
        return sum(len(reader.next().asnumpy()[None]) for _ in range(len(reader)))

    def ours() -> int:
        chunks = stream_frames(path, size=settings.size, in_process=True)
        return sum(len(chunk.frames_THWC) for chunk in chunks)

    def dali(runs: int) -> int:
        from dali_pipelines.graph import GraphOptions
        from dali_pipelines.stream import MatchStream

        options = GraphOptions(device=settings.device, batch_size=runs, num_threads=runs)
        return sum(len(chunk) for chunk in MatchStream(path=path, size=settings.size, options=options).chunks())

    variants = [Here(name="decord, whole file", work=plain), Here(name="e2espot, auto (PyAV)", work=ours)]
    for runs in (1, 2, 4, 8) if settings.device.type == "cuda" else (1,):
        variants += [
            Here(name=f"{variant.name}, {runs} runs side by side" if runs > 1 else variant.name, work=variant.work)
            for variant in _if_dali(path, settings, partial(dali, runs))
        ]
    return variants


def _if_dali(path: Path, settings: DecodeSettings, work: Callable[[], int]) -> list[Here]:
    from dali_pipelines.routes import dali_index, road_of
    from e2espot.core.errors import ConfigurationError

    if not has_dali():
        return []
    try:
        road_of(dali_index(path), settings.device.type)
    except ConfigurationError:
        return []  # DALI's CPU backend does not know the codec
    return [Here(name=f"e2espot, DALI on {settings.device.type}", work=work)]


def dataset_of(paths: list[Path], settings: DecodeSettings) -> ClipDataset:
    """Random clips of these videos, whatever happens in them."""
    videos = []
    for path in paths:
        count = probe(path).num_frames
        labelled = LabelledVideo(num_frames=count, event_frames=(count // 3, 2 * count // 3), event_targets=(1, 2))
        videos.append(TrainingVideo(path=path, labelled=labelled))
    labelled_videos = [video.labelled for video in videos]
    sampler = ClipSampler(
        videos=labelled_videos, clip_len=settings.clip_len, num_clips=settings.num_clips, event_fraction=0.0
    )
    return ClipDataset(videos, sampler, fps="25", size=settings.size, dilate_len=0)


def _unchanged(epoch: int, indexes: tuple[int, ...]) -> list[ClipChange]:
    del epoch
    return [draw_change(np.random.default_rng(0), None) for _ in indexes]


def _dali_clips(data: ClipDataset, settings: DecodeSettings) -> Any:
    from dali_pipelines.graph import GraphOptions
    from dali_pipelines.iterators import DaliClips

    options = GraphOptions(device=settings.device, batch_size=2, num_threads=1)
    return DaliClips(data, _unchanged, options=options, dtype=torch.float32, augmentation=None)


def _clips(path: Path, settings: DecodeSettings) -> list[Here]:
    data = dataset_of([path], settings)
    count = data.videos[0].labelled.num_frames
    clips = [data.sampler.clip(0, index) for index in range(settings.num_clips)]
    wanted = [[k for k in range(clip.start, clip.start + clip.length) if 0 <= k < count] for clip in clips]
    total = sum(map(len, wanted))

    def plain() -> int:
        reader = _decord(path, settings)
        return sum(len(reader.get_batch(frames).asnumpy()) for frames in wanted)

    def by(name: Any) -> Callable[[], int]:
        def read() -> int:
            with open_reader(path, fps=Fraction(25), size=settings.size, reader=name) as reader:
                return sum(len(reader.read(frames)) for frames in wanted)

        return read

    def host_batches() -> int:
        for batch in load_clips(data, epoch=0, batch_size=2, num_workers=0):
            make_ready(batch, slice(None), _unchanged(0, batch.indexes), settings.device)
        return total

    def dali() -> int:
        for _ in _dali_clips(data, settings).epoch(0, batch_size=2, num_workers=0):
            pass
        return total

    variants = [
        Here(name="decord, whole file", work=plain),
        Here(name="e2espot, auto (PyAV)", work=by("auto")),
        Here(name="e2espot, decord on cuts", work=by("decord")),
        Here(name="e2espot, auto, normalised batches", work=host_batches),
    ]
    return variants + [
        Here(name=variant.name + ", normalised batches", work=variant.work)
        for variant in _if_dali(path, settings, dali)
    ]


def _first_batch(paths: list[Path], settings: DecodeSettings) -> list[Here]:
    def ours() -> int:
        forget_indexes()
        next(load_clips(dataset_of(paths, settings), epoch=0, batch_size=2, num_workers=0))
        return 1

    def ours_at_first() -> int:
        with _indexes_kept_in(""):
            return ours()

    def dali() -> int:
        forget_indexes()
        next(_dali_clips(dataset_of(paths, settings), settings).epoch(0, batch_size=2, num_workers=0))
        return 1

    def dali_reader() -> int:
        from dali_pipelines.graph import GraphOptions, new_pipeline
        from dali_pipelines.graph import dali as module

        options = GraphOptions(device=settings.device, batch_size=2, num_threads=1)
        with new_pipeline(options) as pipeline:
            video = module().fn.experimental.readers.video(
                device="gpu" if settings.device.type == "cuda" else "cpu",
                filenames=[str(path) for path in paths],
                sequence_length=settings.clip_len,
                random_shuffle=True,
                initial_fill=2,
            )
            pipeline.set_outputs(video)
        pipeline.build()
        pipeline.run()
        return 1

    variants = [
        Here(name="e2espot, auto (PyAV), for the first time", work=ours_at_first),
        Here(name="e2espot, auto (PyAV), indexes on disk", work=ours),
    ]
    found = _if_dali(paths[0], settings, dali)
    if found:
        variants = [Here(name="DALI's own reader", work=dali_reader), *variants, *found]
    return variants

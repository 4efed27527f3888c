"""Decoding in order and at random with decord, the readers of this library and DALI; and the first batch."""

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

from e2espot.benchmarks.results import BenchResults, FactTable, Table
from e2espot.benchmarks.timing import InProcess, interleaved
from e2espot.clips.augmentation_params import AugmentationParams, sample_augmentation
from e2espot.clips.dataset import ClipDataset, TrainingVideo, load_clips
from e2espot.clips.device_batch import to_device
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from e2espot.video import index_of, open_reader, probe, stream_frames
from e2espot.video.backend import has_dali
from e2espot.video.indexing import clear_index_cache
from e2espot.video.stream_copy import decode_overhead

FILE_COUNTS = (2, 200)
"""Numbers of files out of which a first batch is timed."""


@dataclass(frozen=True, kw_only=True)
class DecodeSettings:
    """What is decoded, and how often."""

    size: tuple[int, int] = (398, 224)
    """Width and height of the frames."""
    clip_len: int = 64
    """Frames per clip."""
    num_clips: int = 12
    """Clips per round."""
    repeats: int = 3
    """Measured rounds."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Device on which DALI decodes; the others use the CPU."""


def bench_decode(paths: list[Path], settings: DecodeSettings) -> BenchResults:
    """One table in order and one at random for each file, and one for the first batch out of many files."""
    tables: list[Table | FactTable] = []
    for path in paths:
        index = index_of(path)
        label = f"{path.name}, {index.codec_name} {index.width}x{index.height}"
        effort = decode_overhead(index, settings.clip_len)
        in_order, clips = _in_order(path, settings), _clips(path, settings)
        tables.append(interleaved(f"{label}, in order", "frame", in_order, settings.repeats))
        title = f"{label}, random clips ({effort:.2f} pictures decoded per picture used)"
        tables.append(interleaved(title, "frame", clips, settings.repeats))
    with tempfile.TemporaryDirectory() as folder, _index_cache_at(f"{folder}/indexes"):
        for count in FILE_COUNTS:
            copies = [Path(folder) / str(count) / f"game {number}" / paths[-1].name for number in range(count)]
            for copy in copies:
                copy.parent.mkdir(parents=True)
                shutil.copy(paths[-1], copy)
            variants = _first_batch(copies, settings)
            tables.append(interleaved(f"first batch out of {count} files", "start", variants, settings.repeats))
    return BenchResults(tables=tables)


@contextmanager
def _index_cache_at(folder: str) -> Iterator[None]:
    """Keep indexes in ``folder``; an empty name keeps none."""
    before = os.environ.get("E2ESPOT_INDEX_CACHE")
    os.environ["E2ESPOT_INDEX_CACHE"] = folder
    try:
        yield
    finally:
        del os.environ["E2ESPOT_INDEX_CACHE"]
        if before is not None:
            os.environ["E2ESPOT_INDEX_CACHE"] = before


def _decord(path: Path, settings: DecodeSettings) -> Any:
    import decord

    return decord.VideoReader(str(path), width=settings.size[0], height=settings.size[1], num_threads=1)


def _in_order(path: Path, settings: DecodeSettings) -> list[InProcess]:
    def decord_alone() -> int:
        reader = _decord(path, settings)
        return sum(len(reader.next().asnumpy()[None]) for _ in range(len(reader)))

    def streamed() -> int:
        chunks = stream_frames(path, size=settings.size, in_process=True)
        return sum(len(chunk.frames_THWC) for chunk in chunks)

    def dali(runs: int) -> int:
        from dali_pipelines.graph import GraphOptions
        from dali_pipelines.stream import MatchStream

        options = GraphOptions(device=settings.device, batch_size=runs, num_threads=runs)
        return sum(len(chunk) for chunk in MatchStream(path=path, size=settings.size, options=options).chunks())

    variants = [
        InProcess(name="decord, whole file", work=decord_alone),
        InProcess(name="e2espot, auto (PyAV)", work=streamed),
    ]
    for runs in (1, 2, 4, 8) if settings.device.type == "cuda" else (1,):
        variants += [
            InProcess(name=f"{variant.name}, {runs} runs in parallel" if runs > 1 else variant.name, work=variant.work)
            for variant in _if_dali(path, settings, partial(dali, runs))
        ]
    return variants


def _if_dali(path: Path, settings: DecodeSettings, work: Callable[[], int]) -> list[InProcess]:
    from dali_pipelines.routes import is_decodable
    from e2espot.core.errors import ConfigurationError

    if not has_dali():
        return []
    try:
        if not is_decodable(path, settings.device.type):
            return []  # PyAV would decode it, which has rows of its own
    except ConfigurationError:
        return []  # DALI's CPU backend does not know the codec
    return [InProcess(name=f"e2espot, DALI on {settings.device.type}", work=work)]


def clip_dataset(paths: list[Path], settings: DecodeSettings) -> ClipDataset:
    """Random clips of these videos, independent of their labels."""
    videos = []
    for path in paths:
        count = probe(path).num_frames
        labelled = LabelledVideo(num_frames=count, event_frames=(count // 3, 2 * count // 3), event_targets=(1, 2))
        videos.append(TrainingVideo(path=path, labelled=labelled))
    labelled_videos = [video.labelled for video in videos]
    sampler = ClipSampler(
        videos=labelled_videos, clip_len=settings.clip_len, num_clips=settings.num_clips, event_fraction=0.0
    )
    return ClipDataset(videos, sampler, fps=Fraction(25), size=settings.size, label_radius=0)


def _unchanged(epoch: int, indexes: tuple[int, ...]) -> list[AugmentationParams]:
    del epoch
    return [sample_augmentation(np.random.default_rng(0), None) for _ in indexes]


def _dali_clips(data: ClipDataset, settings: DecodeSettings) -> Any:
    from dali_pipelines.graph import GraphOptions
    from dali_pipelines.iterators import DaliClips

    options = GraphOptions(device=settings.device, batch_size=2, num_threads=1)
    return DaliClips(data, _unchanged, options=options, dtype=torch.float32, augmentation=None)


def _clips(path: Path, settings: DecodeSettings) -> list[InProcess]:
    data = clip_dataset([path], settings)
    count = data.videos[0].labelled.num_frames
    clips = [data.sampler.clip(0, index) for index in range(settings.num_clips)]
    wanted = [[k for k in range(clip.start, clip.start + clip.length) if 0 <= k < count] for clip in clips]
    total = sum(map(len, wanted))

    def decord_alone() -> int:
        reader = _decord(path, settings)
        return sum(len(reader.get_batch(frames).asnumpy()) for frames in wanted)

    def read_with(name: Any) -> Callable[[], int]:
        def read() -> int:
            with open_reader(path, fps=Fraction(25), size=settings.size, reader=name) as reader:
                return sum(len(reader.read(frames)) for frames in wanted)

        return read

    def host_batches() -> int:
        for batch in load_clips(data, epoch=0, batch_size=2, num_workers=0):
            to_device(batch, slice(None), _unchanged(0, batch.indexes), settings.device)
        return total

    def dali() -> int:
        for _ in _dali_clips(data, settings).epoch(0, batch_size=2, num_workers=0):
            pass
        return total

    variants = [
        InProcess(name="decord, whole file", work=decord_alone),
        InProcess(name="e2espot, auto (PyAV)", work=read_with("auto")),
        InProcess(name="e2espot, decord on stream copies", work=read_with("decord")),
        InProcess(name="e2espot, auto, normalised batches", work=host_batches),
    ]
    return variants + [
        InProcess(name=variant.name + ", normalised batches", work=variant.work)
        for variant in _if_dali(path, settings, dali)
    ]


def _first_batch(paths: list[Path], settings: DecodeSettings) -> list[InProcess]:
    def with_cache() -> int:
        clear_index_cache()
        next(load_clips(clip_dataset(paths, settings), epoch=0, batch_size=2, num_workers=0))
        return 1

    def without_cache() -> int:
        with _index_cache_at(""):
            return with_cache()

    def dali() -> int:
        clear_index_cache()
        next(_dali_clips(clip_dataset(paths, settings), settings).epoch(0, batch_size=2, num_workers=0))
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
        InProcess(name="e2espot, auto (PyAV), without cached indexes", work=without_cache),
        InProcess(name="e2espot, auto (PyAV), with cached indexes", work=with_cache),
    ]
    with_dali = _if_dali(paths[0], settings, dali)
    if with_dali:
        variants = [InProcess(name="DALI's own reader", work=dali_reader), *variants, *with_dali]
    return variants

"""From a video to its feature file: decoded once, row by row, in bounded memory; written whole or not at all.

    video -> pictures of the rows (grid) -> network, a few at a time -> rows -> 1_NAME.npy, 1_NAME.json
                                       or -> backbone of a spotter, every frame of its grid -> rows

Shapes: N rows, D values of a row.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from e2espot.core.errors import E2ESpotError
from e2espot.core.version import VERSION_FIELD, __version__
from e2espot.features.backbones import ImageExtractor
from e2espot.features.grid import RowGrid, nominal_fps, pictures_of_rows
from e2espot.features.pca import Pca
from e2espot.files.atomic import write_atomically
from e2espot.formats.feature_files import description_path
from e2espot.formats.game import Video
from e2espot.inference.job import Progress, local_path
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import frames_of_video, stream_features
from e2espot.models.spotter import Spotter
from e2espot.models.weights.checkpoint import load_spotter, weights_file
from e2espot.sources.remote import VideoCache, redact
from e2espot.video import VideoIndex, stream_pictures
from e2espot.video.clock_gaps import log_gaps
from e2espot.video.parts import one_state
from e2espot.video.preparation import preparation_of, shown_size
from e2espot.video.reader import match_info

_MODE = 0o644
PART_SUFFIX = ".rows.part"
"""Ending of an array that is not complete."""
_LEFT_S = 86_400.0
"""Time without a new row after which such an array was left by a run that was killed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SpotterExtractor:
    """The backbone of a trained spotter, at its own rate and size."""

    spotter: Spotter
    """In evaluation mode."""
    name: str
    """Name of its run."""
    weights: str
    """Digest of its weights."""

    @property
    def dim(self) -> int:
        """D."""
        return self.spotter.backbone.feature_dim

    def to(self, device: str) -> SpotterExtractor:
        """The same on ``device``."""
        return dataclasses.replace(self, spotter=self.spotter.to(device))


def spotter_extractor(path: Path, device: torch.device) -> SpotterExtractor:
    """The backbone of a run folder or weights file.

    Raises:
        CheckpointError: there is no run at the path, or it is damaged.
        ConfigurationError: it reads features itself.
    """
    spotter = load_spotter(path, device)
    spotter.check_sees_frames(path)
    digest = hashlib.sha256(weights_file(path).read_bytes()).hexdigest()
    return SpotterExtractor(spotter=spotter, name=path.resolve().stem, weights=f"sha256 {digest[:16]}")


@dataclass(frozen=True, kw_only=True)
class ExtractionJob:
    """Everything that is needed to extract the features of a video; it can be sent to another machine."""

    extractor: ImageExtractor | SpotterExtractor
    """The network."""
    grid: RowGrid
    """Rate and rule of the rows."""
    name: str
    """Name of the files without half and ending."""
    pca: Pca | None
    """Projection of the rows; None for none."""
    half_precision: bool
    """Whether values are stored as float16 instead of float32."""
    options: InferenceOptions
    """How videos are read."""
    cache: VideoCache
    """Local copies of videos from object stores."""
    targets: dict[tuple[str, int], Path]
    """(Game, half) -> file to write."""

    def to(self, device: str) -> ExtractionJob:
        """The same with its network on ``device``."""
        return dataclasses.replace(self, extractor=self.extractor.to(device))

    @property
    def dim(self) -> int:
        """Values of a row that is written."""
        return self.extractor.dim if self.pca is None else self.pca.num_components

    def kind_fields(self) -> dict[str, Any]:
        """What the JSON says of every file of the job, whatever the video."""
        extractor = self.extractor
        fields: dict[str, Any] = {"name": self.name, "dim": self.dim, "rate": str(self.grid.rate)}
        if isinstance(extractor, ImageExtractor):
            fields |= {
                "backbone": extractor.name,
                "weights": extractor.weights,
                "transform": f"{extractor.transform} {extractor.side}",
                "mean": list(extractor.mean),
                "std": list(extractor.std),
                "precision": str(extractor.dtype).removeprefix("torch."),
            }
        else:
            spec = extractor.spotter.spec
            fields |= {
                "backbone": f"run {spec.feature_arch}",
                "weights": extractor.weights,
                "transform": f"{spec.width}x{spec.height}" + (f" crop {spec.crop_dim}" if spec.crop_dim else ""),
            }
        return {
            **fields,
            "grid": self.grid.rule,
            "start_s": str(self.grid.start_s),
            "duration_s": None if self.grid.duration_s is None else str(self.grid.duration_s),
            "pca_sha256": "" if self.pca is None else self.pca.digest(),
            "dtype": "float16" if self.half_precision else "float32",
        }


@dataclass(frozen=True, kw_only=True)
class FeatureResult:
    """Features of one video, written."""

    video: Video
    """The video."""
    path: Path
    """The file."""
    num_rows: int
    """N."""


def extract_video(
    job: ExtractionJob, video: Video, progress: Progress | None = None, copy_progress: Progress | None = None
) -> FeatureResult:
    """Extract and write the features of one video.

    Args:
        job: Network, grid and options.
        video: A local file, or one in an object store, which is copied first.
        progress: Called with (rows done, rows in all).
        copy_progress: Called with (bytes copied, bytes in all); never for a local file or a copy that exists.

    Raises:
        VideoError: the video cannot be read, is too short for a row, or has too low a rate for the grid.
    """
    target = job.targets[video.game, video.half]
    options = dataclasses.replace(job.options, video_stream=video.video_stream or job.options.video_stream)
    with (
        local_path(job.cache, video, copy_progress) as path,
        one_state(path, **options.opening) as indexes,
    ):
        log_gaps(indexes)
        missing: list[range] = []
        if isinstance(job.extractor, ImageExtractor):
            pictures = pictures_of_rows(indexes, job.grid)
            num_rows = sum(map(len, pictures))
            first_s = _shown_at_s(indexes, pictures)
            pieces = _image_rows(job.extractor, indexes, pictures, job.grid.rate, options, missing)
        else:
            num_rows = match_info(path, indexes, job.extractor.spotter.fps).num_frames
            first_s = 0.5 / float(job.extractor.spotter.fps)
            pieces = _spotter_rows(job.extractor.spotter, path, options, missing)
        with torch.inference_mode(), closing(pieces):
            part = _write_rows(job, target, pieces, num_rows, progress)
        source = redact(video.url) if video.url else path.name
        fields = {
            **job.kind_fields(),
            "rows": num_rows,
            "first_row_s": first_s,
            "source": source,
            "source_fps": str(nominal_fps(indexes[0])),
            "source_pictures": sum(index.num_pictures for index in indexes),
            "source_duration_s": float(indexes[-1].starts_at_s + indexes[-1].duration_s),
            "missing_rows": [[gap.start, gap.stop] for gap in missing],
            VERSION_FIELD: __version__,
        }
    _finish(part, target, fields)
    return FeatureResult(video=video, path=target, num_rows=num_rows)


def _shown_at_s(indexes: tuple[VideoIndex, ...], pictures: list[np.ndarray]) -> float:
    """Seconds from the first picture of the match to the one of row 0."""
    index, ranks = next((index, ranks) for index, ranks in zip(indexes, pictures, strict=True) if len(ranks))
    elapsed = int(index.pts_P[int(ranks[0])] - index.pts_P[0]) * index.time_base + index.starts_at_s
    return float(elapsed)


def _image_rows(
    extractor: ImageExtractor,
    indexes: tuple[VideoIndex, ...],
    pictures: list[np.ndarray],
    rate: Fraction,
    options: InferenceOptions,
    missing: list[range],
) -> Generator[np.ndarray, None, None]:
    chunks = stream_pictures(
        indexes,
        pictures,
        rate=rate,
        size=extractor.decoded_size(shown_size(indexes[0], preparation_of(indexes[0], options.only_pictures()))),
        read_ahead=options.read_ahead,
        reader="decord" if options.reader == "decord" else "auto",
        missing=missing if options.allow_truncated else None,
        pictures=options.only_pictures(),
    )
    for chunk in chunks:
        for batch_NHWC in torch.from_numpy(chunk.frames_THWC).split(extractor.batch_len):
            yield extractor.rows(batch_NHWC).cpu().numpy()


def _spotter_rows(
    spotter: Spotter, path: Path, options: InferenceOptions, missing: list[range]
) -> Generator[np.ndarray, None, None]:
    for rows_ND in stream_features(spotter, frames_of_video(spotter, path, options, missing), options):
        yield rows_ND.cpu().numpy()


def _part_file(target: Path) -> Path:
    """New empty file next to ``target`` for rows until they are complete, and no other run's."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*{PART_SUFFIX}"):
        with suppress(OSError):  # another run may have renamed it
            if time.time() - left.stat().st_mtime > _LEFT_S:
                left.unlink()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=PART_SUFFIX)
    os.close(handle)
    return Path(name)


def _write_rows(
    job: ExtractionJob, target: Path, pieces: Iterator[np.ndarray], num_rows: int, progress: Progress | None
) -> Path:
    """Write the array under a temporary name next to ``target``, which is returned."""
    dtype = np.dtype(np.float16 if job.half_precision else np.float32)
    part: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _part_file(target)
        with part.open("wb") as file:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (num_rows, job.dim)}
            np.lib.format.write_array_header_1_0(file, header)
            done = 0
            for rows_ND in pieces:
                if job.pca is not None:
                    rows_ND = job.pca.project(rows_ND)
                file.write(np.ascontiguousarray(rows_ND, dtype=dtype).tobytes())
                done += len(rows_ND)
                if progress is not None:
                    progress(done, num_rows)
            if done != num_rows:
                raise AssertionError(f"{done} rows for {num_rows}")
            file.flush()
            os.fsync(file.fileno())
        return part
    except BaseException as error:
        if part is not None:
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise E2ESpotError(
                f"{target}: cannot be written ({error.strerror}); check permissions and free space"
            ) from None
        raise


def _finish(part: Path, target: Path, fields: dict[str, Any]) -> None:
    """Put the complete array and its JSON in their final position; without its JSON an array counts as missing.

    Two runs may do so at once: each renames a file of its own, and the last one stays.
    """
    description = description_path(target)
    description.unlink(missing_ok=True)
    part.chmod(_MODE)
    part.replace(target)
    write_atomically(description, (json.dumps(fields, indent=1) + "\n").encode())


def is_complete(target: Path, wanted: dict[str, Any]) -> bool:
    """Whether a file exists with a JSON that says all of ``wanted``, so that it need not be extracted again."""
    try:
        fields = json.loads(description_path(target).read_bytes())
        return target.is_file() and all(fields.get(name) == value for name, value in wanted.items())
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def project_file(source: Path, target: Path, name: str, pca: Pca) -> None:
    """Write the projection of a feature file with its JSON, block by block."""
    from e2espot.formats.feature_files import open_features

    file = open_features(source)
    fields = dict(file.description.fields) if file.description else {}
    half = file.dtype == np.float16
    dtype = np.dtype(np.float16 if half else np.float32)
    part = _part_file(target)
    try:
        with part.open("wb") as handle:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (file.num_rows, pca.num_components)}
            np.lib.format.write_array_header_1_0(handle, header)
            for _, rows_ND in file.blocks():
                handle.write(np.ascontiguousarray(pca.project(rows_ND), dtype=dtype).tobytes())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _finish(part, target, {**fields, "name": name, "dim": pca.num_components, "pca_sha256": pca.digest()})

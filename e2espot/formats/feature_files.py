"""Feature files: an ``.npy`` array with one row of values for each step of time, and what a JSON next to it says.

Files of this package and of others are read alike; nothing in them is executed::

    1_ResNET_TF2.npy             float32 (5400, 2048)          half 1, two rows a second
    1_ResNET_TF2.json            network, transform, rate ...  only next to files of this package

Rows are read by their position in the file, block by block, and the file is not mapped into memory: pages of a mapping
count as memory of the process, and a dataset has gigabytes of them.

Shapes: N rows, D values of a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from e2espot.core.errors import AnnotationError, ConfigurationError, one_line, shortened
from e2espot.core.feature_kind import MAX_DIM, FeatureKind
from e2espot.core.timeline import fps_text, parse_fps
from e2espot.files.json_fields import decode_text, read_bytes

KNOWN_FEATURES: dict[str, tuple[Fraction, int | None]] = {
    "ResNET_TF2": (Fraction(2), 2048),
    "ResNET_TF2_PCA512": (Fraction(2), 512),
    "baidu_soccer_embeddings": (Fraction(1), 8576),
    "ResNET_5fps_TF2": (Fraction(5), 2048),
    "ResNET_5fps_TF2_PCA512": (Fraction(5), 512),
    "ResNET_25fps_TF2": (Fraction(25), 2048),
    "ResNET": (Fraction(2), 2048),
    "ResNET_PCA512": (Fraction(2), 512),
    "C3D": (Fraction(2), None),
    "C3D_PCA512": (Fraction(2), 512),
    "I3D": (Fraction(2), None),
    "I3D_PCA512": (Fraction(2), 512),
}
"""SoccerNet's feature files: name without half and ending -> rows a second, and values of a row where it is sure."""

_BLOCK_BYTES = 4 << 20
_MAX_HEADER_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the JSON next to a feature file says."""

    kind: FeatureKind
    """Name, width and origin of the features."""
    rate: Fraction
    """Rows a second."""
    fields: dict[str, Any]
    """Everything that it says."""


@dataclass(frozen=True, kw_only=True)
class FeatureFile:
    """An array of features on disk; only its header was read."""

    path: Path
    """The file."""
    num_rows: int
    """N."""
    dim: int
    """D."""
    dtype: np.dtype[Any]
    """Number format on disk: half, single or double precision."""
    offset: int
    """Byte at which the first row begins."""
    description: Description | None = None
    """What the JSON next to it says; None without one."""

    @property
    def kind(self) -> FeatureKind:
        """What the file holds, by its JSON or else by its name."""
        return self.description.kind if self.description else FeatureKind(name=feature_name(self.path), dim=self.dim)

    @property
    def known_rate(self) -> Fraction | None:
        """Rows a second, by the JSON or by a name of SoccerNet's; None where neither is known."""
        if self.description is not None:
            return self.description.rate
        known = KNOWN_FEATURES.get(feature_name(self.path))
        return known[0] if known else None

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows ``[start, stop)`` as float32.

        Raises:
            AnnotationError: the file has become shorter, or cannot be read.
        """
        with self.path.open("rb") as handle:
            return self.read_from(handle, start, self.num_rows if stop is None else stop)

    def read_from(self, handle: BinaryIO, start: int, stop: int) -> np.ndarray:
        """The same through an open file."""
        row_bytes = self.dim * self.dtype.itemsize
        handle.seek(self.offset + start * row_bytes)
        rows_ND = np.empty((stop - start, self.dim), dtype=self.dtype)
        if handle.readinto(rows_ND.view(np.uint8)) != rows_ND.nbytes:  # type: ignore[attr-defined]
            raise AnnotationError(f"{self.path}: ends before row {stop}; copy it again")
        with np.errstate(over="ignore"):  # values beyond single precision become infinite, which callers refuse
            return rows_ND.astype(np.float32, copy=False)

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """(First row, float32 rows) of consecutive blocks of some megabytes."""
        length = max(1, _BLOCK_BYTES // (self.dim * self.dtype.itemsize))
        with self.path.open("rb") as handle:
            for start in range(0, self.num_rows, length):
                yield start, self.read_from(handle, start, min(start + length, self.num_rows))

    def check_finite(self) -> None:
        """Read all rows once.

        Raises:
            AnnotationError: a value is not a finite number.
        """
        for start, rows_ND in self.blocks():
            # The sum is fast, and not finite if a value is not; finite values may overflow it, hence the second look.
            with np.errstate(invalid="ignore"):
                total = rows_ND.sum(dtype=np.float64)
            if not np.isfinite(total):
                bad = np.flatnonzero(~np.isfinite(rows_ND).all(axis=1))
                if len(bad):
                    raise AnnotationError(
                        f"{self.path}: row {start + int(bad[0])} holds values that are not finite numbers; extract it "
                        "again"
                    )


def is_feature_file(path: Path | str) -> bool:
    """Whether a path has the ending of a feature file."""
    return Path(path).suffix.lower() == ".npy"


def feature_name(path: Path) -> str:
    """Name of the features in a file: ``1_ResNET_TF2.npy`` -> ``ResNET_TF2``."""
    stem = path.stem
    head, _, rest = stem.partition("_")
    if head in ("1", "2", "3", "4", "5") and rest:
        return rest
    # derby_ResNET_TF2_PCA512 -> the longest of SoccerNet's names that it ends with
    endings = [name for name in KNOWN_FEATURES if stem.endswith(f"_{name}")]
    return max(endings, key=len, default=stem)


def open_features(path: Path) -> FeatureFile:
    """Read the header of a feature file and what its JSON says.

    Accepted are arrays (N, D), (1, N, D) and (N, 1, D) of half, single or double precision in C order.

    Raises:
        AnnotationError: the file is missing or damaged, holds Python objects, no rows, or another shape.
        ConfigurationError: the array does not fit its JSON or its name.
    """
    shape, dtype, offset, num_bytes = _read_header(path)
    if dtype.hasobject:
        raise AnnotationError(
            f"{path}: holds Python objects (a pickle), which are never loaded; save the plain array: "
            "numpy.save(path, features, allow_pickle=False)"
        )
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise AnnotationError(f"{path}: values of type {dtype}; features are float16, float32 or float64")
    num_rows, dim = _rows_and_dim(path, shape)
    if num_bytes < num_rows * dim * dtype.itemsize:
        raise AnnotationError(
            f"{path}: ends after {num_bytes} of {num_rows * dim * dtype.itemsize} bytes; copy or download it again"
        )
    description = read_description(path)
    file = FeatureFile(path=path, num_rows=num_rows, dim=dim, dtype=dtype, offset=offset, description=description)
    known = KNOWN_FEATURES.get(feature_name(path))
    wanted = description.kind.dim if description else (known[1] if known else None)
    if wanted is not None and wanted != dim:
        turned = f"; it has {wanted} rows, so it seems to be transposed: save array.T" if num_rows == wanted else ""
        raise ConfigurationError(f"{path}: rows of {dim} values, and {file.kind.name} has {wanted}{turned}")
    return file


def _rows_and_dim(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    """N and D of an array with at most one axis too many."""
    axes = list(shape)
    if len(axes) == 3:
        # (1, N, D) and (N, 1, D); of (1, 1, D) the first axis goes
        one = next((axis for axis in (0, 1) if axes[axis] == 1), None)
        if one is not None:
            del axes[one]
    if len(axes) != 2:
        raise AnnotationError(f"{path}: an array of shape {shape}; features have the shape (rows, values)")
    num_rows, dim = axes
    if num_rows == 0:
        raise AnnotationError(f"{path}: holds no rows; extract it again")
    if not 0 < dim <= MAX_DIM:
        raise AnnotationError(f"{path}: rows of {dim} values; at least 1 and at most {MAX_DIM} are accepted")
    return num_rows, dim


def _read_header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int, int]:
    """Shape, type, byte of the first value, and bytes that follow it."""
    npy = np.lib.format
    try:
        with path.open("rb") as handle:
            version = npy.read_magic(handle)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, in_columns, dtype = read(handle, max_header_size=_MAX_HEADER_BYTES)
            offset = handle.tell()
        num_bytes = path.stat().st_size - offset
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror or one_line(error)})") from None
    except Exception as error:  # on damaged bytes NumPy raises almost anything
        raise AnnotationError(f"{path}: not an .npy array ({shortened(one_line(error), 120)}); copy it again") from None
    if in_columns and sum(axis > 1 for axis in shape) > 1:
        raise AnnotationError(
            f"{path}: stored column by column, as a transposed array is; save numpy.ascontiguousarray(array)"
        )
    return shape, dtype, offset, num_bytes


# The JSON next to an array


def description_path(path: Path) -> Path:
    """The JSON next to a feature file."""
    return path.with_suffix(".json")


def read_description(path: Path) -> Description | None:
    """What the JSON next to a feature file says; None without one.

    Raises:
        AnnotationError: it is not one of this package's.
    """
    file = description_path(path)
    if not file.is_file():
        return None
    try:
        fields = json.loads(decode_text(read_bytes(file), str(file)))
        kind = FeatureKind(name=str(fields["name"]), dim=int(fields["dim"]), origin=origin_of(fields))
        return Description(kind=kind, rate=parse_fps(fields["rate"]), fields=fields)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AnnotationError(
            f"{file}: does not describe features ({shortened(one_line(error), 120)}); fix it or move it away"
        ) from None


def origin_of(fields: dict[str, Any]) -> str:
    """What two files must agree on to be of one kind."""
    parts = [f"{name} {fields[name]}" for name in ("backbone", "weights", "transform") if fields.get(name)]
    if fields.get("pca_sha256"):
        parts.append(f"PCA {str(fields['pca_sha256'])[:12]}")
    return ", ".join(parts)


# Checks against what is wanted


def check_rate(file: FeatureFile, rate: Fraction) -> None:
    """Refuse features that are known to have another rate.

    Raises:
        ConfigurationError: the JSON or the name of the file says another rate.
    """
    if file.known_rate is not None and file.known_rate != rate:
        raise ConfigurationError(
            f"{file.path}: {fps_text(file.known_rate)} rows a second, and {fps_text(rate)} are wanted; set fps to "
            f"{fps_text(file.known_rate)}",
            option="fps",
        )


def check_kind(file: FeatureFile, wanted: FeatureKind) -> None:
    """Refuse features of another kind.

    Raises:
        ConfigurationError: another width, or another origin where both are known.
    """
    if file.dim != wanted.dim == file.num_rows:
        raise ConfigurationError(
            f"{file.path}: {file.num_rows} rows of {file.dim} values, and {wanted.name} has {wanted.dim} values; "
            "it seems to be transposed: save array.T"
        )
    wanted.check(file.kind, file.path)

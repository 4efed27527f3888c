"""SoccerNet's PCA as pickles, read by an unpickler that builds arrays and nothing else.

    average_512_TF2.pkl   a vector that is subtracted first
    pca_512_TF2.pkl       scikit-learn's PCA: its fields are read, its class is never imported

A pickle is a program. This one may call six functions, each replaced by one that can only make an array, a type, bytes
or a bag of fields.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.errors import AnnotationError, one_line, shortened
from e2espot.features.pca import Pca, checked_pca

_MAX_BYTES = 1 << 30
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC_MODULES = ("numpy.core.numeric", "numpy._core.numeric")
_PCA_MODULES = ("sklearn.decomposition._pca", "sklearn.decomposition.pca")


class _Fields:
    """The fields of an object whose class is not imported."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("fields that are no dictionary")
        self.__dict__.update(state)


def _empty_array(_kind: Any, _shape: Any, _code: Any) -> np.ndarray:
    """An array without values, whose shape and values follow as its state."""
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _scalar(dtype: Any, data: Any) -> Any:
    """A NumPy number of ``dtype``."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(data, bytes):
        raise pickle.UnpicklingError("a number of an unknown type")
    return np.frombuffer(data, dtype=dtype, count=1)[0]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """An array as recent versions store it."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise pickle.UnpicklingError("an array of an unknown type")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order=order)


def _latin_bytes(text: Any, encoding: Any) -> bytes:
    """Bytes as old protocols store them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("bytes in an unknown form")
    return text.encode("latin-1")


def _dtype(*arguments: Any) -> np.dtype[Any]:
    """A plain number type, such as ``f4``."""
    dtype: np.dtype[Any] = np.dtype(arguments[0])
    if dtype.kind not in "fiub":
        raise pickle.UnpicklingError(f"arrays of type {dtype}")
    return dtype


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays of numbers and the fields of scikit-learn's PCA."""

    def find_class(self, module: str, name: str) -> Any:
        """The replacement of a function or class that a pickle names.

        Raises:
            UnpicklingError: any other name.
        """
        if (module, name) == ("numpy", "ndarray"):
            return "ndarray"  # an argument only: as a class it could be called, and fill the memory
        if (module, name) == ("numpy", "dtype"):
            return _dtype
        if module in _ARRAY_MODULES and name in ("_reconstruct", "scalar"):
            return _empty_array if name == "_reconstruct" else _scalar
        if module in _NUMERIC_MODULES and name == "_frombuffer":
            return _from_buffer
        if (module, name) == ("_codecs", "encode"):
            return _latin_bytes
        if module in _PCA_MODULES and name == "PCA":
            return _Fields
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")


def read_kit_pca(components: Path, average: Path | None) -> Pca:
    """SoccerNet's pair of pickles as one projection.

    Args:
        components: The pickled PCA.
        average: The pickled vector that is subtracted first; None for none.

    Raises:
        AnnotationError: a file cannot be read, or holds anything else.
    """
    fitted = _load(components)
    try:
        components_PD, mean_D = np.asarray(fitted.components_), np.asarray(fitted.mean_)
        variance_P = np.asarray(fitted.explained_variance_)
        share = float(np.sum(getattr(fitted, "explained_variance_ratio_", np.zeros(1))))
        if average is not None:
            # (x - average - mean) @ components.T: scikit-learn subtracts its mean as well
            mean_D = mean_D + np.asarray(_load(average)).reshape(-1)
        total = float(variance_P.sum()) / share if share > 0 else 0.0
        return checked_pca(mean_D, components_PD, variance_P, total)
    except (AttributeError, ValueError, TypeError) as error:
        raise AnnotationError(f"{components}: not SoccerNet's PCA ({shortened(one_line(error))})") from None


def _load(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise AnnotationError(f"{path}: larger than any projection; give SoccerNet's file")
        with path.open("rb") as handle:
            return _ArrayUnpickler(handle).load()
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from None
    except AnnotationError:
        raise
    except Exception as error:  # on damaged bytes pickle raises almost anything
        raise AnnotationError(
            f"{path}: not read, since it is not a plain array or PCA ({shortened(one_line(error))})"
        ) from None

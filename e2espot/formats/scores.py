"""The scores of every frame of a video, in an npz file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.coverage import ReadCoverage, ranges_of_mask
from e2espot.core.errors import AnnotationError, ConfigurationError, one_line
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.core.timeline import parse_fps
from e2espot.core.version import VERSION_FIELD, __version__
from e2espot.files.atomic import write_atomically
from e2espot.files.npz import read_arrays


def write_scores(path: Path, scores: Scores) -> None:
    """Write ``scores_TK``, ``classes``, ``fps``, ``valid_T`` (which frames were read) and the version atomically.

    Two more arrays are optional: ``right_T``, if the spotter predicts teams, and ``promised_s``, if the video could
    not be read in full: the duration that its container declares, or an empty string if that is unknown.

    Raises:
        E2ESpotError: the file cannot be written.
    """
    num_frames = len(scores.scores_TK)
    # Any, because savez_compressed has a keyword argument of another type, which no array here is named after.
    arrays: dict[str, Any] = {} if scores.right_T is None else {"right_T": scores.right_T}
    valid_T = np.ones(num_frames, dtype=bool)
    if scores.coverage is not None:
        valid_T, duration_s = scores.coverage.mask(num_frames), scores.coverage.declared_duration_s
        arrays["promised_s"] = "" if duration_s is None else str(duration_s)
    arrays |= {
        "scores_TK": scores.scores_TK,
        "classes": np.array(scores.label_set.names),
        "fps": str(scores.fps),
        "valid_T": valid_T,
        VERSION_FIELD: __version__,
    }
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def read_scores(path: Path) -> Scores:
    """Read the file of :func:`write_scores`; nothing in it is executed.

    Raises:
        AnnotationError: the file is missing, or is not such a file.
    """
    try:
        stored = read_arrays(path)
        scores_TK, right_T = stored["scores_TK"], stored.get("right_T")
        if stored["classes"].ndim != 1 or stored["classes"].dtype.kind != "U":
            raise ValueError("classes must be a list of names")
        _check_probabilities(scores_TK, "scores_TK")
        if right_T is not None:
            _check_probabilities(right_T, "right_T")
            if right_T.shape != scores_TK.shape[:1]:
                raise ValueError(f"right_T has shape {right_T.shape}; expected one value a frame")
        return Scores(
            scores_TK=scores_TK,
            label_set=LabelSet(tuple(str(name) for name in stored["classes"])),
            fps=parse_fps(str(stored["fps"])),
            right_T=right_T,
            coverage=_read_coverage(stored),
        )
    except (OSError, KeyError, ValueError, ZeroDivisionError, ConfigurationError) as error:
        raise AnnotationError(f"{path}: not a file of per-frame scores ({one_line(error)})") from None


def _read_coverage(stored: Mapping[str, np.ndarray]) -> ReadCoverage | None:
    if "promised_s" not in stored:
        return None
    duration_s, valid_T = str(stored["promised_s"]), stored["valid_T"]
    if valid_T.dtype != bool or valid_T.shape != stored["scores_TK"].shape[:1]:
        raise ValueError("valid_T does not fit scores_TK")
    if not re.fullmatch(r"(\d{1,18}(/\d{1,18})?)?", duration_s):
        raise ValueError("promised_s is neither empty nor a number of seconds")
    return ReadCoverage(
        ranges=ranges_of_mask(valid_T), declared_duration_s=Fraction(duration_s) if duration_s else None
    )


def _check_probabilities(scores: np.ndarray, name: str) -> None:
    if scores.dtype.kind != "f" or not bool(((scores >= 0) & (scores <= 1)).all()):
        raise ValueError(f"{name} must be floating-point numbers in [0, 1]")

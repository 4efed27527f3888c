"""The score of every frame as an npz file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.coverage import Readable, stretches_of
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.core.timeline import parse_fps
from e2espot.files.atomic import write_atomically
from e2espot.files.npz import read_arrays


def write_scores(path: Path, scores: Scores) -> None:
    """Write ``scores_TK``, ``classes``, ``fps`` and ``valid_T`` (frames that were readable), whole or not at all.

    ``right_T`` as well where the spotter tells sides; ``promised_s`` where a frame was not readable or the file breaks
    off: seconds that the container promises, empty where it says nothing.
    """
    buffer, num_frames = BytesIO(), len(scores.scores_TK)
    more: dict[str, Any] = {} if scores.right_T is None else {"right_T": scores.right_T}
    valid_T = np.ones(num_frames, dtype=bool)
    if scores.readable is not None:
        valid_T, promised_s = scores.readable.mask(num_frames), scores.readable.promised_s
        more["promised_s"] = "" if promised_s is None else str(promised_s)
    np.savez_compressed(
        buffer,
        **more,
        scores_TK=scores.scores_TK,
        classes=np.array(scores.label_set.names),
        fps=str(scores.fps),
        valid_T=valid_T,
    )
    write_atomically(path, buffer.getvalue())


def _readable(stored: Mapping[str, Any]) -> Readable | None:
    if "promised_s" not in stored:
        return None
    promised_s, valid_T = str(stored["promised_s"]), stored["valid_T"]
    if valid_T.dtype != bool or valid_T.shape != stored["scores_TK"].shape[:1]:
        raise ValueError("valid_T does not fit scores_TK")
    if not re.fullmatch(r"(\d{1,18}(/\d{1,18})?)?", promised_s):
        raise ValueError("promised_s is no number of seconds")
    return Readable(stretches=stretches_of(valid_T), promised_s=Fraction(promised_s) if promised_s else None)


def read_scores(path: Path) -> Scores:
    """Read what :func:`write_scores` wrote; nothing in it is executed.

    Raises:
        AnnotationError: missing, or something else.
    """
    try:
        stored = read_arrays(path)
        scores_TK, right_T = stored["scores_TK"], stored.get("right_T")
        if stored["classes"].ndim != 1 or stored["classes"].dtype.kind != "U":
            raise ValueError("classes must be a list of names")
        _check(scores_TK, "scores_TK")
        if right_T is not None:
            _check(right_T, "right_T")
            if right_T.shape != scores_TK.shape[:1]:
                raise ValueError(f"right_T has shape {right_T.shape}; expected one value a frame")
        return Scores(
            scores_TK=scores_TK,
            label_set=LabelSet(tuple(str(name) for name in stored["classes"])),
            fps=parse_fps(str(stored["fps"])),
            right_T=right_T,
            readable=_readable(stored),
        )
    except (OSError, KeyError, ValueError, ZeroDivisionError, ConfigurationError) as error:
        raise AnnotationError(
            f"{path}: not a scores file of tools/infer.py --save_scores ({' '.join(str(error).split())})"
        ) from None


def _check(scores: np.ndarray, name: str) -> None:
    if scores.dtype.kind != "f" or not bool(((scores >= 0) & (scores <= 1)).all()):
        raise ValueError(f"{name} must be floating-point numbers in [0, 1]")

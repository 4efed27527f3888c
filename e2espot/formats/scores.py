"""The score of every frame as an npz file."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from e2espot.errors import AnnotationError
from e2espot.events import LabelSet, Scores
from e2espot.formats.atomic import write_atomically


def write_scores(path: Path, scores: Scores) -> None:
    """Write ``scores_TK``, ``classes``, ``fps`` and ``valid_T`` (frames that were readable), whole or not at all.

    ``right_T`` as well where the spotter tells sides.
    """
    buffer = BytesIO()
    sides: dict[str, Any] = {} if scores.right_T is None else {"right_T": scores.right_T}
    np.savez_compressed(
        buffer,
        **sides,
        scores_TK=scores.scores_TK,
        classes=np.array(scores.label_set.names),
        fps=str(scores.fps),
        valid_T=np.ones(len(scores.scores_TK), dtype=bool),
    )
    write_atomically(path, buffer.getvalue())


def read_scores(path: Path) -> Scores:
    """Read what :func:`write_scores` wrote; nothing in it is executed.

    Raises:
        AnnotationError: missing, or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Scores(
                scores_TK=stored["scores_TK"],
                label_set=LabelSet(tuple(str(name) for name in stored["classes"])),
                fps=Fraction(str(stored["fps"])),
                right_T=stored.get("right_T"),
            )
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise AnnotationError(f"{path}: not a scores file of tools/infer.py --save_scores ({error})") from None

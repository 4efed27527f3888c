"""Scores of one half from its features: the counterpart of ``predict.spot_video`` for spotters that read features.

Shapes: N rows, D values of a row, K classes with background.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.scores import Scores
from e2espot.formats.feature_files import FeatureFile, check_kind, check_rate, is_feature_file, open_features
from e2espot.inference.streaming_head import streaming_head
from e2espot.models.spotter import Spotter

_LOG = logging.getLogger(__name__)

_ROWS_AT_A_TIME = 8192


def checked_features(spotter: Spotter, path: Path, *, warns: bool = True) -> FeatureFile:
    """The features that a spotter is to read, of the kind that it was trained on.

    Args:
        spotter: It reads features.
        path: The features of one half.
        warns: Whether features that may be of another kind are reported.

    Raises:
        ConfigurationError: a video, or features of another kind or rate.
        AnnotationError: a damaged file.
    """
    assert spotter.spec.features is not None
    if not is_feature_file(path):
        raise ConfigurationError(
            f"{path}: this run reads features named {spotter.spec.features.name}, and this is no feature file; extract "
            "them first: e2espot features"
        )
    file = open_features(path)
    check_kind(file, spotter.spec.features)
    check_rate(file, spotter.fps)
    doubt = spotter.spec.features.doubt(file.kind)
    if doubt and warns:
        _LOG.warning("%s: %s", path, doubt)
    file.check_finite()
    return file


def spot_features(
    spotter: Spotter, path: Path, *, progress: Callable[[int, int], None] | None = None, warns: bool = True
) -> Scores:
    """Compute the scores of every row of a feature file.

    Args:
        spotter: In evaluation mode; its device is used.
        path: The features of one half.
        progress: Called with (rows done, rows in all).
        warns: Whether features that may be of another kind are reported.

    Raises:
        ConfigurationError: a video, or features of another kind or rate.
        AnnotationError: a damaged file.
        CheckpointError: the weights give scores that are not finite.
    """
    file = checked_features(spotter, path, warns=warns)
    with torch.inference_mode():
        scores_NK = _chunk_scores(spotter, file) if spotter.chunk_head is not None else _row_scores(spotter, file)
    if progress is not None:
        progress(file.num_rows, file.num_rows)
    if not np.isfinite(scores_NK).all():
        raise CheckpointError(
            f"{path}: these weights give scores that are not finite; they are damaged, or their training diverged"
        )
    count = len(spotter.label_set)
    return Scores(
        scores_TK=scores_NK[:, :count],
        label_set=spotter.label_set,
        fps=spotter.grid_fps,
        path=path,
        right_T=scores_NK[:, count] if spotter.spec.team else None,
    )


def _chunk_scores(spotter: Spotter, file: FeatureFile) -> np.ndarray:
    """Scores by windows or chunks of the whole half."""
    assert spotter.chunk_head is not None
    device = next(spotter.parameters()).device
    scores = spotter.chunk_head.match_scores(torch.from_numpy(file.read()).to(device))
    array: np.ndarray = scores.float().cpu().numpy()
    return array


def _row_scores(spotter: Spotter, file: FeatureFile) -> np.ndarray:
    """Scores by overlapping clips, as on frames."""
    device = next(spotter.parameters()).device
    head, scores = streaming_head(spotter, None), []
    for start in range(0, file.num_rows, _ROWS_AT_A_TIME):
        rows_ND = file.read(start, min(start + _ROWS_AT_A_TIME, file.num_rows))
        scores.append(head.add(torch.from_numpy(rows_ND).to(device)))
    return np.concatenate([*scores, head.finish()])

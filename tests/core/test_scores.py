"""Scores fit their label set."""

from fractions import Fraction

import numpy as np
import pytest

from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.scores import Scores


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3), (2, 5), (1, 5, 2)])
def test_scores_refuse_an_array_with_another_number_of_classes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(frames, 2\)"):
        Scores(scores_TK=np.zeros(shape, np.float32), label_set=LABEL_SETS["ball-2"])


def test_scores_without_frames_are_valid_and_at_25_fps() -> None:
    scores = Scores(scores_TK=np.zeros((0, 2), np.float32), label_set=LABEL_SETS["ball-2"])
    assert len(scores.scores_TK) == 0
    assert scores.fps == Fraction(25)

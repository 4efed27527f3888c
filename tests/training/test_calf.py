"""CALF's targets, losses and matching give the published numbers."""

import numpy as np
import pytest
import torch

from e2espot.core.label_sets import LABEL_SETS
from e2espot.training.calf_loss import match_slots, segmentation_terms, spotting_terms
from e2espot.training.calf_targets import chunk_targets, contexts_of, shift_targets


def test_shift_targets_follow_the_events() -> None:
    contexts = np.array([[-6.0, -3, 2, 4]] * 3)
    shift_NC = shift_targets(20, [[5, 14], [7], []], contexts)
    expected = [-5, -4, -3, -2, -1, 0, 1, 2, 3, -5, -4, -3, -2, -1, 0, 1, 2, 3, -8, -7]
    assert shift_NC[:, 0].tolist() == expected
    assert shift_NC[:, 1].tolist() == [row - 7 for row in range(20)]
    assert shift_NC[:, 2].tolist() == [-6] * 20


def test_contexts_are_those_of_the_class() -> None:
    contexts = contexts_of(LABEL_SETS["soccernet-v2-17"], 2)
    assert contexts[2].tolist() == [-40, -20, 120, 180]  # Goal
    assert (np.diff(contexts, axis=1) > 0).all()


SEGMENTATION = {
    -60: (0, 0.1178, 0.5878, 1.5041, 2.8904),
    -30: (0, 0, 0.1823, 0.4055, 0.5390),
    -1: (0, 0, 0, 0, 0),
    0: (2.8904, 1.5041, 0.5878, 0.1178, 0),
    5: (1.1412, 0.8109, 0.3646, 0.0572, 0),
    10: (0.5390, 0.4055, 0.1823, 0, 0),
    39: (0, 0.1054, 0.5390, 1.3218, 2.2225),
    60: (0, 0.1178, 0.5878, 1.5041, 2.8904),
}


@pytest.mark.parametrize("shift", SEGMENTATION)
def test_segmentation_loss_has_the_published_values(shift: int) -> None:
    p = torch.tensor([0.05, 0.2, 0.5, 0.8, 0.95])[:, None, None]
    terms = segmentation_terms(p, torch.full_like(p, shift), torch.tensor([[-40.0, -20, 20, 40]]))
    torch.testing.assert_close(
        terms.flatten(), torch.tensor(SEGMENTATION[shift], dtype=torch.float32), rtol=0, atol=6e-5
    )


def test_matching_and_spotting_loss_have_the_published_values() -> None:
    target = torch.tensor([[1, 0.2, 1, 0], [1, 0.3, 0, 1], [0, 0, 0, 0]])
    predicted = torch.tensor([[0.9, 0.28, 0.1, 0.9], [0.4, 0.9, 0.5, 0.5], [0.6, 0.1, 0.8, 0.2]])
    assert match_slots(target, predicted) == [2, 0, 1]
    assert float(spotting_terms(predicted[None], target[None])) == pytest.approx(0.4020, abs=5e-5)


def test_chunk_targets_leave_the_labels_alone_and_the_margins_out() -> None:
    events = [[3, 10], [17]]
    shift_NC = shift_targets(20, events, np.array([[-6.0, -3, 2, 4]] * 2))
    before = shift_NC.copy()
    shift_TC, slots_SX = chunk_targets(shift_NC, events, 2, 16, 3)
    np.testing.assert_array_equal(shift_NC, before)
    assert (shift_TC[:3] == -1).all() and (shift_TC[-3:] == -1).all()
    np.testing.assert_array_equal(shift_TC[3:-3], shift_NC[5:15])
    # Row 3 is in the first margin and row 17 in the last one; row 10 is 8 of 16 rows into the chunk.
    assert slots_SX[0].tolist() == [1, 0.5, 1, 0]
    assert not slots_SX[1:].any()

"""Losses: values that can be worked out by hand, and what must not change them."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from e2espot.training.losses import ball_loss, class_weights, local_normalizer, offset_loss, spotting_loss, team_loss
from e2espot.training.schedule import lr_factor

NAN = float("nan")


def one_hot(classes: list[int], num_classes: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor([classes]), num_classes).float()


def test_spotting_loss_of_uniform_logits_is_the_log_of_the_number_of_classes() -> None:
    valid = torch.ones(1, 3, dtype=torch.bool)
    loss = spotting_loss(torch.zeros(1, 3, 4), one_hot([0, 1, 3], 4), valid, torch.tensor([1.0, 5, 5, 5]))
    assert float(loss) == pytest.approx(math.log(4))


@given(st.lists(st.booleans(), min_size=6, max_size=6).filter(any))
def test_spotting_loss_leaves_out_padding_whatever_it_holds(valid: list[bool]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, classes = torch.randn(1, 6, 3, generator=generator), [0, 1, 2, 0, 0, 2]
    weights, keep = torch.tensor([1.0, 5, 5]), torch.tensor(valid)
    of_valid = spotting_loss(
        logits[:, keep], one_hot(classes, 3)[:, keep], torch.ones(1, int(keep.sum()), dtype=torch.bool), weights
    )
    padded = torch.where(keep[None, :, None], logits, 1e4)
    assert float(spotting_loss(padded, one_hot(classes, 3), keep[None], weights)) == pytest.approx(float(of_valid))


def test_spotting_loss_of_padding_alone_is_zero_and_gives_no_gradient() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    loss = spotting_loss(logits, one_hot([1, 1, 1], 4), torch.zeros(2, 3, dtype=torch.bool), torch.ones(4))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None and not logits.grad.any()


def test_spotting_loss_in_half_precision_is_computed_in_single_precision() -> None:
    logits = torch.full((1, 1, 2), 300.0, dtype=torch.float16)
    loss = spotting_loss(logits, one_hot([1], 2), torch.ones(1, 1, dtype=torch.bool), torch.ones(2))
    assert loss.dtype == torch.float64 or loss.dtype == torch.float32
    assert float(loss) == pytest.approx(math.log(2), rel=1e-6)


def test_focal_loss_of_a_frame_is_its_cross_entropy_times_the_power_of_the_error() -> None:
    logits = torch.tensor([[[0.0, math.log(3)]]])  # probabilities 1/4 and 3/4
    loss = spotting_loss(logits, one_hot([1], 2), torch.ones(1, 1, dtype=torch.bool), torch.ones(2), focal_gamma=2.0)
    assert float(loss) == pytest.approx(math.log(4 / 3) / 16)


def test_class_without_annotations_gets_no_gradient_and_the_others_their_softmax_without_it() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, generator=generator, requires_grad=True)
    targets = torch.cat((one_hot([0, 1, 3], 4), one_hot([2, 0, 2], 4)))
    valid, weights = torch.ones(2, 3, dtype=torch.bool), torch.tensor([1.0, 5, 4, 3])
    without_2 = torch.tensor([[False, False, True, False], [False] * 4])
    for gamma in (0.0, 0.5):
        loss = spotting_loss(logits, targets, valid, weights, gamma, unannotated_BK=without_2)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(gradient).all()
        assert not gradient[0, :, 2].any()
        assert gradient[1].all() and gradient[0][:, [0, 1, 3]].all()
        # The same as a network without the class, for the clip that does not annotate it.
        rest = [0, 1, 3]
        alone = spotting_loss(logits[:1, :, rest], targets[:1, :, rest], valid[:1], weights[rest], gamma)
        masked = spotting_loss(logits[:1], targets[:1], valid[:1], weights, gamma, unannotated_BK=without_2[:1])
        assert float(masked.detach()) == pytest.approx(float(alone.detach()), rel=1e-6)


def test_mask_of_no_class_changes_no_bit_and_a_blended_target_at_a_masked_class_does_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 3, generator=generator, requires_grad=True)
    soft = torch.randn(2, 5, 3, generator=generator).softmax(-1)
    valid, weights = torch.ones(2, 5, dtype=torch.bool), torch.tensor([1.0, 5, 5])
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    plain = spotting_loss(logits, soft, valid, weights)
    masked = spotting_loss(logits, soft, valid, weights, unannotated_BK=nothing)
    assert torch.equal(plain, masked)
    assert torch.equal(*(torch.autograd.grad(loss, logits)[0] for loss in (plain, masked)))
    nothing[:, 2] = True
    of_two = spotting_loss(logits[..., :2], soft[..., :2], valid, weights[:2])
    loss = spotting_loss(logits, soft, valid, weights, unannotated_BK=nothing)
    assert loss.item() == pytest.approx(of_two.item())


def test_class_weights_follow_their_documented_example() -> None:
    assert class_weights((400, 100), 5, 0.5).tolist() == pytest.approx([1, 25 / 6, 25 / 3])


@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=17).filter(any),
    st.floats(0.1, 50),
    st.floats(0, 1),
)
def test_class_weights_average_to_fg_weight_over_all_events(
    counts: list[int], fg_weight: float, balance: float
) -> None:
    weights = class_weights(counts, fg_weight, balance)
    assert weights[0] == 1
    seen = [max(1, count) for count in counts]  # a class without events counts as one with a single one
    mean = sum(float(weight) * count for weight, count in zip(weights[1:], seen, strict=True)) / sum(seen)
    assert mean == pytest.approx(fg_weight, rel=1e-4)
    assert weights[1:].max() / weights[1:].min() <= 100 * (1 + 1e-4)
    order = sorted(range(len(counts)), key=lambda k: seen[k])
    assert all(weights[1 + rare] >= weights[1 + often] for rare, often in pairwise(order))


def test_offset_loss_is_the_mean_squared_distance_over_known_frames() -> None:
    offsets = torch.tensor([[1.0, 7.0, -2.0], [0.5, 0.0, 0.0]])
    targets = torch.tensor([[0.0, NAN, 1.0], [NAN, NAN, 0.0]])
    assert float(offset_loss(offsets, targets, torch.ones(2))) == pytest.approx((1 + 9 + 0) / 3)
    # A clip of weight 1/4 in a blend answers for a quarter of its error.
    assert float(offset_loss(offsets, targets, torch.tensor([0.25, 1.0]))) == pytest.approx(10 / 4 / 3)


def test_team_loss_is_the_mean_cross_entropy_over_known_frames() -> None:
    logits = torch.tensor([[0.0, math.log(3), 50.0]])
    targets = torch.tensor([[1.0, 0.0, NAN]])
    assert float(team_loss(logits, targets, torch.ones(1))) == pytest.approx((math.log(2) + math.log(4)) / 2)


@pytest.mark.parametrize(("ball", "cell"), [((0.3, 0.6), 18), ((0.0, 0.0), 0), ((0.999, 0.999), 31), ((1.0, 1.0), 31)])
def test_ball_loss_is_least_at_the_cell_of_the_ball(ball: tuple[float, float], cell: int) -> None:
    positions = torch.tensor([[ball]])
    losses = []
    for k in range(32):
        heat = torch.zeros(1, 1, 4, 8)  # rows, columns
        heat.view(-1)[k] = 5.0
        losses.append(float(ball_loss(heat, positions)))
    assert min(range(32), key=losses.__getitem__) == cell


def test_ball_loss_of_a_flat_map_is_the_log_of_the_number_of_cells_per_known_frame() -> None:
    heat = torch.zeros(1, 3, 4, 8, requires_grad=True)
    known_twice = torch.tensor([[[0.5, 0.5], [NAN, NAN], [0.1, 0.9]]])
    assert float(ball_loss(heat, known_twice).detach()) == pytest.approx(math.log(32))
    half_known = torch.tensor([[[0.5, NAN], [NAN, NAN], [NAN, 0.9]]])
    loss = ball_loss(heat, half_known)
    loss.backward()  # zero, and part of the graph all the same: other processes wait for its gradients
    assert float(loss.detach()) == 0
    assert heat.grad is not None and not heat.grad.any()


def test_normalizer_of_two_processes_gives_the_mean_over_the_whole_batch() -> None:
    """The mean of both processes' losses is the loss of one process that holds all clips."""
    offsets, targets = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, NAN], [0.0, 0.0]])

    def of_both(total: Tensor, minimum: float) -> Tensor:
        return torch.tensor(3.0).clamp_min(minimum) / 2  # three known frames in all, divided by two processes

    local = [float(offset_loss(offsets[k : k + 1], targets[k : k + 1], torch.ones(1), of_both)) for k in range(2)]
    assert sum(local) / 2 == pytest.approx(float(offset_loss(offsets, targets, torch.ones(2))))


def test_local_normalizer_is_never_below_its_minimum() -> None:
    assert float(local_normalizer(torch.tensor(0.0), 1)) == 1
    assert float(local_normalizer(torch.tensor(7.0), 1)) == 7


@given(st.integers(0, 30), st.integers(1, 200))
def test_lr_factor_is_positive_and_at_most_one_before_the_last_step(warm_up: int, rest: int) -> None:
    total = warm_up + rest
    factors = [lr_factor(step, warm_up, total) for step in range(total)]
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[warm_up] == 1
    assert factors[: warm_up + 1] == sorted(factors[: warm_up + 1])
    assert factors[warm_up:] == sorted(factors[warm_up:], reverse=True)

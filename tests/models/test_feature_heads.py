"""Heads on features have the published sizes and formulas, and a whole half at once equals window by window."""

import math

import pytest
import torch
from torch import Tensor, nn

from e2espot.core.errors import ConfigurationError
from e2espot.models.feature_heads.build import build_chunk_head, build_row_head
from e2espot.models.feature_heads.calf import CalfHead, chunk_starts, decode_rows
from e2espot.models.feature_heads.fused_vlad import DropoutTable
from e2espot.models.feature_heads.pooling import POOLS, NetVlad, PoolHead


def num_parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_heads_have_the_published_numbers_of_parameters() -> None:
    assert num_parameters(PoolHead("netvlad++", 2048, 30, 18)) == 1_704_466
    assert num_parameters(PoolHead("netvlad++", 512, 30, 18)) == 655_378
    assert num_parameters(PoolHead("max", 512, 40, 18)) == 9_234
    assert num_parameters(CalfHead(512, 240, 17)) == 578_245


@pytest.mark.parametrize("residual", [True, False])
def test_netvlad_equals_the_double_loop_of_its_formula(residual: bool) -> None:
    torch.manual_seed(0)
    pool = NetVlad(6, 3, residual=residual).double().requires_grad_(False)
    rows = torch.randn(2, 7, 6, dtype=torch.float64)
    for b in range(2):
        sums = torch.zeros(6, 3, dtype=torch.float64)
        for t in range(7):
            unit = rows[b, t] / math.sqrt(float((rows[b, t] ** 2).sum()))
            powers = [math.exp(float(unit @ pool.words_DK[:, k])) for k in range(3)]
            for k in range(3):
                centre = pool.centres_DK[:, k] if pool.centres_DK is not None else 0
                sums[:, k] += powers[k] / sum(powers) * (unit - centre)
        sums = sums / sums.norm(dim=0)
        flat = torch.stack([sums[d, k] for d in range(6) for k in range(3)])
        torch.testing.assert_close(pool(rows)[b], flat / flat.norm(), rtol=0, atol=1e-12)


def test_dropout_leaves_the_mean_as_it_is_and_differs_between_windows() -> None:
    torch.manual_seed(0)
    like, shape = torch.ones(1), torch.Size((50, 40, 100))
    first, second = (DropoutTable.draw(0.4, 50, 4000, like).of_windows(0, shape) for _ in range(2))
    assert sorted(set(first.flatten().tolist())) == [0, pytest.approx(1 / 0.6, rel=1e-4)]
    # Four values share a draw: each of them is as often zero, and independent of its neighbour.
    assert ((first == 0).reshape(-1, 4).float().mean(0) - 0.4).abs().max() < 0.02
    for other in (first.roll(1, 2), first.roll(1, 1), first.roll(1, 0), first.roll(7, 0), second):
        assert ((first == 0) & (other == 0)).float().mean().item() == pytest.approx(0.16, abs=0.02)


@pytest.mark.parametrize("pool", ["netvlad", "netvlad++", "netrvlad++"])
@pytest.mark.parametrize("dim", [20, 512])
def test_training_gives_the_logits_and_gradients_of_evaluation(
    pool: str, dim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits and gradients of training mode, without dropout, are those of the network as evaluation runs it."""
    torch.manual_seed(2)
    monkeypatch.setattr("e2espot.models.feature_heads.pooling._DROPOUT", 0.0)
    monkeypatch.setattr("e2espot.models.feature_heads.fused_vlad._WINDOWS_AT_A_TIME", 3)
    head = PoolHead(pool, dim, 7, 3).double()
    rows, factors = torch.rand(5, 7, dim, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    results = []
    for training in (True, False):
        logits = head.train(training)(rows)
        results.append([logits, *torch.autograd.grad(logits, list(head.parameters()), factors)])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-10)


def naive_scores(head: PoolHead, rows_ND: Tensor) -> Tensor:
    """Window by window, rows beyond the ends repeated."""
    half, last = head.window_len // 2, len(rows_ND) - 1
    windows = [rows_ND[[min(max(i - half + t, 0), last) for t in range(head.window_len)]] for i in range(len(rows_ND))]
    return torch.cat([head(window[None]) for window in windows]).sigmoid()[:, 1:]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(("dim", "window_len"), [(20, 30), (512, 9)])
def test_a_half_at_once_equals_window_by_window(pool: str, dim: int, window_len: int) -> None:
    torch.manual_seed(1)
    head = PoolHead(pool, dim, window_len, 4).eval()
    with torch.inference_mode():
        for weight in head.parameters():
            weight.mul_(3)  # decided shares, large logits
        for num_rows in (3, 70):
            rows = torch.randn(num_rows, dim).relu()
            torch.testing.assert_close(head.match_scores(rows), naive_scores(head, rows), rtol=0, atol=1e-5)


def test_blocks_of_a_long_half_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    head = PoolHead("netvlad++", 8, 6, 3).eval()
    rows = torch.randn(50, 8)
    with torch.inference_mode():
        whole = head.match_scores(rows)
        monkeypatch.setattr("e2espot.models.feature_heads.pooling._BLOCK_ROWS", 7)
        torch.testing.assert_close(head.match_scores(rows), whole, rtol=0, atol=1e-6)


def test_netvlad_of_windows_that_are_all_zero_is_finite() -> None:
    head = PoolHead("netrvlad++", 16, 6, 3).eval()
    with torch.inference_mode():
        zeros = torch.zeros(20, 16)
        assert torch.isfinite(head.match_scores(zeros)).all()
        torch.testing.assert_close(head.match_scores(zeros), naive_scores(head, zeros), rtol=0, atol=1e-5)


def test_calf_gives_slots_and_a_segmentation_within_bounds() -> None:
    torch.manual_seed(0)
    outputs = CalfHead(20, 240, 3).eval()(torch.randn(2, 240, 20))
    assert outputs.segmentation_BTC.shape == (2, 240, 3)
    assert outputs.slots_BSX.shape == (2, 15, 5)
    assert 0 <= outputs.segmentation_BTC.min().item() <= outputs.segmentation_BTC.max().item() <= 1
    torch.testing.assert_close(outputs.slots_BSX[..., 2:].sum(-1), torch.ones(2, 15))


def test_calf_decodes_times_by_a_row_less_than_targets_are_divided_by() -> None:
    assert decode_rows(torch.tensor([0.0, 120 / 240, 239 / 240, 1.0]), 240).tolist() == [0, 119, 238, 239]
    assert chunk_starts(600, 240, 160) == [0, 160, 320, 360]
    assert chunk_starts(100, 240, 160) == [0]


class FixedSlots(CalfHead):
    """Gives the same detection in every chunk."""

    def __init__(self, time: float) -> None:
        super().__init__(2, 24, 2)
        self.time = time

    def forward(self, rows_BTD: Tensor) -> object:  # type: ignore[override]
        slots = torch.zeros(len(rows_BTD), 15, 4)
        slots[:, 0] = torch.tensor([0.7, self.time, 0.2, 0.8])
        return type("Outputs", (), {"slots_BSX": slots})()


def test_calf_takes_detections_from_the_middle_of_chunks() -> None:
    # Chunks of 24 rows begin at 0, 16 and 32 of 56; the middle is rows 4 to 19, and to the end at both ends.
    def rows_of(time: float, count: int = 56) -> list[int]:
        scores = FixedSlots(time).match_scores(torch.zeros(count, 2))
        assert scores[:, 0].max() == 0  # slots are of class 1, background rows of slots of confidence 0
        return torch.nonzero(scores[:, 1]).flatten().tolist()

    assert rows_of(12.5 / 23) == [12, 28, 44]
    assert rows_of(1.5 / 23) == [1]
    assert rows_of(22.5 / 23) == [54]
    assert rows_of(12.5 / 23, 20) == [12]  # a half shorter than a chunk
    assert rows_of(22.5 / 23, 20) == []


@pytest.mark.parametrize("name", ["rows_gru", "rows_transformer", "gru", ""])
def test_row_heads_answer_for_every_row(name: str) -> None:
    head = build_row_head(name, 12, 5)
    assert head(torch.randn(2, 9, 12)).shape == (2, 9, 5)


def test_unknown_heads_and_short_chunks_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"choose from 'max'.*'rows_gru'"):
        build_row_head("lstm", 12, 5)
    with pytest.raises(ConfigurationError, match="at least 24"):
        build_chunk_head("calf", 12, 10, 2)

"""A look-ahead cuts the right context of the head, frame by frame, and nothing else."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from e2espot.core.errors import ConfigurationError
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import score_frames
from e2espot.inference.score_stream import ScoreStream
from e2espot.inference.streaming_head import CutWindowHead, WholeWindowHead, window_starts, window_weights
from e2espot.models import Spotter, SpotterSpec

CLIP_LEN = 12


def spotter_of(temporal_arch: str = "gru", **fields: bool) -> Spotter:
    torch.manual_seed(0)
    spec = SpotterSpec(
        feature_arch="small_gsm", temporal_arch=temporal_arch, classes=("PASS", "DRIVE"), clip_len=CLIP_LEN
    )
    spotter = Spotter(dataclasses.replace(spec, **fields)).eval()  # type: ignore[arg-type]
    if spotter.displacement is not None:
        spotter.displacement.weight.data *= 40  # so that scores move by some frames
    return spotter


def features(num_frames: int) -> torch.Tensor:
    return torch.randn(num_frames, 128, generator=torch.Generator().manual_seed(num_frames))


def rows_of(head: CutWindowHead | WholeWindowHead, features_TD: torch.Tensor, piece_len: int) -> list[np.ndarray]:
    return [*(head.add(piece) for piece in features_TD.split(piece_len)), head.finish()]


def by_definition(spotter: Spotter, features_TD: torch.Tensor, look_ahead: int) -> np.ndarray:
    """Every window cut ``look_ahead`` frames after the frame in question, by the whole head."""
    num_frames, factor = len(features_TD), spotter.grid_factor
    rows = []
    for frame in range(num_frames):
        if frame + look_ahead < num_frames:
            clip_len = CLIP_LEN
            starts = [start for start in range(0, frame + 1, CLIP_LEN // 2) if frame < start + CLIP_LEN]
        else:
            clip_len = min(CLIP_LEN, num_frames)
            starts = [start for start in window_starts(num_frames, clip_len) if start <= frame < start + clip_len]
        total = weights = 0.0
        for start in starts:
            cut = features_TD[None, start : min(start + clip_len, frame + look_ahead + 1)]
            weight, local = window_weights(clip_len)[frame - start], factor * (frame - start)
            total = total + weight * spotter.scores(cut)[0, local : local + factor].numpy()
            weights += weight
        rows.append(total / weights)
    return np.concatenate(rows)


HEADS = [
    ("gru", {}),
    ("gru", {"team": True}),
    ("deeper_gru", {}),
    ("", {}),
    ("gru", {"displacement": True}),
    ("deeper_gru", {"displacement": True}),
    ("", {"displacement": True}),
    ("gru", {"double_rate_output": True, "team": True}),
    ("", {"double_rate_output": True}),
    ("gru", {"displacement": True, "double_rate_output": True}),
]


@pytest.mark.parametrize(("temporal_arch", "fields"), HEADS, ids=str)
@torch.inference_mode()
def test_scores_with_a_look_ahead_are_those_of_windows_cut_after_each_frame(
    temporal_arch: str, fields: dict[str, bool]
) -> None:
    spotter = spotter_of(temporal_arch, **fields)
    for look_ahead, num_frames in itertools.product((0, 1, 5, 11), (3, 27)):
        expected = by_definition(spotter, features(num_frames), look_ahead)
        for piece_len in (4, 100):
            rows = np.concatenate(rows_of(CutWindowHead(spotter, look_ahead), features(num_frames), piece_len))
            np.testing.assert_allclose(rows, expected, atol=1e-6)


@pytest.mark.parametrize("fields", [{"displacement": True}, {"double_rate_output": True}], ids=str)
@torch.inference_mode()
def test_scores_move_between_frames_and_not_beyond_the_look_ahead(fields: dict[str, bool]) -> None:
    spotter = spotter_of(**fields)
    whole = np.concatenate(rows_of(WholeWindowHead(spotter), features(40), 7))
    cut = [np.concatenate(rows_of(CutWindowHead(spotter, length), features(40), 7)) for length in (3, CLIP_LEN)]
    assert cut[0].shape == whole.shape == (40 * spotter.grid_factor, 2)
    assert abs(cut[0] - whole).max() > 1e-3
    np.testing.assert_allclose(cut[1], whole, atol=1e-6)
    # What follows the look-ahead changes nothing.
    head, other = CutWindowHead(spotter, 3), torch.cat((features(40)[:23], features(17)))
    first = head.add(features(40)[:23])
    assert len(first) == 20 * spotter.grid_factor
    assert np.array_equal(CutWindowHead(spotter, 3).add(other)[: len(first)].round(5), first.round(5))


@pytest.mark.parametrize("num_frames", [0, 1, 11, 12, 13, 17, 18, 19, 40])
@torch.inference_mode()
def test_a_look_ahead_of_a_window_cuts_nothing(num_frames: int) -> None:
    spotter = spotter_of()
    whole = np.concatenate(rows_of(WholeWindowHead(spotter), features(num_frames), 5))
    cut = np.concatenate(rows_of(CutWindowHead(spotter, CLIP_LEN), features(num_frames), 5))
    assert whole.shape == (num_frames, 2)
    np.testing.assert_allclose(cut, whole, atol=1e-6)


@torch.inference_mode()
def test_rows_are_final_as_soon_as_the_look_ahead_is_known() -> None:
    head = CutWindowHead(spotter_of(), 3)
    assert [len(rows) for rows in rows_of(head, features(20), 1)] == [0, 0, 0, *[1] * 17, 3]
    whole = WholeWindowHead(spotter_of())
    counts = np.cumsum([len(rows) for rows in rows_of(whole, features(60), 1)])
    known = np.arange(1, 61)
    assert (known - counts[:-1] <= CLIP_LEN + CLIP_LEN // 2).all() and counts[-1] == 60


@torch.inference_mode()
def test_heads_hold_two_windows_of_features_however_long_the_stream() -> None:
    for head in (CutWindowHead(spotter_of(), 3), WholeWindowHead(spotter_of())):
        for piece in features(400).split(4):
            head.add(piece)
            assert head.num_held <= 2 * CLIP_LEN + 4


def test_infer_takes_the_look_ahead_in_seconds() -> None:
    spotter = spotter_of()
    frames = torch.randint(0, 256, (30, 32, 48, 3), dtype=torch.uint8)
    options = InferenceOptions(precision="fp32", piece_len=4)
    whole = score_frames(spotter, [frames], 30, options)
    cut = score_frames(spotter, [frames], 30, dataclasses.replace(options, look_ahead=0.12))
    assert np.array_equal(score_frames(spotter, [frames], 30, dataclasses.replace(options, look_ahead=9.0)), whole)
    assert abs(cut - whole).max() > 1e-3
    # Frames that arrive one by one give the same, 7 frames of the backbone and 3 of the head later.
    stream = ScoreStream(spotter, dataclasses.replace(options, look_ahead=0.12))
    with torch.inference_mode():
        rows = [stream.add(frame) for frame in frames.split(1)]
        assert [len(part) for part in rows] == [0] * 10 + [1] * 20
        np.testing.assert_allclose(np.concatenate([*rows, stream.finish()]), cut, atol=1e-5)


def test_weights_may_set_a_look_ahead_that_the_option_overrides() -> None:
    spotter = spotter_of()
    frames = torch.randint(0, 256, (30, 32, 48, 3), dtype=torch.uint8)
    options = InferenceOptions(precision="fp32", piece_len=4)
    whole = score_frames(spotter, [frames], 30, options)
    cut, shorter = (score_frames(spotter, [frames], 30, dataclasses.replace(options, look_ahead=s)) for s in (0.12, 0))
    spotter.spec = dataclasses.replace(spotter.spec, look_ahead_s=0.12)
    for look_ahead, expected in ((None, cut), (0.0, shorter), (float("inf"), whole)):
        scores = score_frames(spotter, [frames], 30, dataclasses.replace(options, look_ahead=look_ahead))
        assert np.array_equal(scores, expected)


def test_a_negative_look_ahead_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="look_ahead"):
        InferenceOptions(look_ahead=-1.0).look_ahead_frames(spotter_of().fps)

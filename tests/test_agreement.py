"""The fast road and the plain one give the same scores, the same events and the same mAP.

Fast: frames piece by piece, folded and fused layers, the number format of the machine. Plain: fp32, the whole
match through ``Spotter.features`` at once, then one window after the other. On matches rendered here, spotted by
the shipped start.
"""

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.core.events import Event
from e2espot.formats.games import find_games
from e2espot.formats.soccernet import read_labels
from e2espot.inference.predict import spot_video, window_starts
from e2espot.models import Spotter, load_spotter, normalise
from e2espot.scoring import evaluate_events
from e2espot.suppression.nms import suppress
from e2espot.synthetic.match import render_dataset
from e2espot.training.setup import SHIPPED_TRUNK
from e2espot.video import stream_frames

pytest.importorskip("cv2", reason="rendering needs OpenCV")


def plain_scores(spotter: Spotter, video: Path) -> np.ndarray:
    """What the definition says, with nothing done for speed."""
    spec, halo = spotter.spec, spotter.halo
    frames = np.concatenate(
        [chunk.frames_THWC for chunk in stream_frames(video, fps=spotter.fps, size=(spec.width, spec.height))]
    )
    pixels = torch.nn.functional.pad(normalise(torch.from_numpy(frames)), (0, 0, 0, 0, 0, 0, halo, halo))
    with torch.inference_mode():
        features = spotter.features(pixels[None]).features_BTD[:, halo : halo + len(frames)]
        length = min(spec.clip_len, len(frames))
        sums, totals = np.zeros((len(frames), len(spotter.label_set))), np.zeros((len(frames), 1))
        for start in window_starts(len(frames), length):
            logits = spotter.logits(features[:, start : start + length])[0]
            weight = [[min(k + 1, length - k)] for k in range(length)]
            sums[start : start + length] += logits.softmax(1)[:, 1:].numpy() * weight
            totals[start : start + length] += weight
    return (sums / totals).astype(np.float32)


@pytest.mark.slow
def test_fast_and_plain_road_agree(tmp_path: Path) -> None:
    render_dataset(tmp_path, games=5, minutes=0.5, seed=70, density=2.0)
    spotter = load_spotter(SHIPPED_TRUNK)
    labels: dict[str, list[Event]] = {}
    found: dict[str, dict[str, list[Event]]] = {"fast": {}, "plain": {}}
    for game in find_games(tmp_path):
        assert game.labels_path is not None
        labels[game.name] = read_labels(game.labels_path, spotter.label_set, fps=Fraction(spotter.fps)).events
        video = game.videos[0].path
        fast = spot_video(spotter, video)
        plain = dataclasses.replace(fast, scores_TK=plain_scores(spotter, video))
        assert fast.scores_TK.shape == plain.scores_TK.shape
        assert np.abs(fast.scores_TK - plain.scores_TK).max() < 0.02
        for road, scores in (("fast", fast), ("plain", plain)):
            found[road][game.name] = suppress(scores)
        for one, other in (("fast", "plain"), ("plain", "fast")):
            assert_partners(found[one][game.name], found[other][game.name])
    maps = [
        evaluate_events(labels, found[road], spotter.label_set, ("at1",), Fraction(spotter.fps)).mAP("at1")
        for road in found
    ]
    assert maps[0] > 0.5, "a spotter that finds nothing agrees with everything"
    assert abs(maps[0] - maps[1]) <= 0.002


def assert_partners(events: list[Event], others: list[Event]) -> None:
    for event in events:
        if event.confidence >= 0.2:
            near = [other for other in others if other.label == event.label and abs(other.frame - event.frame) <= 1]
            assert near, f"{event} has no partner"

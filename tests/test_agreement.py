"""The streaming implementation and a reference implementation give the same scores, events and mAP.

Streaming: frames in chunks, folded and fused layers, the precision of the machine. Reference: fp32, the whole match
through ``Spotter.features`` at once, then one window after the other. Both run the shipped spotter on rendered matches.
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
from e2espot.models.weights.checkpoint import shipped_spotter
from e2espot.scoring import evaluate_events
from e2espot.suppression.nms import suppress
from e2espot.synthetic.match import render_dataset
from e2espot.video import stream_frames

pytest.importorskip("cv2", reason="rendering needs OpenCV")


def reference_scores(spotter: Spotter, video: Path) -> np.ndarray:
    """Scores by definition, without any optimisation."""
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
def test_streaming_and_reference_inference_agree(tmp_path: Path) -> None:
    render_dataset(tmp_path, games=5, minutes=0.5, seed=70, density=2.0)
    spotter = load_spotter(shipped_spotter())
    labels: dict[str, list[Event]] = {}
    events: dict[str, dict[str, list[Event]]] = {"streaming": {}, "reference": {}}
    for game in find_games(tmp_path):
        assert game.labels_path is not None
        labels[game.name] = read_labels(game.labels_path, spotter.label_set, fps=Fraction(spotter.fps)).events
        video = game.videos[0].path
        streaming = spot_video(spotter, video)
        reference = dataclasses.replace(streaming, scores_TK=reference_scores(spotter, video))
        assert streaming.scores_TK.shape == reference.scores_TK.shape
        assert np.abs(streaming.scores_TK - reference.scores_TK).max() < 0.02
        for name, scores in (("streaming", streaming), ("reference", reference)):
            events[name][game.name] = suppress(scores)
        for one, other in (("streaming", "reference"), ("reference", "streaming")):
            assert_partners(events[one][game.name], events[other][game.name])
    maps = [
        evaluate_events(labels, predictions, spotter.label_set, ("at1",), Fraction(spotter.fps)).mAP("at1")
        for predictions in events.values()
    ]
    assert maps[0] > 0.5, "two empty results would agree too"
    assert abs(maps[0] - maps[1]) <= 0.002


def assert_partners(events: list[Event], others: list[Event]) -> None:
    for event in events:
        if event.confidence >= 0.2:
            near = [other for other in others if other.label == event.label and abs(other.frame - event.frame) <= 1]
            assert near, f"{event} has no partner"

"""The streaming implementation and a reference implementation give the same scores, events and mAP.

Streaming: frames in chunks, folded and fused layers, the precision of the machine, at each instruction set that it
has. Reference: fp32, the whole match through ``Spotter.features`` at once, then one window after the other. Both run
the shipped spotter on rendered matches; ``tests.support.agreement`` defines what counts as agreement.
"""

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from e2espot.core.events import Event
from e2espot.core.scores import Scores
from e2espot.formats.games import find_games
from e2espot.formats.soccernet import read_labels
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import spot_video
from e2espot.inference.streaming_head import window_starts
from e2espot.models import Spotter, load_spotter, normalise
from e2espot.models.streaming.native_layers import NativeGateShift, NativeMotion
from e2espot.models.streaming.temporal_cache import FrameCache
from e2espot.models.weights.checkpoint import shipped_spotter
from e2espot.scoring import evaluate_events
from e2espot.suppression.nms import Suppression, suppress
from e2espot.synthetic.dataset import render_dataset
from e2espot.synthetic.specs import DatasetSpec
from e2espot.video import stream_frames
from tests.support.agreement import compare
from tests.support.budget import LONG, sized
from tests.support.vp9_copies import vp9_copy

pytest.importorskip("cv2", reason="rendering needs OpenCV")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Rendered matches and the scores that reference inference gives them."""

    folder: Path
    spotter: Spotter
    labels: dict[str, list[Event]]
    videos: dict[str, Path]
    reference: dict[str, Scores]


@dataclass(frozen=True, kw_only=True)
class InstructionSet:
    """What oneDNN and torch may use of the CPU."""

    supported: Callable[[], bool]
    environment: dict[str, str]
    absent: str
    """Pattern that oneDNN's own report of the instruction set must not match."""
    dtype: torch.dtype | None
    """Number format that must be chosen; None for any."""


def _torch_finds(name: str) -> Callable[[], bool]:
    return lambda: bool(getattr(torch.cpu, name, bool)())


INSTRUCTION_SETS = {
    "default": InstructionSet(supported=lambda: True, environment={}, absent="^$", dtype=None),
    "AVX512_CORE_BF16": InstructionSet(
        supported=_torch_finds("_is_avx512_bf16_supported"),
        environment={"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
        absent="AMX|AVX10",
        dtype=torch.bfloat16,
    ),
    "AVX2": InstructionSet(
        supported=_torch_finds("_is_avx2_supported"),
        environment={"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
        absent="AMX|AVX10|AVX-512",
        dtype=torch.float32,
    ),
}


@pytest.fixture(scope="module")
def matches(tmp_path_factory: pytest.TempPathFactory) -> Matches:
    folder = tmp_path_factory.mktemp("matches")
    sample = DatasetSpec(games=2, minutes=0.3, seed=72, density=3.0)
    whole = DatasetSpec(games=5, minutes=0.5, seed=70, density=2.0)
    render_dataset(folder, whole if LONG else sample, jobs=1)
    spotter = load_spotter(shipped_spotter())
    games = find_games(folder)
    labels = {}
    for game in games:
        assert game.labels_path is not None
        labels[game.name] = read_labels(game.labels_path, spotter.label_set, fps=Fraction(spotter.fps)).events
    videos = {game.name: game.videos[0].path for game in games}
    reference = {name: reference_scores(spotter, video) for name, video in videos.items()}
    return Matches(folder=folder, spotter=spotter, labels=labels, videos=videos, reference=reference)


def reference_scores(spotter: Spotter, video: Path) -> Scores:
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
    scores_TK = (sums / totals).astype(np.float32)
    return Scores(scores_TK=scores_TK, label_set=spotter.label_set, fps=spotter.fps, path=video)


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_streaming_and_reference_inference_agree(matches: Matches, name: str, tmp_path: Path) -> None:
    instruction_set = INSTRUCTION_SETS[name]
    if not instruction_set.supported():
        pytest.skip(f"this CPU has no {name}")
    if name == "AVX2" and not _torch_finds("_is_avx512_supported")():
        pytest.skip("AVX2 is the most that this CPU has, so it is what the default measures")
    scores = spotted_in_a_process(matches.folder, tmp_path / "scores.npz", instruction_set)
    events: dict[str, dict[str, list[Event]]] = {"streaming": {}, "reference": {}}
    near_ties, num_events = 0, 0
    for game, reference in matches.reference.items():
        streaming = dataclasses.replace(reference, scores_TK=scores[game])
        events["streaming"][game], events["reference"][game] = suppress(streaming), suppress(reference)
        comparison = compare(streaming, reference, events["streaming"][game], events["reference"][game])
        assert not comparison.faults, game
        near_ties, num_events = near_ties + len(comparison.near_ties), num_events + comparison.num_events
    assert num_events > sized(60, 100) and near_ties <= 0.02 * num_events, "near ties are exceptions"
    streaming_map, reference_map = (
        evaluate_events(matches.labels, side, matches.spotter.label_set, ("at1",), matches.spotter.fps).mAP("at1")
        for side in events.values()
    )
    assert streaming_map > 0.5, "two empty results would agree too"
    assert abs(streaming_map - reference_map) <= 0.002


def spotted_in_a_process(folder: Path, file: Path, instruction_set: InstructionSet) -> dict[str, np.ndarray]:
    """``scores_TK`` by name of match, from a process limited to an instruction set."""
    limits = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY") if instruction_set.environment else ()
    environment = {name: value for name, value in os.environ.items() if name not in limits}
    worker = subprocess.run(
        [sys.executable, "-m", "tests.support.spotting_worker", str(folder), str(file)],
        cwd=ROOT,
        env=environment | instruction_set.environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    cpu = re.findall("isa:(.*)", worker.stdout)
    assert not any(re.search(instruction_set.absent, line) for line in cpu), (
        f"not limited to its instruction set: {cpu}"
    )
    dtype = instruction_set.dtype
    assert dtype is None or f"computing in {dtype}" in worker.stdout, worker.stdout
    with np.load(file) as arrays:
        return dict(arrays)


def without_cached_frames(patch: pytest.MonkeyPatch) -> None:
    """Replace the frames cached from the previous piece by zeros."""
    original = FrameCache.prepend

    def prepend(self: FrameCache, x_TCHW: torch.Tensor, channels: int | None = None) -> torch.Tensor:
        frames = original(self, x_TCHW, channels).clone()
        frames[: len(frames) - len(x_TCHW)] = 0
        return frames

    patch.setattr(FrameCache, "prepend", prepend)
    for layer in (NativeGateShift, NativeMotion):  # compiled layers take the cached frames as a part of their own
        call = layer.__call__

        def with_zeros(self: Any, parts: list[torch.Tensor], call: Any = call) -> torch.Tensor:
            return call(self, [*(torch.zeros_like(part) for part in parts[:-1]), parts[-1]])

        patch.setattr(layer, "__call__", with_zeros)


def test_frames_lost_between_pieces_are_reported(matches: Matches, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault at the borders only, in pieces so long that a match has few of them."""
    without_cached_frames(monkeypatch)
    name, video = next(iter(matches.videos.items()))
    options = InferenceOptions(precision="fp32", piece_len=128, chunk_len=128, adapt="none")
    streaming = spot_video(matches.spotter, video, options)
    reference = matches.reference[name]
    assert compare(streaming, reference, suppress(streaming), suppress(reference)).faults


def test_readers_agree_on_a_match(matches: Matches, tmp_path: Path) -> None:
    """On a VP9 copy, which DALI's CPU backend reads as well."""
    path = vp9_copy(next(iter(matches.videos.values())), tmp_path / "copy.mkv", 375)
    scores = {
        reader: spot_video(matches.spotter, path, InferenceOptions(reader=reader, precision="fp32", adapt="none"))
        for reader in ("pyav", "decord", "dali")
    }
    for reader in ("decord", "dali"):
        comparison = compare(scores[reader], scores["pyav"], suppress(scores[reader]), suppress(scores["pyav"]))
        assert not comparison.faults, reader


def test_wrong_scores_and_events_of_a_match_are_reported(matches: Matches) -> None:
    reference = next(iter(matches.reference.values()))
    events = suppress(reference)

    def faults(scores_TK: np.ndarray) -> tuple[str, ...]:
        other = dataclasses.replace(reference, scores_TK=np.ascontiguousarray(scores_TK))
        return compare(other, reference, suppress(other), events).faults

    assert not faults(reference.scores_TK)
    assert faults(np.roll(reference.scores_TK, 2, axis=0)), "two frames late"
    assert faults(reference.scores_TK[:, ::-1]), "classes in another order"
    for event in events:
        if event.confidence >= 0.2:
            remaining = [other for other in events if other is not event]
            assert compare(reference, reference, remaining, events).faults, f"without {event}"
    for window_s in (0.72, 0.88):
        other = suppress(reference, Suppression(window_s=window_s))
        assert compare(reference, reference, other, events).faults, f"a window of {window_s} s"

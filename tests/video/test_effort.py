"""What reading costs, in pictures decoded and bytes carried: counts that no noisy machine can change."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.clips.dataset import ClipDataset, TrainingVideo, load_clips
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from e2espot.video import index_of, open_reader, stream_frames
from e2espot.video.pyav_reader import PyavPictures
from e2espot.video.stream_copy import decoded_per_used
from tests.support.numbered_video import HEIGHT, WIDTH, constant, write

COUNT = 300


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    video = constant(Fraction(25), COUNT, options={"g": "50", "bf": "2", "x264-params": "scenecut=0"})
    path = write(tmp_path_factory.mktemp("effort") / "video", video)
    index_of(path)  # which tries the last stretch, once
    return path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Packets fed to the decoder, one entry each."""
    fed: list[int] = []
    feed = PyavPictures._feed

    def counted(self: PyavPictures) -> None:
        fed.append(self._fed)
        feed(self)

    monkeypatch.setattr(PyavPictures, "_feed", counted)
    return fed


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(25, 2), Fraction(50)])
def test_in_order_every_picture_is_decoded_once(path: Path, decoded: list[int], fps: Fraction) -> None:
    for _ in stream_frames(path, fps=fps, in_process=True):
        pass
    assert len(set(decoded)) == len(decoded)
    assert len(decoded) <= COUNT + 1  # the last one flushes the decoder


def test_a_random_clip_decodes_from_the_start_before_it_and_no_farther(path: Path, decoded: list[int]) -> None:
    rng, length, clips = np.random.default_rng(0), 40, 30
    with open_reader(path) as reader:
        for start in rng.integers(0, COUNT - length, clips).tolist():
            reader.read(range(start, start + length))
    ideal = decoded_per_used(index_of(path), length)
    assert ideal < 2
    assert len(decoded) / (clips * length) < ideal + 0.15  # a few packets more until the last picture comes out


def test_a_clip_read_on_from_the_last_decodes_nothing_twice(path: Path, decoded: list[int]) -> None:
    with open_reader(path) as reader:
        for start in range(0, COUNT, 20):
            reader.read(range(start, start + 20))
    assert len(set(decoded)) == len(decoded)


def test_workers_hand_over_bytes_and_nothing_wider(path: Path) -> None:
    labelled = LabelledVideo(num_frames=COUNT, event_frames=(20, 200), event_targets=(1, 2))
    sampler = ClipSampler(videos=[labelled], clip_len=16, num_clips=8)
    data = ClipDataset(
        [TrainingVideo(path=path, labelled=labelled)], sampler, fps="25", size=(WIDTH, HEIGHT), dilate_len=1
    )
    batch = next(load_clips(data, epoch=0, batch_size=4, num_workers=0))
    pixels = batch.frames_BTHWC
    assert pixels.nbytes == 4 * 16 * WIDTH * HEIGHT * 3
    others = sum(tensor.nbytes for tensor in (batch.targets_BT, batch.valid_BT, batch.ball_BT2))
    assert others < pixels.nbytes / 1000

"""Cost of reading in pictures decoded and bytes passed on: counts, which do not depend on the machine's load."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.clips.dataset import ClipDataset, TrainingVideo, load_clips
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from e2espot.video import index_of, open_reader, require_readable, stream_frames
from e2espot.video.stream_copy import decode_overhead
from tests.support.numbered_video import HEIGHT, WIDTH, constant, write

COUNT = 300


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    video = constant(Fraction(25), COUNT, options={"g": "50", "bf": "2", "x264-params": "scenecut=0"})
    path = write(tmp_path_factory.mktemp("effort") / "video", video)
    require_readable(index_of(path))  # decodes the end of the file, once
    return path


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(25, 2), Fraction(50)])
def test_stream_frames_decodes_every_packet_once(path: Path, decoded: list[int], fps: Fraction) -> None:
    for _ in stream_frames(path, fps=fps, in_process=True):
        pass
    assert len(set(decoded)) == len(decoded)
    assert len(decoded) <= COUNT + 1  # the last one flushes the decoder


def test_reader_decodes_a_random_clip_from_its_keyframe_to_its_end(path: Path, decoded: list[int]) -> None:
    rng, length, clips = np.random.default_rng(0), 40, 30
    with open_reader(path) as reader:
        for start in rng.integers(0, COUNT - length, clips).tolist():
            reader.read(range(start, start + length))
    ideal = decode_overhead(index_of(path), length)
    assert ideal < 2
    assert len(decoded) / (clips * length) < ideal + 0.15  # decoders output a picture a few packets late


def test_reader_decodes_nothing_twice_when_clips_follow_each_other(path: Path, decoded: list[int]) -> None:
    with open_reader(path) as reader:
        for start in range(0, COUNT, 20):
            reader.read(range(start, start + 20))
    assert len(set(decoded)) == len(decoded)


def test_load_clips_passes_pixels_as_uint8(path: Path) -> None:
    labelled = LabelledVideo(num_frames=COUNT, event_frames=(20, 200), event_targets=(1, 2))
    sampler = ClipSampler(videos=[labelled], clip_len=16, num_clips=8)
    data = ClipDataset(
        [TrainingVideo(path=path, labelled=labelled)], sampler, fps=Fraction(25), size=(WIDTH, HEIGHT), label_radius=1
    )
    batch = next(load_clips(data, epoch=0, batch_size=4, num_workers=0))
    pixels = batch.frames_BTHWC
    assert pixels.nbytes == 4 * 16 * WIDTH * HEIGHT * 3
    others = sum(tensor.nbytes for tensor in vars(batch.targets).values())
    assert others < pixels.nbytes / 1000

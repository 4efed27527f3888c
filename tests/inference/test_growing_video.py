"""A recording that is still being written: a job reads one state of it and logs it."""

from fractions import Fraction
from pathlib import Path

import pytest

from e2espot.core.errors import VideoError
from e2espot.inference.job import load_job, predict_video, single_video
from e2espot.inference.options import InferenceOptions
from e2espot.sources.remote import default_cache
from e2espot.video import index_of, probe, stream_frames
from e2espot.video.indexing import one_index
from tests.support.numbered_video import constant, numbers_in, write
from tests.support.tiny_dataset import write_spotter


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    video = constant(Fraction(25), 250, suffix=".ts", options={"g": "25", "bf": "0"})
    return write(tmp_path_factory.mktemp("whole") / "whole", video).read_bytes()


def part(recording: bytes, share: float) -> bytes:
    """The beginning of the recording, in whole packets of a transport stream."""
    return recording[: int(len(recording) * share) // 188 * 188]


def test_ensemble_reads_one_state_of_a_growing_recording(
    recording: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, weights = tmp_path / "live.ts", write_spotter(tmp_path / "run.safetensors")
    path.write_bytes(part(recording, 0.6))
    options = InferenceOptions(allow_truncated=True)
    num_frames = probe(path, Fraction(25, 2), allow_truncated=True).num_frames
    job = load_job([weights, weights], device="cpu", options=options, cache=default_cache(), keep_scores=True)

    def record_more(done: int, total: int) -> None:
        assert done <= total
        path.write_bytes(part(recording, 0.8))

    scores = predict_video(job, single_video(path), record_more).scores
    assert scores is not None
    assert len(scores.scores_TK) == num_frames * job.spotters[0].grid_factor
    assert f"{path}: changed while it was read" in caplog.text
    assert caplog.text.count("changed while it was read") == 1


def test_one_index_reads_up_to_where_the_recording_was(recording: bytes, tmp_path: Path) -> None:
    path = tmp_path / "live.ts"
    path.write_bytes(part(recording, 0.5))
    with one_index(path, allow_truncated=True) as index:
        path.write_bytes(recording)
        numbers = [n for chunk in stream_frames(path, allow_truncated=True) for n in numbers_in(chunk.frames_THWC)]
        assert numbers == list(range(index.num_pictures))
    assert index_of(path, allow_truncated=True).num_pictures == 250


def test_refusal_of_a_truncated_file_mentions_that_it_may_still_be_written(tmp_path: Path) -> None:
    path = write(tmp_path / "live", constant(Fraction(25), 200, suffix=".mkv", options={"g": "50", "bf": "0"}))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match="wait if it is still being written"):
        probe(path)

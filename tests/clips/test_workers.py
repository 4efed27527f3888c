"""A problem in a worker process reaches the caller as one error of one line that names the video."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.clips import workers as module
from e2espot.clips.dataset import ClipDataset, ClipSample, TrainingVideo, load_clips
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from e2espot.clips.targets import clip_targets
from e2espot.core.errors import VideoError


class Crashing(ClipDataset):
    """Its process dies, as decoders may."""

    def __getitem__(self, key: tuple[int, int]) -> ClipSample:
        os._exit(9)


class Failing(ClipDataset):
    """Raises an error of a library."""

    def __getitem__(self, key: tuple[int, int]) -> ClipSample:
        raise RuntimeError("DataLoader timed out")  # the words of torch's own errors


class Asking(ClipDataset):
    """Asks whether the process that its own was forked from has loaded torch."""

    def __getitem__(self, key: tuple[int, int]) -> ClipSample:
        maps = Path(f"/proc/{os.getppid()}/maps").read_text()
        raise VideoError("torch is there" if "libtorch" in maps else "without torch")


class Slow(ClipDataset):
    """Takes longer than the loader polls."""

    def __getitem__(self, key: tuple[int, int]) -> ClipSample:
        time.sleep(0.8)
        targets = clip_targets(self.sampler.clip(*key), self.videos[0].labelled, label_radius=1)
        return ClipSample(frames=np.zeros((8, 64, 96, 3), np.uint8), targets=targets, epoch=key[0], index=key[1])


def dataset(kind: type[ClipDataset], path: Path) -> ClipDataset:
    labelled = LabelledVideo(num_frames=50, event_frames=(20,), event_targets=(1,))
    sampler = ClipSampler(videos=[labelled], clip_len=8, num_clips=2)
    return kind([TrainingVideo(path=path, labelled=labelled)], sampler, fps=Fraction(25), size=(96, 64), label_radius=1)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(ClipDataset, "is empty"), (Crashing, "died or hung"), (Failing, r"failed \(DataLoader timed out\)")],
)
def test_worker_error_is_one_line_that_names_the_file(
    kind: type[ClipDataset], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL_S", 0.3)
    monkeypatch.setattr(module, "_MAX_POLLS", 1000)
    path, others = tmp_path / "bad.mp4", set(multiprocessing.active_children())
    path.touch()
    with pytest.raises(VideoError, match=words) as caught:
        next(load_clips(dataset(kind, path), epoch=0, batch_size=2, num_workers=1))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert set(multiprocessing.active_children()) == others, "a worker outlives the error"


def test_workers_are_forked_from_a_server_that_has_imported_torch(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="torch is there"):
        next(load_clips(dataset(Asking, tmp_path / "any.mp4"), epoch=0, batch_size=2, num_workers=1))


@pytest.mark.parametrize("kind", [ConnectionResetError, FileNotFoundError, EOFError])
def test_worker_that_dies_while_it_hands_over_a_batch_is_reported(kind: type[Exception], tmp_path: Path) -> None:
    def broken() -> Iterator[None]:
        raise kind("reset by peer")
        yield

    clips = dataset(ClipDataset, tmp_path / "a.mp4")
    batches = module._checked(broken(), [multiprocessing.current_process()], clips, [[(0, 0), (0, 1)]])
    with pytest.raises(VideoError, match=r"a\.mp4: a process that decodes them died or hung \(reset by peer\)"):
        next(batches)


def test_error_without_workers_keeps_its_type(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="timed out"):
        next(load_clips(dataset(Failing, tmp_path / "bad.mp4"), epoch=0, batch_size=2, num_workers=0))


def test_worker_slower_than_one_poll_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_S", 0.3)
    monkeypatch.setattr(module, "_MAX_POLLS", 1000)
    batch = next(load_clips(dataset(Slow, tmp_path / "slow.mp4"), epoch=0, batch_size=2, num_workers=1))
    assert batch.indexes == (0, 1)


def test_worker_that_never_answers_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_S", 0.3)
    monkeypatch.setattr(module, "_MAX_POLLS", 2)
    with pytest.raises(VideoError, match=r"slow\.mp4: a process that decodes them died or hung"):
        next(load_clips(dataset(Slow, tmp_path / "slow.mp4"), epoch=0, batch_size=2, num_workers=1))

"""What goes wrong in a process that decodes clips reaches the user in one line."""

import os
from pathlib import Path

import pytest

from e2espot.clips.dataset import ClipDataset, TrainingVideo, load_clips
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from e2espot.core.errors import VideoError


class Doomed(ClipDataset):
    """Dies, as decoders may."""

    def __getitem__(self, key: tuple[int, int]) -> dict:
        os._exit(9)


def dataset(kind: type[ClipDataset], path: Path) -> ClipDataset:
    labelled = LabelledVideo(num_frames=50, event_frames=(20,), event_targets=(1,))
    sampler = ClipSampler(videos=[labelled], clip_len=8, num_clips=2)
    return kind([TrainingVideo(path=path, labelled=labelled)], sampler, fps="25", size=(96, 64), dilate_len=1)


@pytest.mark.parametrize(("kind", "words"), [(ClipDataset, "is empty"), (Doomed, "died or hung")])
def test_one_line_names_the_file(kind: type[ClipDataset], words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.mp4"
    path.touch()
    with pytest.raises(VideoError, match=words) as caught:
        next(load_clips(dataset(kind, path), epoch=0, batch_size=2, num_workers=1))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)

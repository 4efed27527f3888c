"""Training clips show what inference sees: deinterlaced, without bars, the ball where the pixels are."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.clips.dataset import ClipDataset, TrainingVideo, load_clips
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from e2espot.core.picture_options import PictureOptions
from e2espot.video import stream_frames
from tests.support.prepared_videos import barred, interlaced

COUNT, CLIP_LEN, SIZE = 60, 8, (160, 120)


def dataset(path: Path, tracks_path: Path | None = None, **more: str) -> ClipDataset:
    labelled = LabelledVideo(num_frames=COUNT, event_frames=(20,), event_targets=(1,))
    video = TrainingVideo(path=path, labelled=labelled, tracks_path=tracks_path)
    sampler = ClipSampler(videos=[labelled], clip_len=CLIP_LEN, num_clips=6, seed=3)
    pictures = PictureOptions(**more)  # type: ignore[arg-type]
    return ClipDataset([video], sampler, fps=Fraction(25), size=SIZE, label_radius=1, pictures=pictures)


@pytest.mark.parametrize("kind", ["interlaced", "barred"])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_clips_equal_the_frames_of_inference(
    kind: str, num_workers: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "match.mp4"
    described = {"interlaced": "deinterlaced (top field first)", "barred": "cropped to 320x240 at 0,60"}
    if kind == "interlaced":
        interlaced(path, COUNT)
    else:
        barred(path, (0, 60, 0, 60), COUNT)
    streamed_THWC = np.concatenate([chunk.frames_THWC for chunk in stream_frames(path, size=SIZE)])
    clips = dataset(path)
    caplog.clear()
    for batch in load_clips(clips, epoch=0, batch_size=2, num_workers=num_workers):
        for b, index in enumerate(batch.indexes):
            start = clips.sampler.clip(0, index).start
            inside = [t for t in range(CLIP_LEN) if 0 <= start + t < COUNT]
            assert np.array_equal(batch.frames_BTHWC[b, inside].numpy(), streamed_THWC[[start + t for t in inside]])
    # The training process knows what its workers have seen.
    assert [preparation.describe() for preparation in clips.prepared.values()] == [described[kind]]


def test_the_ball_moves_with_the_crop(tmp_path: Path) -> None:
    path, tracks_path = barred(tmp_path / "match.mp4", (0, 60, 0, 60), COUNT), tmp_path / "tracks.npz"
    ball_T2 = np.tile(np.array([[0.25, 0.5]], dtype=np.float32), (COUNT, 1))
    ball_T2[: COUNT // 2] = [0.25, 60 / 360 + 0.25 * 240 / 360]  # a quarter down the picture inside the bars
    np.savez(tracks_path, ball_xy=ball_T2, ball_visible=np.ones(COUNT, dtype=bool))
    for bars, heights in (("auto", {0.25, 0.5}), ("off", {60 / 360 + 0.25 * 240 / 360, 0.5})):
        seen = set()
        for batch in load_clips(dataset(path, tracks_path, crop_bars=bars), epoch=0, batch_size=6, num_workers=0):
            positions = batch.targets.ball_BT2.numpy().reshape(-1, 2)
            positions = positions[~np.isnan(positions[:, 0])]
            assert positions[:, 0] == pytest.approx(0.25)
            seen |= {round(float(y), 4) for y in positions[:, 1]}
        assert seen and seen <= {round(height, 4) for height in heights}

"""Videos in the forms that DALI's CPU backend decodes, and clips of them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from e2espot.clips.dataset import ClipDataset, TrainingVideo
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from e2espot.video import probe
from tests.support import numbered_video

SIZE = (numbered_video.WIDTH, numbered_video.HEIGHT)
VP = {"deadline": "realtime", "cpu-used": "8"}
FORMATS: dict[str, dict[str, Any]] = {
    "vp9": {"codec": "libvpx-vp9", "suffix": ".mkv", "options": {**VP, "g": "30"}},
    "vp9-one-key": {"codec": "libvpx-vp9", "suffix": ".webm", "options": {**VP, "g": "9999"}},
    "vp9-hidden-pictures": {
        "codec": "libvpx-vp9",
        "suffix": ".webm",
        "options": {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16", "g": "40"},
    },
    "vp8": {"codec": "libvpx", "suffix": ".mkv", "options": {**VP, "g": "25"}},
    "vp8-hidden-pictures": {
        "codec": "libvpx",
        "suffix": ".mkv",
        "options": {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16", "g": "40"},
    },
    "mjpeg": {"codec": "mjpeg", "suffix": ".mkv", "pixel_format": "yuvj420p", "options": {"qscale": "2"}},
    "vp9-bt709": {"codec": "libvpx-vp9", "suffix": ".mkv", "options": {**VP, "g": "30"}, "colour": (1, 1)},
    "vp9-full-range": {"codec": "libvpx-vp9", "suffix": ".mkv", "options": {**VP, "g": "30"}, "colour": (5, 2)},
}


def dataset(
    paths: list[Path],
    *,
    clip_len: int = 12,
    num_clips: int = 24,
    fps: str = "25",
    size: tuple[int, int] = SIZE,
) -> ClipDataset:
    videos = []
    for path in paths:
        count = probe(path, Fraction(fps)).num_frames
        labelled = LabelledVideo(num_frames=count, event_frames=(2, count // 2, count - 2), event_targets=(1, 2, 1))
        videos.append(TrainingVideo(path=path, labelled=labelled))
    sampler = ClipSampler(videos=[v.labelled for v in videos], clip_len=clip_len, num_clips=num_clips, seed=3)
    return ClipDataset(videos, sampler, fps=Fraction(fps), size=size, label_radius=1)

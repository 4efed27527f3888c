"""What the spotter should say at each frame of a clip: pure index arithmetic."""

from __future__ import annotations

import numpy as np

from e2espot.clips.sampler import ClipSpec, LabelledVideo


def frame_targets(clip: ClipSpec, video: LabelledVideo, *, dilate_len: int) -> tuple[np.ndarray, np.ndarray]:
    """Class of each frame of a clip, and which frames count.

    An event marks its own frame and ``dilate_len`` frames to each side. Where two events reach
    a frame the nearer one has it; at equal distance the earlier one.

    Returns:
        ``targets_T`` int64 (0 = background) and ``valid_T`` bool, False outside the video.
    """
    frames = np.arange(clip.start, clip.start + clip.length)
    valid_T = (frames >= 0) & (frames < video.num_frames)
    targets_T = np.zeros(clip.length, dtype=np.int64)
    if len(video.event_frames):
        order = np.argsort(video.event_frames, kind="stable")
        events = np.asarray(video.event_frames)[order]
        classes = np.asarray(video.event_targets)[order]
        after = np.searchsorted(events, frames, side="left")
        before = np.clip(after - 1, 0, len(events) - 1)
        after = np.clip(after, 0, len(events) - 1)
        nearer_before = np.abs(frames - events[before]) <= np.abs(events[after] - frames)
        nearest = np.where(nearer_before, before, after)
        reached = np.abs(frames - events[nearest]) <= dilate_len
        targets_T[reached] = classes[nearest][reached]
    return np.where(valid_T, targets_T, 0), valid_T

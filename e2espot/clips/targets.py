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
    nearest_T, offset_T = _nearest_events(clip, video)
    reached = valid_T & (np.abs(offset_T) <= dilate_len)
    targets_T[reached] = np.asarray(video.event_targets, dtype=np.int64)[nearest_T[reached]]
    return targets_T, valid_T


def event_offsets(clip: ClipSpec, video: LabelledVideo, *, reach: int) -> np.ndarray:
    """Frames since the event that a frame belongs to, as in :func:`frame_targets`; NaN where it belongs to none."""
    _, offset_T = _nearest_events(clip, video)
    frames = np.arange(clip.start, clip.start + clip.length)
    inside = (frames >= 0) & (frames < video.num_frames)
    return np.where(inside & (np.abs(offset_T) <= reach), offset_T, np.nan).astype(np.float32)


def event_sides(clip: ClipSpec, video: LabelledVideo, *, reach: int, flip: bool) -> np.ndarray:
    """Side of the event that a frame belongs to: 0 left, 1 right, the other way in a mirror image; NaN if unknown."""
    nearest_T, _ = _nearest_events(clip, video)
    known_T = np.isfinite(event_offsets(clip, video, reach=reach))
    sides = {"left": 0.0, "right": 1.0}
    of_event = np.array([sides.get(team, np.nan) for team in video.event_teams] or [np.nan])
    if len(video.event_teams) != len(video.event_frames):
        return np.full(clip.length, np.nan, dtype=np.float32)
    side_T = np.where(known_T, of_event[nearest_T], np.nan)
    return (1 - side_T if flip else side_T).astype(np.float32)


def _nearest_events(clip: ClipSpec, video: LabelledVideo) -> tuple[np.ndarray, np.ndarray]:
    """Place in the video's list of the event nearest to each frame, and the frames since it; infinite without any."""
    frames = np.arange(clip.start, clip.start + clip.length)
    if not len(video.event_frames):
        return np.zeros(clip.length, dtype=np.int64), np.full(clip.length, np.inf)
    order = np.argsort(video.event_frames, kind="stable")
    events = np.asarray(video.event_frames)[order]
    after = np.searchsorted(events, frames, side="left")
    before = np.clip(after - 1, 0, len(events) - 1)
    after = np.clip(after, 0, len(events) - 1)
    nearer_before = np.abs(frames - events[before]) <= np.abs(events[after] - frames)
    nearest = np.where(nearer_before, before, after)
    return order[nearest], (frames - events[nearest]).astype(np.float64)

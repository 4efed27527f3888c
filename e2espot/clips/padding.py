"""Padding: a clip may reach past the ends of its video, and the frames out there are padding.

A padded frame is zero after normalisation (the mean colour), in training as at inference. It is masked out of the
loss and never an event. How far clips may reach out is ``ClipSampler.overhang``.
"""

from __future__ import annotations

import numpy as np

from e2espot.clips.sampler import ClipSpec


def inside_video(clip: ClipSpec, num_frames: int) -> np.ndarray:
    """Which frames of a clip are inside the video, bool ``(T,)``; the others are padding.

    This alone decides what is padding. A decoder may only take further frames away, where the video is damaged::

        # clip of 6 frames from -2 on, video of 3 frames
        # frame   -2 -1  0  1  2  3
        # inside   0  0  1  1  1  0

    Args:
        clip: Which frames of the video's grid.
        num_frames: Frames of the video.
    """
    frame_T = np.arange(clip.start, clip.start + clip.length)
    return (frame_T >= 0) & (frame_T < num_frames)

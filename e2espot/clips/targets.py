"""What the network should answer for each frame of a clip.

``clip_targets`` derives the targets of one clip from the labels of its video: pure index arithmetic, done
once, in the worker that decodes the clip. The targets then travel with the pixels::

    LabelledVideo, ClipSpec -> ClipTargets (numpy, one clip, in the worker)
                            -> TargetBatch (tensors, B clips) -> augmentation -> loss

Shapes: B clips, T frames, W numbers of classes from 0 for the background up to the largest that a video of the dataset
does not annotate (1 if every video annotates every class).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from e2espot.clips.padding import inside_video
from e2espot.clips.sampler import ClipSpec, LabelledVideo

_TEAM_TARGETS = {"left": 0.0, "right": 1.0}
"""Target of each team that a label may name; any other word is unknown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipTargets:
    """Targets of one clip."""

    class_T: np.ndarray
    """int64; class of each frame, 0 = background."""
    second_T: np.ndarray
    """int64; another class of an event at the same frame as the one that a frame belongs to, 0 = none."""
    offset_T: np.ndarray
    """float32; frames since the event that a frame belongs to, negative before it; NaN where it belongs to none."""
    team_T: np.ndarray
    """float32; team of that event in the unmirrored video: 0 left, 1 right; NaN where unknown."""
    ball_T2: np.ndarray
    """float32; ball position as fractions of width and height; NaN where unknown."""
    joint: bool
    """Whether the clip is from the second of two datasets, which has classes of its own."""
    valid_T: np.ndarray
    """bool; False for frames outside the video, and for frames that a decoder made up after damage."""
    annotated_T: np.ndarray
    """bool; False for frames that the labels say nothing about: the network sees them, and they teach nothing."""
    hard_T: np.ndarray
    """bool; background at a hard negative, as far from it as the class of an event reaches from the event."""
    unannotated_W: np.ndarray
    """bool; True for classes that were not annotated: nothing is taught about them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetBatch:
    """Targets of B clips."""

    class_BT: Tensor
    """int64; class of each frame, 0 = background."""
    second_BT: Tensor
    """int64; another class of an event at the same frame as the one that a frame belongs to, 0 = none."""
    offset_BT: Tensor
    """float32; frames since the event that a frame belongs to, negative before it; NaN where it belongs to none."""
    team_BT: Tensor
    """float32; team of that event as the network sees it: 0 left, 1 right; NaN where unknown."""
    ball_BT2: Tensor
    """float32; ball position as fractions of width and height; NaN where unknown."""
    joint_B: Tensor
    """bool; whether a clip is from the second of two datasets."""
    valid_BT: Tensor
    """bool; False for frames that show nothing: outside the video, or made up by a decoder."""
    annotated_BT: Tensor
    """bool; False for frames that the labels say nothing about."""
    hard_BT: Tensor
    """bool; background at a hard negative."""
    unannotated_BW: Tensor
    """bool; True for classes that were not annotated."""

    @classmethod
    def stack(cls, clips: Sequence[ClipTargets]) -> TargetBatch:
        """Targets of several clips of one length as a batch."""

        def stacked(arrays: list[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.stack(arrays))

        return cls(
            class_BT=stacked([clip.class_T for clip in clips]),
            second_BT=stacked([clip.second_T for clip in clips]),
            offset_BT=stacked([clip.offset_T for clip in clips]),
            team_BT=stacked([clip.team_T for clip in clips]),
            ball_BT2=stacked([clip.ball_T2 for clip in clips]),
            joint_B=torch.tensor([clip.joint for clip in clips]),
            valid_BT=stacked([clip.valid_T for clip in clips]),
            annotated_BT=stacked([clip.annotated_T for clip in clips]),
            hard_BT=stacked([clip.hard_T for clip in clips]),
            unannotated_BW=stacked([clip.unannotated_W for clip in clips]),
        )

    def teaches(self) -> Tensor:
        """Bool ``(B, T)``; the frames that the loss counts."""
        return self.valid_BT & self.annotated_BT

    def clips(self, clips: slice) -> TargetBatch:
        """The targets of some of the clips."""
        return dataclasses.replace(
            self._map(lambda tensor: tensor[clips]),
            joint_B=self.joint_B[clips],
            unannotated_BW=self.unannotated_BW[clips],
        )

    def to(self, device: torch.device) -> TargetBatch:
        """The targets on ``device``."""
        return dataclasses.replace(
            self._map(lambda tensor: tensor.to(device)),
            joint_B=self.joint_B.to(device),
            unannotated_BW=self.unannotated_BW.to(device),
        )

    def reorder_frames(self, order_T: Tensor) -> TargetBatch:
        """The targets of clips whose frames were reordered: frame ``t`` becomes frame ``order_T[t]`` of this batch."""
        return self._map(lambda tensor: tensor[:, order_T])

    def permute_clips(self, permute: Callable[[Tensor], Tensor]) -> TargetBatch:
        """The targets of other clips, which ``permute`` moves along axis 0; clips keep to their dataset."""
        return dataclasses.replace(self._map(permute), unannotated_BW=permute(self.unannotated_BW))

    def without_invalid(self) -> TargetBatch:
        """Offset and team unknown where frames do not teach: a damaged frame shows neither."""
        nan = torch.full_like(self.offset_BT, float("nan"))
        return dataclasses.replace(
            self,
            offset_BT=torch.where(self.teaches(), self.offset_BT, nan),
            team_BT=torch.where(self.teaches(), self.team_BT, nan),
        )

    def _map(self, change: Callable[[Tensor], Tensor]) -> TargetBatch:
        """Apply ``change`` to every tensor that has a time axis."""
        return dataclasses.replace(
            self,
            class_BT=change(self.class_BT),
            second_BT=change(self.second_BT),
            offset_BT=change(self.offset_BT),
            team_BT=change(self.team_BT),
            ball_BT2=change(self.ball_BT2),
            valid_BT=change(self.valid_BT),
            annotated_BT=change(self.annotated_BT),
            hard_BT=change(self.hard_BT),
        )


def clip_targets(
    clip: ClipSpec, video: LabelledVideo, *, label_radius: int, joint: bool = False, num_numbers: int = 1
) -> ClipTargets:
    """Targets of a clip, the ball's position and damage to the video not yet known.

    An event labels its own frame and ``label_radius`` frames to each side. Where two events reach a frame,
    the nearer one labels it; at equal distance the earlier one, and of several at one frame the one listed first::

        # label_radius 2, events at 10 (class 1) and 13 (class 2)
        # frame   7  8  9 10 11 12 13 14 15 16
        # class   0  1  1  1  1  2  2  2  2  0
        # offset  - -2 -1  0  1 -1  0  1  2  -

    Args:
        clip: Which frames of the video's grid.
        video: Length and events of the video.
        label_radius: Frames to each side of an event that carry its class.
        joint: Whether the video is from the second of two datasets.
        num_numbers: W, more than every number in the video's ``unannotated_targets``.
    """
    frame_T = np.arange(clip.start, clip.start + clip.length)
    valid_T = inside_video(clip, video.num_frames)
    class_T, second_T = np.zeros((2, clip.length), dtype=np.int64)
    offset_T, team_T = (np.full(clip.length, np.nan, dtype=np.float32) for _ in range(2))
    if video.event_frames:
        event_T, distance_T = _nearest_events(frame_T, video.event_frames)
        labelled_T = valid_T & (np.abs(distance_T) <= label_radius)
        event_N = event_T[labelled_T]
        class_T[labelled_T] = np.asarray(video.event_targets, dtype=np.int64)[event_N]
        if len(set(video.event_frames)) < len(video.event_frames):
            second_T[labelled_T] = np.array(_second_targets(video), dtype=np.int64)[event_N]
        offset_T[labelled_T] = distance_T[labelled_T]
        if len(video.event_teams) == len(video.event_frames):
            teams = np.array([_TEAM_TARGETS.get(team, np.nan) for team in video.event_teams], dtype=np.float32)
            team_T[labelled_T] = teams[event_N]
    hard_T = np.zeros(clip.length, dtype=bool)
    if video.negative_frames:
        hard_T = (np.abs(_nearest_events(frame_T, video.negative_frames)[1]) <= label_radius) & (class_T == 0)
    unannotated_W = np.zeros(num_numbers, dtype=bool)
    unannotated_W[list(video.unannotated_targets)] = True
    return ClipTargets(
        class_T=class_T,
        second_T=second_T,
        offset_T=offset_T,
        team_T=team_T,
        ball_T2=np.full((clip.length, 2), np.nan, dtype=np.float32),
        joint=joint,
        valid_T=valid_T,
        annotated_T=np.array(
            [
                video.is_annotated(frame) if target else video.is_background(frame)
                for frame, target in zip(frame_T.tolist(), class_T.tolist(), strict=True)
            ]
        ),
        hard_T=hard_T,
        unannotated_W=unannotated_W,
    )


def _second_targets(video: LabelledVideo) -> list[int]:
    """For each event the next class that is listed at its frame; 0 if there is none."""
    # frames 5 5 5 9, classes 2 2 1 3 -> 1 1 2 0
    listed: dict[int, list[int]] = {}
    for frame, target in zip(video.event_frames, video.event_targets, strict=True):
        listed.setdefault(frame, []).append(target)
    return [
        next((other for other in listed[frame] if other != target), 0)
        for frame, target in zip(video.event_frames, video.event_targets, strict=True)
    ]


def _nearest_events(frame_T: np.ndarray, event_frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Index in ``event_frames`` of the event nearest to each frame, and the frames since that event."""
    order = np.argsort(event_frames, kind="stable")
    sorted_events = np.asarray(event_frames)[order]
    # Events (10, 13), frames (9, 10, 12, 15): next (0, 0, 1, 2 -> 1), previous (-1 -> 0, -1 -> 0, 0, 1).
    # A frame on an event has it as its next one, at distance 0, so the previous one cannot win there.
    next_T = np.searchsorted(sorted_events, frame_T, side="left")
    previous_T = np.clip(next_T - 1, 0, len(sorted_events) - 1)
    # Of several events at one frame the first, as on the other side: events (10, 10), frame 11: previous 1 -> 0.
    previous_T = np.searchsorted(sorted_events, sorted_events[previous_T], side="left")
    next_T = np.clip(next_T, 0, len(sorted_events) - 1)
    since_previous_T, until_next_T = (
        np.abs(frame_T - sorted_events[previous_T]),
        np.abs(sorted_events[next_T] - frame_T),
    )
    nearest_T = np.where(since_previous_T <= until_next_T, previous_T, next_T)
    return order[nearest_T], frame_T - sorted_events[nearest_T]

"""The map of the ball, smoothed over time: where it can be in a frame, given the maps of the frames around it.

A map of a single frame lights up at the ball, and as well at a white boot or a penalty spot. The ball moves by little
from one frame to the next, so what lights up for a moment only, far from everything before and after, is not the ball.
That is a hidden Markov model whose states are the cells of the map, and its forward-backward algorithm::

    forward     p[t] ~ evidence[t] * moved(p[t-1])              the ball, by the frames up to t
    backward    b[t] = moved(evidence[t+1] * b[t+1])            what the frames after t say of it
    smoothed    p[t] * b[t]                                     by all of them

``moved`` spreads each cell over its neighbours; the ball may also be anywhere all of a sudden, since pictures are cut.

The forward part needs nothing from the future. The backward part works in blocks, so that memory and delay are bounded
and nothing depends on how the video is cut into chunks. With blocks of 4 frames::

    frames given   0 1 2 3 | 4 5 6 7 |                backward from 7 to 0: smoothed are 0 1 2 3
    frames given             4 5 6 7 | 8 9 10 11 |    backward from 11 to 4: smoothed are 4 5 6 7

Source: Rabiner, "A tutorial on hidden Markov models", Proceedings of the IEEE 1989.

Shapes: B clips, T frames, H rows and W columns of the map.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

BLOCK_S = 1.0
"""Length of a block: a frame sees as much of what follows at least, and twice that at most."""
_EVIDENCE = 0.5
"""Power of each map. Those of neighbouring frames err alike, so they must not count as independent of each other."""
_FREE_CELLS = 1.0
"""Cells that the ball moves in 80 ms as likely as none."""
_DECAY = 1.5
"""Beyond these, a cell more in 80 ms is less likely by the factor exp(-1.5)."""
_STEP_S = 0.08
_ANYWHERE = 0.01
"""Probability that the ball is anywhere in the next frame."""
_LEAST = 1e-12
"""Smallest probability of a cell: its logarithm must be finite."""


class BallSmoother:
    """Takes the maps of a video frame by frame and returns smoothed ones, in order.

    Args:
        fps: Frames a second.
        block: Frames of a block; 0 leaves out the backward part, so that each frame is ready at once.
    """

    def __init__(self, fps: float, block: int) -> None:
        self._fps, self._block = fps, block
        self._forward_HW: Tensor | None = None
        """Where the ball is by the frames up to the last one."""
        self._evidence: deque[Tensor] = deque()
        """Evidence of the frames that wait, ``HW`` each."""
        self._filtered: deque[Tensor] = deque()
        """Forward part of the same frames."""
        self._moves: tuple[Tensor, Tensor] | None = None

    def add(self, maps_THW: Tensor) -> Tensor:
        """Push the next maps, logits; returns the smoothed ones that are ready, log probabilities in fp32."""
        ready: list[Tensor] = []
        for map_HW in maps_THW.float():
            evidence_HW = torch.exp(_EVIDENCE * (map_HW - map_HW.max()))
            prior_HW = self._moved(self._first(map_HW) if self._forward_HW is None else self._forward_HW)
            self._forward_HW = _normalised(prior_HW * evidence_HW)
            self._evidence.append(evidence_HW)
            self._filtered.append(self._forward_HW)
            if len(self._filtered) == max(1, 2 * self._block):
                ready += self._take(max(1, self._block))
        return _log(ready, maps_THW)

    def finish(self, like_THW: Tensor) -> Tensor:
        """The rest, ``(t, H, W)``; ``like_THW`` gives the size if there is none."""
        return _log(self._take(len(self._filtered)), like_THW)

    def _take(self, count: int) -> list[Tensor]:
        """Smoothed maps of the ``count`` oldest frames, by all that wait."""
        smoothed: list[Tensor] = []
        behind_HW: Tensor | None = None
        for number in reversed(range(len(self._filtered))):
            filtered_HW = self._filtered[number]
            if number < count:
                smoothed.append(filtered_HW if behind_HW is None else _normalised(filtered_HW * behind_HW))
            if number and self._block:
                evidence_HW = self._evidence[number]
                behind_HW = self._moved(evidence_HW if behind_HW is None else evidence_HW * behind_HW)
                behind_HW = behind_HW / behind_HW.max()
        for _ in range(count):
            self._filtered.popleft()
            self._evidence.popleft()
        return smoothed[::-1]

    def _first(self, map_HW: Tensor) -> Tensor:
        return torch.full_like(map_HW, 1 / map_HW.numel())

    def _moved(self, share_HW: Tensor) -> Tensor:
        if self._moves is None:
            self._moves = _moves(self._fps, share_HW)
        return _moved(share_HW, self._moves)


def smoothed_maps(maps_THW: Tensor, fps: float, block: int) -> Tensor:
    """All maps of a video smoothed, log probabilities ``(T, H, W)``."""
    smoother = BallSmoother(fps, block)
    return torch.cat((smoother.add(maps_THW), smoother.finish(maps_THW)))


def smoothed_clips(maps_BTHW: Tensor, fps: float) -> Tensor:
    """The maps of whole clips smoothed by all frames before and after, log probabilities ``(B, T, H, W)`` in fp32.

    Gradients flow through it, so that training sees the maps that inference pools under. At inference a frame sees no
    more than two blocks of what follows.
    """
    with torch.autocast(maps_BTHW.device.type, enabled=False):
        maps_BTHW = maps_BTHW.float()
        moves = _moves(fps, maps_BTHW)
        evidence_BTHW = torch.exp(_EVIDENCE * (maps_BTHW - maps_BTHW.detach().amax((-2, -1), keepdim=True)))
        evidence = evidence_BTHW.unbind(1)
        filtered: list[Tensor] = []
        for evidence_BHW in evidence:
            before_BHW = filtered[-1] if filtered else torch.full_like(evidence_BHW, 1 / evidence_BHW[0].numel())
            filtered.append(_normalised(_moved(before_BHW, moves) * evidence_BHW))
        smoothed, behind_BHW = filtered[-1:], torch.ones_like(filtered[-1])
        for filtered_BHW, next_BHW in zip(filtered[-2::-1], evidence[:0:-1], strict=True):
            behind_BHW = _moved(next_BHW * behind_BHW, moves)
            behind_BHW = behind_BHW / behind_BHW.amax((-2, -1), keepdim=True)
            smoothed.append(_normalised(filtered_BHW * behind_BHW))
        return torch.stack(smoothed[::-1], dim=1).clamp_min(_LEAST).log()


def _moved(share: Tensor, moves: tuple[Tensor, Tensor]) -> Tensor:
    """Where the ball is a frame later; from where it was a frame before is the same, since moves are symmetric."""
    rows_HH, columns_WW = moves
    return (1 - _ANYWHERE) * (rows_HH @ share @ columns_WW) + _ANYWHERE * share.mean((-2, -1), keepdim=True)


def _moves(fps: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of moves along the rows and the columns of maps ``(..., H, W)``."""
    height, width = like.shape[-2:]
    return _spread(height, fps, like), _spread(width, fps, like)


def _spread(cells: int, fps: float, like: Tensor) -> Tensor:
    """Probability of each move along an axis, ``(cells, cells)``; what leaves the picture is lost."""
    # 12.5 frames a second -> 0.28 each for -1, 0 and 1 cells, then 0.062, 0.014 ... to both sides
    frames = fps * _STEP_S  # per 80 ms: at 25 fps a frame moves half as far
    reach = max(cells, 100)  # so that small maps have the same probabilities
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-_DECAY * (offsets.abs() * frames - _FREE_CELLS).clamp_min(0))
    at = torch.arange(cells)
    spread = (weights / weights.sum())[at[:, None] - at[None] + reach]
    return spread.to(like)


def _normalised(share: Tensor) -> Tensor:
    return share / share.sum((-2, -1), keepdim=True)


def _log(smoothed: Sequence[Tensor], like_THW: Tensor) -> Tensor:
    if not smoothed:
        return like_THW.new_empty(0, *like_THW.shape[1:], dtype=torch.float32)
    return torch.stack(list(smoothed)).clamp_min(_LEAST).log()

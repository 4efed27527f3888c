"""Temporal heads of E2E-Spot: frame features to class logits of every frame.

Source: Hong et al., "Spotting Temporally Precise, Fine-Grained Events in Video", ECCV 2022.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.core.errors import ConfigurationError

TEMPORAL_ARCHS = ("", "gru", "deeper_gru")
"""Names of the heads; the empty string is a linear layer on each frame."""


class TemporalHead(nn.Module):
    """Base of the heads: encodes features along time, then classifies each frame."""

    hidden_dim: int
    """Width of the encoding."""

    def __init__(self, hidden_dim: int, num_outputs: int) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self._fc_out = nn.Sequential(nn.Dropout(0.5), nn.Linear(hidden_dim, num_outputs))

    def encode(self, features_BTD: Tensor) -> Tensor:
        """Features -> encoding of each frame in its context, ``(B, T, hidden_dim)``."""
        return features_BTD

    def encode_ahead(self, window_TD: Tensor, frames: range, look_ahead: int) -> Tensor:
        """Encoding of some frames of a window, each with the window cut ``look_ahead`` frames after it.

        Args:
            window_TD: Features of a window.
            frames: Frames of it to encode.
            look_ahead: Frames after a frame that its encoding may depend on.

        Returns:
            ``(len(frames), hidden_dim)``.
        """
        # The definition, for heads without a faster form: one pass for each frame.
        return torch.stack([self.encode(window_TD[None, : frame + look_ahead + 1])[0, frame] for frame in frames])

    def encode_around(self, window_TD: Tensor, frames: range, look_ahead: int, reach: int) -> Iterator[Tensor]:
        """Yield for some frames of a window the encoding of what is near them, cut ``look_ahead`` frames after each.

        Args:
            window_TD: Features of a window.
            frames: Frames of it.
            look_ahead: Frames after a frame that the encoding of its surroundings may depend on.
            reach: Frames before a frame from which on the encoding is wanted.

        Yields:
            ``(t, hidden_dim)``, from ``reach`` frames before the frame (or the start) to ``look_ahead`` after it (or
            the end).
        """
        for frame in frames:
            yield self.encode(window_TD[None, : frame + look_ahead + 1])[0, max(0, frame - reach) :]

    def encode_cut(self, features_BTD: Tensor, look_ahead_B: Sequence[int]) -> Tensor:
        """Encoding of every frame of clips for training, each clip cut its own look-ahead after the frame.

        Args:
            features_BTD: Features.
            look_ahead_B: Frames after a frame that its encoding may depend on, for each clip.

        Returns:
            ``(B, T, hidden_dim)``: of each clip what ``encode_ahead`` returns for all of its frames.
        """
        frames = range(features_BTD.shape[1])
        return torch.stack(
            [
                self.encode_ahead(features_TD, frames, length)
                for features_TD, length in zip(features_BTD, look_ahead_B, strict=True)
            ]
        )

    def classify(self, encoded_BTH: Tensor) -> Tensor:
        """Encoding -> ``logits_BTK``."""
        return self._fc_out(encoded_BTH)  # type: ignore[no-any-return]

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Features -> ``logits_BTK``."""
        return self.classify(self.encode(features_BTD))


class NoHead(TemporalHead):
    """Stands in where a head over windows or chunks answers; it has no weights."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.hidden_dim = 0


class LinearHead(TemporalHead):
    """A linear layer on each frame alone."""

    def encode_ahead(self, window_TD: Tensor, frames: range, look_ahead: int) -> Tensor:
        """The features themselves; see the base."""
        return window_TD[frames.start : frames.stop]

    def encode_around(self, window_TD: Tensor, frames: range, look_ahead: int, reach: int) -> Iterator[Tensor]:
        """The features themselves; see the base."""
        for frame in frames:
            yield window_TD[max(0, frame - reach) : frame + look_ahead + 1]


class GRUHead(TemporalHead):
    """Bidirectional GRU, as wide as the features but at most 768, then dropout and a linear layer."""

    def __init__(self, feature_dim: int, num_outputs: int, num_layers: int) -> None:
        hidden = min(feature_dim, 768)
        super().__init__(2 * hidden, num_outputs)
        self._gru = nn.GRU(feature_dim, hidden, num_layers=num_layers, batch_first=True, bidirectional=True)

    def encode(self, features_BTD: Tensor) -> Tensor:
        """Hidden states of the last layer, both directions side by side."""
        return self._gru(features_BTD)[0]  # type: ignore[no-any-return]

    def encode_cut(self, features_BTD: Tensor, look_ahead_B: Sequence[int]) -> Tensor:
        """See the base. With one layer, the states of the backward direction are replaced where a clip is cut."""
        if self._gru.num_layers > 1:
            return super().encode_cut(features_BTD, look_ahead_B)
        encoded_BTH, last = self.encode(features_BTD), features_BTD.shape[1] - 1
        cut = sorted((b for b, length in enumerate(look_ahead_B) if length < last), key=lambda b: -look_ahead_B[b])
        if not cut:
            return encoded_BTH
        forward_BTH, backward_BTH = encoded_BTH.chunk(2, dim=-1)
        backward_BTH = backward_BTH.clone()
        backward_BTH[cut] = self._cut_backward(features_BTD[cut], [look_ahead_B[b] for b in cut])
        return torch.cat((forward_BTH, backward_BTH), dim=-1)

    def _cut_backward(self, features_NTD: Tensor, look_ahead_N: Sequence[int]) -> Tensor:
        """Backward states ``(N, T, H)`` of clips in falling order of their look-ahead.

        ::

            clip of 5 frames, look-ahead 2; the frame that the state of each frame reads at each step
            ahead 2    2 3 4
            ahead 1    1 2 3 4      frame 3 begins at the end of the clip
            ahead 0    0 1 2 3 4
        """
        inputs_NT3H = self._backward_inputs(features_NTD)
        state_NTH = features_NTD.new_zeros(0, features_NTD.shape[1] - 1 - look_ahead_N[0], self._gru.hidden_size)
        for ahead in range(look_ahead_N[0], -1, -1):
            started = sum(length >= ahead for length in look_ahead_N)
            # One more frame begins, and the clips with this look-ahead: their states are zero.
            state_NTH = functional.pad(state_NTH, (0, 0, 0, 1, 0, started - len(state_NTH)))
            state_NTH = self._backward_step(inputs_NT3H[:started, ahead:], state_NTH)
        return state_NTH

    def encode_ahead(self, window_TD: Tensor, frames: range, look_ahead: int) -> Tensor:
        """See the base. One layer needs one forward pass, and a short backward pass for each frame.

        ::

            window of 8 frames, look-ahead 2, frames 3 to 7
            forward    0 > 1 > 2 > 3 > 4 > 5 > 6 > 7      one pass for all
            backward   5 > 4 > 3    6 > 5 > 4             cut ones, side by side
                       7 > 6 > 5                          one pass for those that reach the end
        """
        if self._gru.num_layers > 1 or not len(frames):  # the second layer reads both directions of the first
            return super().encode_ahead(window_TD, frames, look_ahead) if len(frames) else window_TD.new_zeros(0, 1)
        num_cut = max(0, min(frames.stop, len(window_TD) - look_ahead) - frames.start)
        forward = self._one_way(window_TD[None, : frames.stop], "")[0, frames.start :]
        parts = []
        if num_cut:
            # Frame 3 of the example reads 5, 4, 3; frame 4 reads 6, 5, 4.
            last_N = torch.arange(frames.start, frames.start + num_cut, device=window_TD.device) + look_ahead
            order_NL = last_N[:, None] - torch.arange(look_ahead + 1, device=window_TD.device)
            parts.append(self._last_backward(window_TD, order_NL))
        if num_cut < len(frames):
            rest = self._one_way(window_TD[frames.start + num_cut :].flip(0)[None], "_reverse")[0].flip(0)
            parts.append(rest[: len(frames) - num_cut])
        return torch.cat((forward, torch.cat(parts)), dim=1)

    def encode_around(self, window_TD: Tensor, frames: range, look_ahead: int, reach: int) -> Iterator[Tensor]:
        """See the base. One layer needs one forward pass for all, and a backward pass for each frame."""
        if self._gru.num_layers > 1 or not len(frames):
            yield from super().encode_around(window_TD, frames, look_ahead, reach)
            return
        forward_TH = self._one_way(window_TD[None, : frames.stop + look_ahead], "")[0]
        for frame in frames:
            near = slice(max(0, frame - reach), frame + look_ahead + 1)
            backward_TH = self._one_way(window_TD[near].flip(0)[None], "_reverse")[0].flip(0)
            yield torch.cat((forward_TH[near], backward_TH), dim=1)

    def _one_way(self, features_BTD: Tensor, suffix: str) -> Tensor:
        """Hidden states ``(B, T, H)`` of one direction, read from the first frame given to the last."""
        weights = [
            getattr(self._gru, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        start = features_BTD.new_zeros(1, len(features_BTD), self._gru.hidden_size)
        states: Tensor = torch.gru(features_BTD, start, weights, True, 1, 0.0, False, False, True)[0]
        return states

    def _last_backward(self, window_TD: Tensor, order_NL: Tensor) -> Tensor:
        """Last hidden state ``(N, H)`` of the backward direction along N orders of frames of one length."""
        # Each frame goes through the input's matrix once, though many orders read it.
        first, stop = int(order_NL.min()), int(order_NL.max()) + 1
        inputs_T3H = self._backward_inputs(window_TD[first:stop])
        state_NH = window_TD.new_zeros(len(order_NL), self._gru.hidden_size)
        for frame_N in order_NL.T - first:
            state_NH = self._backward_step(inputs_T3H[frame_N], state_NH)
        return state_NH

    def _backward_inputs(self, features_XD: Tensor) -> Tensor:
        """What the gates of the backward direction get from each frame, ``(..., 3 H)``."""
        gru: Any = self._gru
        return functional.linear(features_XD, gru.weight_ih_l0_reverse, gru.bias_ih_l0_reverse)

    def _backward_step(self, inputs_X3H: Tensor, state_XH: Tensor) -> Tensor:
        """States ``(..., H)`` of the backward direction after one more frame."""
        gru: Any = self._gru
        # The equations of torch.nn.GRU: reset gate, update gate, new state.
        reset_x, update_x, new_x = inputs_X3H.chunk(3, dim=-1)
        hidden = functional.linear(state_XH, gru.weight_hh_l0_reverse, gru.bias_hh_l0_reverse)
        reset_h, update_h, new_h = hidden.chunk(3, dim=-1)
        update = (update_x + update_h).sigmoid()
        new = torch.addcmul(new_x, (reset_x + reset_h).sigmoid(), new_h).tanh()
        return new + update * (state_XH - new)


def build_head(temporal_arch: str, feature_dim: int, num_outputs: int) -> TemporalHead:
    """Head by its name in E2E-Spot.

    Raises:
        ConfigurationError: unknown or unsupported name.
    """
    if temporal_arch == "":
        return LinearHead(feature_dim, num_outputs)
    if temporal_arch in ("gru", "deeper_gru"):
        return GRUHead(feature_dim, num_outputs, num_layers=1 if temporal_arch == "gru" else 3)
    choices = f"choose from {', '.join(repr(name) for name in TEMPORAL_ARCHS)}"
    if temporal_arch in ("mstcn", "asformer"):
        raise ConfigurationError(
            f"temporal_arch {temporal_arch} is not supported: it has no proof of parity yet; {choices}"
        )
    raise ConfigurationError(f"unknown temporal_arch {temporal_arch!r}; {choices}")

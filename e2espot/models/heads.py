"""Temporal heads of E2E-Spot: frame features to class logits of every frame.

Source: Hong et al., "Spotting Temporally Precise, Fine-Grained Events in Video", ECCV 2022.
"""

from __future__ import annotations

from torch import Tensor, nn

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

    def classify(self, encoded_BTH: Tensor) -> Tensor:
        """Encoding -> ``logits_BTK``."""
        return self._fc_out(encoded_BTH)  # type: ignore[no-any-return]

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Features -> ``logits_BTK``."""
        return self.classify(self.encode(features_BTD))


class LinearHead(TemporalHead):
    """A linear layer on each frame alone."""


class GRUHead(TemporalHead):
    """Bidirectional GRU, as wide as the features but at most 768, then dropout and a linear layer."""

    def __init__(self, feature_dim: int, num_outputs: int, num_layers: int) -> None:
        hidden = min(feature_dim, 768)
        super().__init__(2 * hidden, num_outputs)
        self._gru = nn.GRU(feature_dim, hidden, num_layers=num_layers, batch_first=True, bidirectional=True)

    def encode(self, features_BTD: Tensor) -> Tensor:
        """Hidden states of the last layer, both directions side by side."""
        return self._gru(features_BTD)[0]  # type: ignore[no-any-return]


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

"""From frame features to per-frame class logits: the temporal heads of E2E-Spot.

Source: Hong et al., "Spotting Temporally Precise, Fine-Grained Events in Video", ECCV 2022.
"""

from __future__ import annotations

from torch import Tensor, nn

from e2espot.errors import ConfigurationError

TEMPORAL_ARCHS = ("", "gru", "deeper_gru")
"""What ``-t`` accepts; the empty string is a linear layer on each frame."""


class LinearHead(nn.Module):
    """Each frame for itself."""

    def __init__(self, feature_dim: int, num_outputs: int) -> None:
        super().__init__()
        self._fc_out = nn.Sequential(nn.Dropout(0.5), nn.Linear(feature_dim, num_outputs))

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Features -> ``logits_BTK``."""
        return self._fc_out(features_BTD)  # type: ignore[no-any-return]


class GRUHead(nn.Module):
    """Bidirectional GRU as wide as the features (at most 768), dropout, linear layer."""

    def __init__(self, feature_dim: int, num_outputs: int, num_layers: int) -> None:
        super().__init__()
        hidden = min(feature_dim, 768)
        self._gru = nn.GRU(feature_dim, hidden, num_layers=num_layers, batch_first=True, bidirectional=True)
        self._fc_out = nn.Sequential(nn.Dropout(0.5), nn.Linear(2 * hidden, num_outputs))

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Features -> ``logits_BTK``."""
        return self._fc_out(self._gru(features_BTD)[0])  # type: ignore[no-any-return]


def build_head(temporal_arch: str, feature_dim: int, num_outputs: int) -> nn.Module:
    """Head by E2E-Spot's name.

    Raises:
        ConfigurationError: unknown name.
    """
    if temporal_arch == "":
        return LinearHead(feature_dim, num_outputs)
    if temporal_arch in ("gru", "deeper_gru"):
        return GRUHead(feature_dim, num_outputs, num_layers=1 if temporal_arch == "gru" else 3)
    raise ConfigurationError(
        f"unknown temporal_arch {temporal_arch!r}; choose from {', '.join(repr(name) for name in TEMPORAL_ARCHS)}"
    )

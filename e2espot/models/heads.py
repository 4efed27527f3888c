"""From frame features to per-frame class logits: the temporal heads of E2E-Spot.

Source: Hong et al., "Spotting Temporally Precise, Fine-Grained Events in Video", ECCV 2022.
"""

from __future__ import annotations

from torch import Tensor, nn

from e2espot.core.errors import ConfigurationError

TEMPORAL_ARCHS = ("", "gru", "deeper_gru")
"""What ``-t`` accepts; the empty string is a linear layer on each frame."""


class TemporalHead(nn.Module):
    """Base of the heads: reads features along time, then tells classes from what it has read."""

    hidden_dim: int

    def __init__(self, hidden_dim: int, num_outputs: int) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self._fc_out = nn.Sequential(nn.Dropout(0.5), nn.Linear(hidden_dim, num_outputs))

    def read(self, features_BTD: Tensor) -> Tensor:
        """Features -> what the head knows of each frame, ``(B, T, hidden_dim)``."""
        return features_BTD

    def classes(self, read_BTH: Tensor) -> Tensor:
        """What has been read -> ``logits_BTK``."""
        return self._fc_out(read_BTH)  # type: ignore[no-any-return]

    def forward(self, features_BTD: Tensor) -> Tensor:
        """Features -> ``logits_BTK``."""
        return self.classes(self.read(features_BTD))


class LinearHead(TemporalHead):
    """Each frame for itself."""


class GRUHead(TemporalHead):
    """Bidirectional GRU as wide as the features (at most 768), dropout, linear layer."""

    def __init__(self, feature_dim: int, num_outputs: int, num_layers: int) -> None:
        hidden = min(feature_dim, 768)
        super().__init__(2 * hidden, num_outputs)
        self._gru = nn.GRU(feature_dim, hidden, num_layers=num_layers, batch_first=True, bidirectional=True)

    def read(self, features_BTD: Tensor) -> Tensor:
        """Both directions of the last layer."""
        return self._gru(features_BTD)[0]  # type: ignore[no-any-return]


def build_head(temporal_arch: str, feature_dim: int, num_outputs: int) -> TemporalHead:
    """Head by E2E-Spot's name.

    Raises:
        ConfigurationError: unknown name.
    """
    if temporal_arch == "":
        return LinearHead(feature_dim, num_outputs)
    if temporal_arch in ("gru", "deeper_gru"):
        return GRUHead(feature_dim, num_outputs, num_layers=1 if temporal_arch == "gru" else 3)
    if temporal_arch in ("mstcn", "asformer"):
        raise ConfigurationError(
            f"temporal_arch {temporal_arch} is not supported: it has no proof of parity yet; "
            f"choose from {', '.join(repr(name) for name in TEMPORAL_ARCHS)}"
        )
    raise ConfigurationError(
        f"unknown temporal_arch {temporal_arch!r}; choose from {', '.join(repr(name) for name in TEMPORAL_ARCHS)}"
    )

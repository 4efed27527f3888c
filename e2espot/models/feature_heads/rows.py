"""Heads of this package on features: every row in its context, as on the frames of a video.

    rows (T, D) -- Linear --> (T, 256) -- GRU or transformer --> logits, displacement ... of each row

Shapes: B clips, T rows, D values of a row, H width of the encoding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from e2espot.models.heads import TemporalHead

_WIDTH = 256


class RowGRUHead(TemporalHead):
    """A linear layer to 256 values, then two layers of a bidirectional GRU."""

    def __init__(self, feature_dim: int, num_outputs: int) -> None:
        super().__init__(2 * _WIDTH, num_outputs)
        self._input = nn.Sequential(nn.Linear(feature_dim, _WIDTH), nn.ReLU(), nn.Dropout(0.2))
        self._gru = nn.GRU(_WIDTH, _WIDTH, num_layers=2, batch_first=True, bidirectional=True, dropout=0.2)

    def encode(self, features_BTD: Tensor) -> Tensor:
        """Hidden states of the last layer, both directions side by side."""
        return self._gru(self._input(features_BTD))[0]  # type: ignore[no-any-return]


class RowTransformerHead(TemporalHead):
    """A linear layer to 256 values, then three layers of a transformer with norms in front."""

    def __init__(self, feature_dim: int, num_outputs: int) -> None:
        super().__init__(_WIDTH, num_outputs)
        self._input = nn.Sequential(nn.Linear(feature_dim, _WIDTH), nn.ReLU(), nn.Dropout(0.2))
        layer = nn.TransformerEncoderLayer(
            _WIDTH, 8, dim_feedforward=4 * _WIDTH, dropout=0.1, batch_first=True, norm_first=True, activation="gelu"
        )
        self._layers = nn.TransformerEncoder(layer, 3, norm=nn.LayerNorm(_WIDTH), enable_nested_tensor=False)

    def encode(self, features_BTD: Tensor) -> Tensor:
        """Output of the last layer."""
        x = self._input(features_BTD)
        encoded_BTH: Tensor = self._layers(x + _positions(x.shape[1], x.device))
        return encoded_BTH


def _positions(count: int, device: torch.device) -> Tensor:
    """Sines and cosines of the row's number (Vaswani et al., 2017), ``(count, 256)``."""
    number_T1 = torch.arange(count, device=device, dtype=torch.float32)[:, None]
    frequency_F = torch.exp(torch.arange(0, _WIDTH, 2, device=device) * (-9.2103 / _WIDTH))  # ln 10000
    angle_TF = number_T1 * frequency_F
    return torch.stack((angle_TF.sin(), angle_TF.cos()), dim=-1).flatten(1)

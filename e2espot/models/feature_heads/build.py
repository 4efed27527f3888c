"""Heads on features by name."""

from __future__ import annotations

from e2espot.core.errors import ConfigurationError
from e2espot.models.feature_heads.calf import CalfHead
from e2espot.models.feature_heads.pooling import POOLS, PoolHead
from e2espot.models.heads import TEMPORAL_ARCHS, TemporalHead, build_head

ROW_HEADS = ("rows_gru", "rows_transformer")
"""Heads that answer for every row."""
CHUNK_HEADS = (*POOLS, "calf")
"""Heads that answer for a window or a chunk as a whole."""
ChunkHead = PoolHead | CalfHead


def build_row_head(temporal_arch: str, feature_dim: int, num_outputs: int) -> TemporalHead:
    """A head over rows of features.

    Raises:
        ConfigurationError: unknown name.
    """
    from e2espot.models.feature_heads.rows import RowGRUHead, RowTransformerHead

    if temporal_arch == "rows_gru":
        return RowGRUHead(feature_dim, num_outputs)
    if temporal_arch == "rows_transformer":
        return RowTransformerHead(feature_dim, num_outputs)
    if temporal_arch in TEMPORAL_ARCHS:
        return build_head(temporal_arch, feature_dim, num_outputs)
    choices = ", ".join(map(repr, (*CHUNK_HEADS, *ROW_HEADS, *TEMPORAL_ARCHS)))
    raise ConfigurationError(
        f"unknown temporal_arch {temporal_arch!r} on features; choose from {choices}", option="temporal_arch"
    )


def build_chunk_head(temporal_arch: str, feature_dim: int, clip_len: int, num_classes: int) -> ChunkHead | None:
    """A head over windows or chunks; None where the name is that of a head over rows.

    Raises:
        ConfigurationError: chunks too short for the head.
    """
    if temporal_arch not in CHUNK_HEADS:
        return None
    if clip_len < (24 if temporal_arch == "calf" else 2):
        raise ConfigurationError(
            f"clip_len is {clip_len} rows; {temporal_arch} needs at least {24 if temporal_arch == 'calf' else 2}",
            option="clip_len",
        )
    if temporal_arch == "calf":
        return CalfHead(feature_dim, clip_len, num_classes)
    return PoolHead(temporal_arch, feature_dim, clip_len, num_classes + 1)

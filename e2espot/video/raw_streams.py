"""Raw streams (``.h264``, ``.hevc``), which state no times: pictures are counted, at the rate that the user gives."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.video.demux import Scan
from e2espot.video.packet_columns import NO_PTS

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path


def source_fps_error(path: Path, source_fps: Fraction) -> VideoError:
    """The error for a rate that is given for a file with times of its own."""
    return VideoError(
        f"{path}: source_fps is {source_fps}, and the file states the times of its pictures; leave it out",
        option="source_fps",
    )


def with_counted_times(scan: Scan, source_fps: Fraction) -> Scan:
    """The packets of a raw stream, with times that count them.

    Raises:
        VideoError: the file states times of its own.
    """
    if (scan.pts_M != NO_PTS).any() or (scan.dts_M != NO_PTS).any():
        raise source_fps_error(scan.path, source_fps)
    count_M = np.arange(len(scan.pts_M), dtype=np.int64)
    return dataclasses.replace(
        scan,
        time_base=1 / source_fps,
        average_rate=source_fps,
        pts_M=count_M,
        dts_M=count_M,
        duration_M=np.ones_like(count_M),
        first_pts=NO_PTS,
    )

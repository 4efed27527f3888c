"""Options of inference. This module imports neither torch nor a video library, so that `--help` stays fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from e2espot.core.device import Precision
from e2espot.core.errors import ConfigurationError
from e2espot.core.frame_size import parse_frame_size
from e2espot.core.open_arguments import OpenArguments
from e2espot.core.picture_options import PictureOptions
from e2espot.core.timeline import MAX_DURATION_S, parse_stated_fps

if TYPE_CHECKING:
    from fractions import Fraction

    from e2espot.video import Backend, BackendOption


@dataclass(frozen=True, kw_only=True)
class UserOptions(PictureOptions):
    """Options that the command line offers as well, under the same names."""

    allow_truncated: bool = False
    """Read a damaged or truncated video as far as it decodes; the results state which ranges were read."""
    video_stream: int | None = None
    """Which video stream of a file is read, counted from 0; by default the one that players choose."""
    source_fps: str | None = None
    """Pictures per second of raw streams (.h264, .hevc), which state no times, such as 25 or 30000/1001."""
    adapt: Literal["auto", "none", "statistics"] = "auto"
    """Adapt the network's batch norms to each video, without labels, after a first look at some frames of it: auto
    does so as far as the video differs from the training data, statistics always does, none never."""
    size: str = "auto"
    """Size at which the network sees the frames: trained, or width x height such as 512x288; auto is that of training,
    or what the weights say for footage unlike it."""
    flip: bool = False
    """Average with the scores of the mirrored video: slightly better, and twice the time."""
    look_ahead: float | None = None
    """Seconds after a frame that the head may see for its score, as in a live stream, or inf for all of its windows; by
    default what the weights say: see docs/inference.md."""
    cuda_graphs: bool = False
    """On CUDA, record the backbone's work once as a CUDA graph and replay it: for GPUs that wait for their CPU."""

    def frame_size(self) -> tuple[int, int] | None:
        """``size`` as (width, height); None for ``auto`` and ``trained``.

        Raises:
            ConfigurationError: not of that form, or out of range.
        """
        return None if self.size in ("auto", "trained") else parse_frame_size(self.size)

    def look_ahead_frames(self, fps: Fraction, default_s: float | None = None) -> int | None:
        """``look_ahead`` in frames of a grid; None for no limit.

        Args:
            fps: Rate of the grid.
            default_s: What stands for a ``look_ahead`` of None: ``SpotterSpec.look_ahead_s``.

        Raises:
            ConfigurationError: it is negative, or no number.
        """
        seconds = default_s if self.look_ahead is None else self.look_ahead
        if seconds is None or seconds == float("inf"):
            return None
        if not 0 <= seconds <= MAX_DURATION_S:
            raise ConfigurationError(
                f"look_ahead is {seconds}; give seconds from 0 on, or inf for all of the head's windows",
                option="look_ahead",
            )
        return round(seconds * float(fps))


@dataclass(frozen=True, kw_only=True)
class InferenceOptions(UserOptions):
    """How a video is run through a spotter."""

    reader: BackendOption | Backend = "auto"
    """What decodes the video."""
    chunk_len: int | None = None
    """Frames decoded at a time; None for a length that suits the device."""
    read_ahead: int = 2
    """Decoded chunks that may wait for the network."""
    piece_len: int | None = None
    """Frames the backbone processes at a time; None for a length that suits the device."""
    precision: Precision = "auto"
    """Number format of the backbone."""
    causal_ball: bool | None = None
    """Whether smoothing the map of the ball sees earlier frames only; None where ``look_ahead`` is a number."""

    def is_ball_causal(self) -> bool:
        """``causal_ball``, with the default resolved."""
        if self.causal_ball is not None:
            return self.causal_ball
        return self.look_ahead is not None and self.look_ahead != float("inf")

    def frames_per_chunk(self, device: str) -> int:
        """``chunk_len``, or what suits a type of device: a few chunks wait in memory, and a GPU takes one at a time."""
        return self.chunk_len or (32 if device == "cpu" else 64)

    @property
    def opening(self) -> OpenArguments:
        """How files are opened, for the functions of ``e2espot.video``.

        Raises:
            ConfigurationError: ``source_fps`` is no rate.
        """
        return {
            "allow_truncated": self.allow_truncated,
            "video_stream": self.video_stream,
            "source_fps": parse_stated_fps(self.source_fps, "source_fps"),
        }

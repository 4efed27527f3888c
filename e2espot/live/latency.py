"""How the time from a picture to the lines of its events is divided among what needs it."""

from __future__ import annotations

from e2espot.core.errors import ConfigurationError
from e2espot.models.spotter import Spotter
from e2espot.suppression.calibration import Calibration

SUPPRESSION_SHARE = 0.33
"""Share of the time that is left which the suppression gets, up to its window: a second more for the head is worth more
than one for the suppression (``docs/live.md``)."""


def look_ahead_within(spotter: Spotter, allowed_s: float | None) -> float | None:
    """Look-ahead of a spotter's head in seconds, where at most ``allowed_s`` are; None for all of its windows."""
    own_s = spotter.spec.look_ahead_s
    return allowed_s if own_s is None else own_s if allowed_s is None else min(own_s, allowed_s)


def plan_latency(
    spotter: Spotter, calibration: Calibration, latency_s: float, *, compute_s: float = 0.1
) -> tuple[float, float, int]:
    """Divide the time from a picture to the line among what needs it.

    Args:
        spotter: Its backbone is ``halo`` frames late.
        calibration: The windows of its suppressions are all that these need.
        latency_s: From a picture to the lines of its events.
        compute_s: What computing takes.

    Returns:
        Look-ahead of the head in seconds, delay of the suppression in seconds, frames that are processed at a time.

    Raises:
        ConfigurationError: the network alone takes longer.
    """
    fps = float(spotter.fps)
    piece = max(1, min(16, round(latency_s * fps / 16)))
    # The picture after a frame shows that the frame is over, and the frames of a piece wait for its last one.
    fixed_s = (spotter.halo + piece + 1) / fps + compute_s
    left_s = latency_s - fixed_s
    if left_s < 0:
        raise ConfigurationError(
            f"latency is {latency_s:g} s; this network needs at least {fixed_s:.1f} s: its backbone sees "
            f"{spotter.halo} frames ahead",
            option="latency",
        )
    window_s = max(s.window_s for s in (calibration.suppression, *calibration.by_class.values()))
    delay_s = min(window_s, left_s * SUPPRESSION_SHARE)
    return min(left_s - delay_s, spotter.spec.clip_len / fps), delay_s, piece

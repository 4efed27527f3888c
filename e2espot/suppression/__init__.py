"""Scores to events: non-maximum suppression, and the calibration stored with a run."""

from e2espot.suppression.calibration import Calibration, apply_calibration, read_calibration
from e2espot.suppression.nms import Suppression, suppress

__all__ = ["Calibration", "Suppression", "apply_calibration", "read_calibration", "suppress"]

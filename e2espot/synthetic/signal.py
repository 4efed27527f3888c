"""The way of a painted picture to the file: lens, sharpening, scaling, colours, an earlier compression."""

from __future__ import annotations

import cv2
import numpy as np

from e2espot.synthetic.television import Television


def transmit(frame: np.ndarray, television: Television, size: tuple[int, int], lens_px: float) -> np.ndarray:
    """A picture of ``size`` (width, height) from the larger painted one, uint8 BGR.

    Args:
        frame: uint8 BGR, painted ``television.oversampling`` times as large.
        television: what happens on the way.
        size: of the result.
        lens_px: sigma of the lens in pixels of ``frame``, 0 none.
    """
    if lens_px:
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), lens_px))
    if television.halo_early:
        frame = _sharpen(frame, television.halo, 1.3)
    if (frame.shape[1], frame.shape[0]) != size:
        frame = np.asarray(cv2.resize(frame, size, interpolation=television.scaler))
    if not television.halo_early:
        frame = _sharpen(frame, 0.6 * television.halo, 0.8)
    return np.asarray(cv2.LUT(cv2.transform(frame, television.colours_34), television.curve_256))


def _sharpen(frame: np.ndarray, strength: float, sigma: float) -> np.ndarray:
    """Unsharp masking: edges get a bright and a dark rim."""
    if not strength:
        return frame
    return np.asarray(cv2.addWeighted(frame, 1 + strength, cv2.GaussianBlur(frame, (0, 0), sigma), -strength, 0))


def recompress(frame: np.ndarray, quality: int) -> np.ndarray:
    """The picture after an earlier generation of compression; unchanged with quality 0."""
    if not quality:
        return frame
    packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))

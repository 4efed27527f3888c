"""The way of a picture to the file: lens, sharpening, scaling, colours, graphics, an earlier compression, noise."""

from __future__ import annotations

import cv2
import numpy as np

from e2espot.synthetic.graphics import Graphics, draw_graphics
from e2espot.synthetic.look import Look
from e2espot.synthetic.television import Television


def televise(
    frame: np.ndarray, picture: int, look: Look, graphics: Graphics, size: tuple[int, int], *, live: bool
) -> np.ndarray:
    """Everything between a televised picture as it is drawn and the noise: lens, signal, graphics, compression.

    Args:
        frame: uint8 BGR, as it is drawn.
        picture: Its number in the video, at 25 a second.
        look: That of a televised match.
        graphics: What is laid over the pictures.
        size: Width and height of the video.
        live: Whether it is of the main camera, over which the score is shown.
    """
    television = look.television
    assert television is not None, "a plain match is not televised"
    frame = transmit(frame, television, size, look.blur * frame.shape[0] / 224)
    draw_graphics(frame, graphics, picture / 25, live=live)
    return recompress(frame, television.quality)


def grain_bank(rng: np.random.Generator, look: Look, size: tuple[int, int]) -> np.ndarray:
    """A tile of sensor noise from which every picture takes its own window."""
    noise = rng.normal(128, look.grain, (size[1] * 2, size[0] * 2, 1))
    return np.asarray(np.clip(np.round(noise), 0, 255).astype(np.uint8).repeat(3, axis=2))


def add_grain(frame: np.ndarray, grain: np.ndarray, picture: int) -> np.ndarray:
    """The picture with noise. Each takes another window of the tile, so that it does not repeat."""
    high, wide = frame.shape[:2]
    x, y = (picture * 131) % wide, (picture * 67) % high
    return np.asarray(cv2.addWeighted(frame, 1.0, grain[y : y + high, x : x + wide], 1.0, -128.0))


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

r"""Colours at the network's size: DALI's RGB converted to what FFmpeg's swscale makes of the same picture.

PyAV and decord scale and convert in one call of swscale. DALI gives RGB of the full size, by BT.601 whatever the stream
declares, with interpolated chroma. swscale differs from the standards in two ways, and networks are trained with its
pictures, so the graph takes DALI's conversion back and repeats swscale's:

* two neighbouring columns share their chroma (unless the width is odd);
* it computes in whole steps, rounded down, so that pictures are up to two grey levels too dark.

::

    DALI's RGB, full size -- scaled to w x h --------------------------------> Y, in whole steps --------+
                          \- Cb, Cr as stored -- scaled to w/2 x h, doubled --> Cb, Cr, in whole steps --+-> RGB

What DALI has clipped, luma beyond 16 to 235 and colours beyond RGB, stays clipped.
Measured on nine clips: see docs/dali.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dali_pipelines.graph import dali
from e2espot.core.pixels import YUV_RED_BLUE

if TYPE_CHECKING:
    from e2espot.video import VideoIndex
    from e2espot.video.packets import PacketSource

_CENTRE = 128
"""Code of no chroma."""
_FULL_RANGE = 2
"""FFmpeg's number of the range that it calls jpeg."""
_INVERSE = np.sqrt(2) * (2 * np.sqrt(2) - 3) ** np.abs(np.arange(-3, 4))
_SHARPEN = _INVERSE / _INVERSE.sum()
"""Inverse of (1/8, 3/4, 1/8), cut off after three samples: 1.41, -0.24, 0.04, -0.01. Chroma is interpolated to 3/4 of a
sample and 1/4 of its neighbour, on either side; the mean of both is 3/4 of the sample and 1/8 of each neighbour."""
_TABLE_BLACK = 326 * 255 / 219 - 400
"""Grey level of luma code 0 in swscale's table for limited range: entry 326 of one that begins at -(384 + 16)."""


@dataclass(frozen=True, kw_only=True)
class SourceColours:
    """What the conversion of a stream's pictures depends on."""

    size: tuple[int, int]
    """Width and height of a picture."""
    matrix: str
    """YUV matrix that the stream declares."""
    full_range: bool
    """Whether it declares luma codes of 0 to 255, not 16 to 235."""
    is_tagged_full: bool = False
    """Whether DALI gets copies that declare full range, though their codes are of limited range."""


def source_colours(index: VideoIndex, packets: PacketSource) -> SourceColours:
    """The pictures of an indexed stream; ``packets`` is the open file."""
    is_tagged_full = int(packets.stream.codec_context.color_range) == _FULL_RANGE
    return SourceColours(
        size=(index.coded_width, index.coded_height),
        matrix=index.matrix,
        full_range=is_tagged_full or index.pixel_format.startswith("yuvj"),
    )


@dataclass(frozen=True, kw_only=True)
class SwscaleStyle:
    """Which of swscale's ways a picture takes; it depends on sizes only."""

    shares_chroma: bool
    """Whether two neighbouring columns share their chroma. Otherwise swscale computes exactly, as the standards do."""
    scales: bool
    """Whether it scales at all."""
    rounding: float
    """Added to luma and chroma before they are rounded down to whole steps: 1/2, or 0 where two rows are mixed."""


def swscale_style(source: tuple[int, int], size: tuple[int, int]) -> SwscaleStyle:
    """The way of a picture from ``source`` to ``size``, both (width, height)."""
    return SwscaleStyle(
        shares_chroma=size[0] % 2 == 0,
        scales=source != size,
        # Enlarging mixes two rows, by other code than that for one row or more than two.
        rounding=0.0 if size[1] > source[1] else 0.5,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class YuvCodes:
    """The affine map from the codes of Y, Cb, Cr that a file stores to RGB in 0 .. 255."""

    to_rgb_33: np.ndarray
    """Grey levels of one step of each code."""
    offset_3: np.ndarray
    """Codes of black."""
    luma_gain: float
    """Grey levels of one step of luma."""
    red_of_cr: float
    """Grey levels of one step of Cr in red."""
    green_of_cb: float
    """The same of Cb in green; negative."""
    green_of_cr: float
    """The same of Cr in green; negative."""
    blue_of_cb: float
    """The same of Cb in blue."""


def yuv_codes(matrix: str, *, full_range: bool) -> YuvCodes:
    """Codes of a stream (ITU-R BT.601 and BT.709, sections 2.5 and 3).

    Args:
        matrix: Its matrix, by which RGB is made of the codes.
        full_range: Whether luma takes all codes, not only 16 to 235.
    """
    luma_span, chroma_span = (255, 255) if full_range else (219, 224)
    red, blue = YUV_RED_BLUE.get(matrix, YUV_RED_BLUE["bt601"])
    rgb_33 = rgb_from_yuv(red, blue) * 255 / np.array([luma_span, chroma_span, chroma_span])
    return YuvCodes(
        to_rgb_33=rgb_33,
        offset_3=np.array([0 if full_range else 16, _CENTRE, _CENTRE], dtype=np.float64),
        luma_gain=255 / luma_span,
        red_of_cr=float(rgb_33[0, 2]),
        green_of_cb=float(rgb_33[1, 1]),
        green_of_cr=float(rgb_33[1, 2]),
        blue_of_cb=float(rgb_33[2, 1]),
    )


def colour_correction(matrix: str) -> np.ndarray:
    """Matrix by which DALI's RGB becomes the RGB of the stream's own YUV matrix; float64 ``(3, 3)``.

    DALI converts by BT.601 whatever the stream declares. Luma and range are common to all matrices, so going back to
    YUV by BT.601 and forth by the right matrix undoes it, except for values that were clipped. The rows sum to 1:
    grey stays grey.
    """
    if matrix not in YUV_RED_BLUE:
        return np.eye(3)
    declared, assumed = rgb_from_yuv(*YUV_RED_BLUE[matrix]), rgb_from_yuv(*YUV_RED_BLUE["bt601"])
    return np.eye(3) if matrix == "bt601" else declared @ np.linalg.inv(assumed)


def rgb_from_yuv(red: float, blue: float) -> np.ndarray:
    """Full-range Y, Cb, Cr to RGB (ITU-R BT.601 and BT.709, section 3), by the weights of red and blue in luma."""
    green = 1 - red - blue
    return np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ]
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class AffineColours:
    """An affine change of RGB in 0 .. 255."""

    matrix_33: np.ndarray
    """float64."""
    offset_3: np.ndarray
    """float64; grey levels."""


def swscale_colours(source: SourceColours, size: tuple[int, int]) -> AffineColours:
    """From DALI's RGB to swscale's on average, without its steps and shared columns: enough where clips are augmented.

    ::

        BT.709, limited range, scaled   -> (-2.3, -1.8, -2.1) grey levels
        not scaled                      -> (-1.0, -1.5, -1.0)
    """
    style, codes = swscale_style(source.size, size), yuv_codes(source.matrix, full_range=source.full_range)
    matrix_33 = colour_correction(source.matrix)
    gains_2 = np.array([codes.green_of_cb, codes.green_of_cr])
    if not style.shares_chroma:
        offset_3 = np.zeros(3)
    elif style.scales:
        gain, black = codes.luma_gain, codes.offset_3[0]
        table = gain * (black + style.rounding - 0.5) + (0.0 if source.full_range else _TABLE_BLACK)

        def lost(chroma_gains: np.ndarray) -> float:
            # floor(code * g) - floor(128 * g) is (code - 128) * g, less 1/2 on average, plus the fraction of 128 * g.
            shift = chroma_gains / gain
            return float(((style.rounding - 0.5) * shift - 0.5 + _CENTRE * shift % 1).sum() * gain)

        offset_3 = table + np.array(
            [lost(np.array([codes.red_of_cr])), lost(gains_2), lost(np.array([codes.blue_of_cb]))]
        )
    else:
        # Luma, and one or two parts of chroma, each rounded down; luma of full range is a whole number anyway.
        offset_3 = np.array([-0.5, -1.0, -0.5]) - (0.0 if source.full_range else 0.5)
    return AffineColours(matrix_33=matrix_33, offset_3=offset_3)


def swscale_node(video: Any, source: SourceColours, size: tuple[int, int]) -> Any:
    """Node that scales and converts DALI's pictures as swscale would.

    Args:
        video: uint8 FHWC, RGB by BT.601, of the stream's size.
        source: The stream.
        size: (width, height) asked for.

    Returns:
        uint8 FHWC of ``size``.
    """
    fn, types, floor = dali().fn, dali().types, dali().math.floor
    width, height = size
    style, codes = swscale_style(source.size, size), yuv_codes(source.matrix, full_range=source.full_range)
    stored = yuv_codes("bt601", full_range=source.full_range or source.is_tagged_full)
    linear = {"interp_type": types.INTERP_LINEAR, "antialias": True, "dtype": types.FLOAT}
    if not style.shares_chroma:
        scaled = fn.resize(video, size=(height, width), **linear)
        to_rgb_33 = codes.to_rgb_33 @ np.linalg.inv(stored.to_rgb_33)
        offset_3 = codes.to_rgb_33 @ (stored.offset_3 - codes.offset_3)
        return fn.coord_transform(scaled, M=to_rgb_33.ravel().tolist(), T=offset_3.tolist(), dtype=types.UINT8)
    black, centre, _ = codes.offset_3
    luma = _stored_luma_node(video, stored)
    # Cr, Cb, Cb, of which red, green and blue are made; green takes Cr as well.
    chroma = _stored_chroma_node(video, luma, source, stored)
    # From the codes as stored to whole steps of the size asked for.
    luma = floor(fn.resize(luma, size=(height, width), **linear) + style.rounding)
    if style.scales:
        chroma = fn.resize(chroma, size=(height, width // 2), **linear)
        chroma = floor(chroma + style.rounding)
    chroma = fn.resize(chroma, size=(height, width), interp_type=types.INTERP_NN, dtype=types.FLOAT)
    gains = np.diag([codes.red_of_cr, codes.green_of_cb, codes.blue_of_cb]), np.zeros((3, 3))
    gains[1][1, 0] = codes.green_of_cr
    if style.scales:
        # Chroma is a shift in a table of luma, of whole steps. What chroma of no colour shifts by is taken off.
        for gain_33 in gains:
            shift_33 = _table_steps(gain_33, source.full_range)
            luma = luma + floor(_transform(chroma, shift_33, -np.floor(centre * shift_33.sum(axis=1))))
        rgb = floor(luma * codes.luma_gain + (0.5 if source.full_range else _TABLE_BLACK + 0.5))
    else:
        rgb = floor(_transform(luma, np.eye(3) * codes.luma_gain, -black * codes.luma_gain))
        for gain_33 in gains:
            rgb = rgb + floor(_transform(chroma, gain_33, -centre * gain_33.sum(axis=1)))
    return fn.cast(dali().math.clamp(rgb, 0.0, 255.0), dtype=types.UINT8)


def _table_steps(gain_33: np.ndarray, full_range: bool) -> np.ndarray:
    """Steps of luma for one of chroma, as swscale's tables have them: 65,536ths, rounded in its own way.

    ::

        Cb to green, BT.601   -0.391762 / 1.164384 * 65536 = -22049.9 -> -22049

    That looks like nothing, but makes code 107 fall by 36 steps instead of 37, and grass has such codes.
    """
    one = 1 << 16
    # In C, as in np.trunc, division rounds to zero; luma's own step is rounded down before.
    luma_step = one if full_range else one * 255 // 219
    # The coefficients are stored for limited range.
    coefficient_33 = np.rint(gain_33 * one * (255 / 224 if full_range else 1))
    if full_range:
        coefficient_33 = np.trunc(coefficient_33 * 224 / 255)
    return np.asarray(np.trunc((coefficient_33 * one + one / 2) / luma_step) / one)


def _stored_luma_node(video: Any, stored: YuvCodes) -> Any:
    """Luma codes of the file, three times each, uint8 FHWC: the rounding of RGB is undone, since codes are whole."""
    luma_33 = np.stack([np.linalg.inv(stored.to_rgb_33)[0]] * 3)
    black_3 = [float(stored.offset_3[0])] * 3
    return dali().fn.coord_transform(video, M=luma_33.ravel().tolist(), T=black_3, dtype=dali().types.UINT8)


def _stored_chroma_node(video: Any, luma: Any, source: SourceColours, stored: YuvCodes) -> Any:
    """Codes (Cr, Cb, Cb) of each chroma sample of the file, float FHWC of half the size; DALI has interpolated them.

    RGB is rounded, which sharpening multiplies. So luma, whose codes are known by now, is taken off first; chroma is
    the least-squares solution of the rest. On footage one to nine samples in a thousand are then a step off.
    """
    fn, types = dali().fn, dali().types
    width, height = ((extent + 1) // 2 for extent in source.size)

    def mean(pixels: Any) -> Any:
        # Unfiltered, a pixel of half the size is the mean of the four around its chroma sample.
        return fn.resize(
            pixels, size=(height, width), roi_start=(0, 0), roi_end=(2 * height, 2 * width),
            interp_type=types.INTERP_LINEAR, antialias=False, dtype=types.FLOAT,
        )  # fmt: skip

    # Least squares: two codes from three channels less the grey of luma.
    cb, cr = np.linalg.pinv(stored.to_rgb_33[:, 1:])
    chroma_33 = np.stack([cr, cb, cb])
    of_luma_3 = chroma_33.sum(axis=1) * stored.luma_gain
    blurred = _transform(mean(video), chroma_33, of_luma_3 * stored.offset_3[0])
    blurred = blurred - _transform(mean(luma), np.diag(of_luma_3), 0.0)
    convolve = fn.filter if hasattr(fn, "filter") else fn.experimental.filter
    sharp = convolve(blurred, np.outer(_SHARPEN, _SHARPEN).astype(np.float32), border="reflect_1001")
    return dali().math.floor(sharp + (_CENTRE + 0.5))


def _transform(pixels: Any, matrix_33: np.ndarray, offset_3: np.ndarray | float) -> Any:
    offset_3 = np.broadcast_to(offset_3, 3)
    return dali().fn.coord_transform(
        pixels, M=matrix_33.ravel().tolist(), T=offset_3.tolist(), dtype=dali().types.FLOAT
    )

"""What DALI may be given: which files it decodes, which frames reach it decoded, by which colours.

Pure decisions, made without DALI, so that they can be read and tested anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from e2espot.core.errors import ConfigurationError
from e2espot.video import Presentation, index_of
from e2espot.video.index import begun_cleanly

Road = Literal["decode", "host"]
"""``decode``: DALI decodes stream-copied cuts. ``host``: it is given pictures that PyAV has decoded."""

_CPU_CODECS = ("vp8", "vp9", "mjpeg")
_GPU_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg")
_FORMATS = {
    "h264": ("yuv420p", "yuvj420p"),
    "hevc": ("yuv420p", "yuvj420p", "yuv420p10le"),
    "vp8": ("yuv420p",),
    "vp9": ("yuv420p", "yuvj420p", "yuv420p10le"),
    "av1": ("yuv420p", "yuvj420p", "yuv420p10le"),
    "mpeg4": ("yuv420p",),
    "mjpeg": ("yuvj420p", "yuv420p"),
}
_LONGEST_SEGMENT = 1500
"""Pictures between two places where decoding can begin; beyond, cutting clips out costs more than it saves."""

# Weights of red and blue in luma, by FFmpeg's names of the matrices.
_LUMA = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}


def dali_index(path: Path, *, allow_truncated: bool = False) -> Presentation:
    """The index of a file with the only starts that NVDEC takes: after any other key picture it gives nothing."""
    return begun_cleanly(index_of(path, allow_truncated=allow_truncated))


def road_of(presentation: Presentation, device_type: str) -> tuple[Road, str]:
    """The road a file takes and the reason.

    Args:
        presentation: From ``dali_index``.
        device_type: ``cpu`` or ``cuda``.

    Raises:
        ConfigurationError: DALI's CPU backend does not know the codec.
    """
    codec, layout = presentation.codec_name, presentation.pixel_format
    if device_type == "cpu" and codec not in _CPU_CODECS:
        raise ConfigurationError(
            f"{presentation.path}: DALI's CPU backend does not decode {codec}, only {', '.join(_CPU_CODECS)}; "
            "use --reader decord or auto, or a CUDA device"
        )
    if codec not in _GPU_CODECS or layout not in _FORMATS[codec]:
        return "host", f"NVDEC does not decode {codec} in {layout}"
    if presentation.rotation_degrees:
        return "host", f"its pictures are shown turned by {presentation.rotation_degrees} degrees"
    if presentation.order == "decoded":
        return "host", "its time stamps do not tell its pictures apart"
    if not presentation.clean_S[0]:
        return "host", "its first picture needs others before it"
    ends = np.append(presentation.start_picture_S[1:], presentation.num_pictures)
    longest = int((ends - presentation.start_picture_S).max())
    if longest > _LONGEST_SEGMENT:
        return "host", f"{longest} pictures lie between two places where decoding can begin; tools/transcode.py helps"
    return "decode", f"{codec} in {layout}"


def colour_correction(matrix: str) -> np.ndarray:
    """float64 ``(3, 3)`` by which DALI's RGB becomes the RGB of a stream's own YUV matrix.

    DALI converts by BT.601 whatever the stream says. Luma and range are common to all
    matrices, so one product undoes it, but for values that were clipped.
    """
    if matrix not in _LUMA:
        return np.eye(3)
    right, wrong = _rgb_of_yuv(*_LUMA[matrix]), _rgb_of_yuv(*_LUMA["bt601"])
    return np.eye(3) if matrix == "bt601" else right @ np.linalg.inv(wrong)


def _rgb_of_yuv(red: float, blue: float) -> np.ndarray:
    """Full-scale Y, Cb, Cr to RGB (ITU-R BT.601 and BT.709, section 3)."""
    green = 1 - red - blue
    return np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ]
    )

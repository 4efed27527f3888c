"""Decoding routes: which files DALI decodes.

Pure decisions, made without DALI, so that they can be read and tested anywhere.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, Unpack

from e2espot.core.errors import ConfigurationError
from e2espot.core.open_arguments import OpenArguments
from e2espot.core.picture_options import PictureOptions
from e2espot.video import VideoIndex, index_of
from e2espot.video.index import closed_gops_only
from e2espot.video.parts import indexes_of
from e2espot.video.preparation import PLAIN, Preparation, preparation_of
from e2espot.video.stream_copy import why_inexact

_LOG = logging.getLogger(__name__)

DecodeRoute = Literal["decode", "host"]
"""``decode``: DALI decodes stream copies. ``host``: PyAV decodes on the CPU."""

_CPU_CODECS = ("vp8", "vp9", "mjpeg")
_GPU_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg")
_PIXEL_FORMATS = {
    "h264": ("yuv420p", "yuvj420p"),
    "hevc": ("yuv420p", "yuvj420p", "yuv420p10le"),
    "vp8": ("yuv420p",),
    "vp9": ("yuv420p", "yuvj420p", "yuv420p10le"),
    "av1": ("yuv420p", "yuvj420p", "yuv420p10le"),
    "mpeg4": ("yuv420p",),
    "mjpeg": ("yuvj420p", "yuv420p"),
}
_MAX_SEGMENT = 1500
"""Pictures between two positions where decoding can begin; beyond, cutting clips costs more than it saves."""


def dali_index(path: Path, **opening: Unpack[OpenArguments]) -> VideoIndex:
    """The index of a file with closed GOPs only: from any other keyframe NVDEC outputs nothing."""
    return closed_gops_only(index_of(path, **opening))


def choose_route(index: VideoIndex, device_type: str, preparation: Preparation = PLAIN) -> tuple[DecodeRoute, str]:
    """The route that a file takes, and the reason.

    Args:
        index: From ``dali_index``.
        device_type: ``cpu`` or ``cuda``.
        preparation: What is done to its pictures; DALI can crop them.

    Raises:
        ConfigurationError: DALI's CPU backend does not support the codec.
    """
    codec, pixel_format = index.codec_name, index.pixel_format
    if device_type == "cpu" and codec not in _CPU_CODECS:
        raise ConfigurationError(
            f"{index.path}: DALI's CPU backend does not decode {codec}, only {', '.join(_CPU_CODECS)}; "
            "choose decord or auto as the reader, or a CUDA device",
            option="reader",
        )
    if codec not in _GPU_CODECS or pixel_format not in _PIXEL_FORMATS[codec]:
        return "host", f"NVDEC does not decode {codec} in {pixel_format}"
    if codec == "av1" or (index.shows_again and device_type == "cuda"):
        # DALI counts what NVDEC decodes. To show an earlier picture again, as most AV1 encoders do, decodes nothing.
        return "host", f"DALI miscounts {codec.upper()} pictures that show an earlier one"
    if index.rotation_degrees or index.is_mirrored:
        how = "mirrored" if index.is_mirrored else f"rotated by {index.rotation_degrees} degrees"
        return "host", f"its pictures are {how} for display"
    if index.fields != "none":
        return "host", "its pictures are stored as fields"
    reason = _why_not_prepared(preparation) or why_inexact(index)
    if reason is not None:
        return "host", reason
    if index.last_is_missing:
        return "host", "its last picture does not decode"
    if not index.is_closed_gop_S[0]:
        return "host", "its first picture refers to packets before it"
    longest = index.longest_segment
    if longest > _MAX_SEGMENT:
        return "host", (f"{longest} pictures follow one keyframe; `e2espot transcode` helps")
    return "decode", f"{codec} in {pixel_format}"


def _why_not_prepared(preparation: Preparation) -> str | None:
    """Why DALI cannot prepare pictures; None if it can."""
    if preparation.deinterlace is not None:
        return "its pictures are interlaced"
    return f"its pictures are HDR ({preparation.hdr.transfer.upper()})" if preparation.hdr is not None else None


def is_decodable(
    path: Path,
    device_type: str,
    *,
    pictures: PictureOptions | None = None,
    **opening: Unpack[OpenArguments],
) -> bool:
    """Whether DALI decodes a file, or all files of a match, on a device; the reason is logged if not.

    With ``pictures``, which say how pictures may be prepared, a first look is taken at the files, and what they need is
    part of the answer.

    Raises:
        VideoError: see ``index_video``.
        ConfigurationError: DALI's CPU backend does not support the codec.
    """
    decodable = True
    for index in indexes_of(path, **opening):
        preparation = PLAIN if pictures is None else preparation_of(index, pictures)
        route, reason = choose_route(closed_gops_only(index), device_type, preparation)
        if route == "host":
            _LOG.info("%s: decoded by the CPU: %s", index.path, reason)
            decodable = False
    return decodable

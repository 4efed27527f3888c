"""Stream copies tagged as full range: a decoder that converts to RGB then clips nothing beyond 16 to 235.

The codes of the pictures stay as they are, only the tag says 0 to 255, so that the caller does the arithmetic of the
true range::

    luma code          10    16   235   250
    RGB, as declared    0     0   255   255      clipped, so scaling mixes other values than the stored ones
    RGB, tagged full   10    16   235   250
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2espot.core.errors import VideoError, one_line
from e2espot.video.keyframes import length_prefix_size
from e2espot.video.stream_format import parameter_sets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2espot.video.index import VideoIndex

_FILTERS = {
    "h264": "h264_metadata=video_full_range_flag=1",
    "hevc": "hevc_metadata=video_full_range_flag=1",
    "vp9": "vp9_metadata=color_range=pc",
}
"""Codec -> FFmpeg's filter that changes the tag; VP8 and MPEG-4 have none, Motion JPEG is of full range."""


def can_be_tagged(index: VideoIndex) -> bool:
    """Whether copies of a file can be tagged; codes of 10 bits are another share of the full range than of 8."""
    return index.codec_name in _FILTERS and index.pixel_format == "yuv420p"


class CannotBeTaggedError(VideoError):
    """The tag of a file, or of a damaged part of it, cannot be changed; untagged copies may still be decoded."""


class FullRangeTag:
    """Changes the tag in the packets of one copy, and in its codec header."""

    def __init__(self, source: Any, target: Any) -> None:
        """Tag packets of the stream ``source``; the header of the stream ``target`` is changed at once.

        Raises:
            CannotBeTaggedError: the codec header cannot be parsed.
        """
        from av.bitstream import BitStreamFilterContext
        from av.error import FFmpegError

        self._codec = source.codec_context.codec.canonical_name
        self._header = bytes(source.codec_context.extradata or b"")
        try:
            self._filter = BitStreamFilterContext(_FILTERS[self._codec], source, target)
        except FFmpegError as error:
            raise CannotBeTaggedError(f"the codec header cannot be tagged ({one_line(error)})") from None
        # FFmpeg's filter writes start codes into the header and into packets, in place of the lengths of MP4. A muxer
        # that is given such a header takes every packet to have them, so that one which passed would be lost.
        self._rewrites = length_prefix_size(self._codec, self._header) > 0
        # The filter has given the target the source's code of the codec, which another container may not know.
        target.codec_context.codec_tag = "\0" * 4

    def packets(self, packet: Any) -> Iterator[Any]:
        """Yield the tagged packet. One without a tag is not parsed where that is possible, and passes damaged or not.

        Raises:
            CannotBeTaggedError: the packet cannot be parsed.
        """
        from av.error import FFmpegError

        if not self._rewrites and not self._may_hold_tag(packet):
            yield packet
            return
        try:
            yield from self._filter.filter(packet)
        except FFmpegError as error:
            raise CannotBeTaggedError(f"a keyframe cannot be tagged ({one_line(error)})") from None

    def _may_hold_tag(self, packet: Any) -> bool:
        return packet.is_keyframe or bool(parameter_sets(self._codec, self._header, memoryview(packet)))

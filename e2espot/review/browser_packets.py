"""What a browser must be given so that it shows the right picture after a jump.

Measured in Chromium 156. After a jump it begins to decode at the last packet that the container flags as a keyframe,
by the header of the whole track:

- At an open GOP that is wrong. Pictures before the keyframe come out wrong or as a neighbour, and some files end in a
  decoding error. So a copy flags only those keyframes at which everything can be decoded; where those are far apart,
  no copy is made (see ``encoded_fragments``)::

      packets, in file order    I0  P3  B1  B2 | I6  B4  B5  P9 | ...     B4 and B5 refer to P3 as well
      key flags of the file     x                x
      key flags of the copy     x                                         a jump to 9 decodes from I0

- Of several codec headers (MP4: sample descriptions) it uses the first one. So a copy holds the parameter sets in each
  keyframe too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from e2espot.video.container import NEW_HEADER
from e2espot.video.index import VideoIndex
from e2espot.video.keyframes import length_prefix_size

_MAX_DECODED = 500
"""Most pictures that a jump may decode: a second or two at 1080p."""


class NotForBrowsersError(Exception):
    """No copy of the packets would be shown rightly by browsers; the message is a clause that names the reason."""


def has_open_gops(index: VideoIndex) -> bool:
    """Whether browsers, which play H.264 only of the codecs that have open GOPs, would begin to decode at one."""
    return index.codec_name == "h264" and not bool(index.is_closed_gop_S.all())


def needs_closed_flags(index: VideoIndex) -> bool:
    """Whether the file must be copied with key flags at closed GOPs only.

    Raises:
        NotForBrowsersError: Closed GOPs are so far apart that jumps would take long, and pictures refer across open
            ones.
    """
    if not has_open_gops(index):
        return False
    starts = [*index.start_packet_S[closed_starts(index)].tolist(), index.num_packets]
    if max(np.diff(starts)) <= _MAX_DECODED:
        return True
    if not _has_leading_pictures(index):
        return False
    raise NotForBrowsersError("its pictures refer to others across keyframes (open GOP)")


def closed_starts(index: VideoIndex) -> np.ndarray:
    """Bool ``(S,)``; segments at which a browser can begin: the first one, and all that are closed GOPs."""
    closed_S = index.is_closed_gop_S.copy()
    closed_S[0] = True
    return closed_S


def _has_leading_pictures(index: VideoIndex) -> bool:
    """Whether packets after an open keyframe are displayed before it.

    ::

        packets    I6  B4  B5  P9     earliest from I6 on: 4 < 6
    """
    earliest_from_here_M = np.minimum.accumulate(index.pts_M[::-1])[::-1]
    starts = index.start_packet_S[~index.is_closed_gop_S]
    return bool((earliest_from_here_M[starts] < index.pts_M[starts]).any())


class HeadersInKeyframes:
    """Writes the parameter sets in force into each keyframe of a track with several codec headers."""

    def __init__(self, index: VideoIndex, header: bytes) -> None:
        """Begin a file.

        Args:
            index: Its index.
            header: The first codec header of the stream.
        """
        self._prefix_size = length_prefix_size("h264", header)
        is_wanted = index.codec_name == "h264" and index.format_change_packet is not None
        self._is_wanted = is_wanted and self._prefix_size > 0  # others have them in their keyframes anyway
        self._header = header

    def apply(self, packet: Any) -> Any:
        """The next packet of the video, with the parameter sets before its own content if it is a keyframe.

        Raises:
            NotForBrowsersError: The headers cannot be combined in one track.
        """
        import av

        if not self._is_wanted:
            return packet
        if packet.has_sidedata(NEW_HEADER):
            self._header = bytes(packet.get_sidedata(NEW_HEADER))
            if length_prefix_size("h264", self._header) != self._prefix_size:
                raise NotForBrowsersError("its codec header changes in a way that browsers do not play")
        elif not packet.is_keyframe:
            return packet
        units = parameter_sets_of_header(self._header)
        changed: Any = av.Packet(
            b"".join(len(unit).to_bytes(self._prefix_size, "big") + unit for unit in units) + bytes(packet)
        )
        changed.stream, changed.time_base = packet.stream, packet.time_base
        changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
        changed.is_keyframe = packet.is_keyframe
        return changed


def parameter_sets_of_header(header: bytes) -> list[bytes]:
    """Sequence and picture parameter sets of an H.264 header of MP4 or Matroska.

    ::

        5 bytes | 111 and number of SPS in 5 bits | (size, 2 bytes | SPS) ... | number of PPS | (size, 2 bytes | PPS)
        (ISO/IEC 14496-15, section 5.3.3)
    """
    units: list[bytes] = []
    offset = 5
    for mask in (31, 255):
        count, offset = header[offset] & mask, offset + 1
        for _ in range(count):
            size = int.from_bytes(header[offset : offset + 2], "big")
            units.append(header[offset + 2 : offset + 2 + size])
            offset += 2 + size
    return units

"""4:4:4 by versions of x264 before 151, which FFmpeg decodes in their own way once it has seen the version.

x264 names its version in a message (SEI) of the first packet alone, and a decoder forgets it when it is flushed. So it
is put before the packet at which decoding begins.
"""

from __future__ import annotations

import re
from typing import Any

from e2espot.video.keyframes import length_prefix_size, nal_units

_SEI = 6
_UUID = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")
"""With which x264 marks its message."""
_FIRST_CORRECT = 151


def version_message(extradata: bytes, first_packet: memoryview) -> bytes:
    """The message as stored, with its length or start code, if the version is an old one; else empty."""
    prefix_size = length_prefix_size("h264", extradata)
    for unit in nal_units(first_packet, prefix_size):
        version = re.search(rb"x264 - core (\d+)", bytes(unit)) if unit[0] & 31 == _SEI else None
        if version is not None and _UUID in bytes(unit) and int(version[1]) < _FIRST_CORRECT:
            return (len(unit).to_bytes(prefix_size, "big") if prefix_size else b"\0\0\0\1") + bytes(unit)
    return b""


def with_message(packet: Any, message: bytes) -> Any:
    """``packet`` with ``message`` before its own content."""
    import av

    changed: Any = av.Packet(message + bytes(packet))
    changed.stream, changed.time_base = packet.stream, packet.time_base
    changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
    changed.is_keyframe = packet.is_keyframe
    for side_data in packet.iter_sidedata():
        changed.set_sidedata(side_data)
    return changed

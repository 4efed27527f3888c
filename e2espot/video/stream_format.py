"""Where a stream goes on in another format: with pictures of another size, or with another codec header.

A file that was joined from two, or whose source changed, may change in the middle. A decoder that is given a copy of
some packets decodes all of them by the first header, into buffers of the first size. So a file that changes cannot be
copied; whether it does is known once all its packets were read::

    H.264, HEVC   parameter sets: NAL units in the container's header, and possibly in keyframes as well
    MPEG-4        a video object layer, in the same two
    VP8, MJPEG    the size in every keyframe
    VP9           the size in every packet: a picture may have another size than the pictures that it refers to
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2espot.video.keyframes import length_prefix_size, nal_units

if TYPE_CHECKING:
    from collections.abc import Iterator

Size = tuple[int, int]
"""Width and height in pixels."""

# Sequence and picture parameter sets: ITU-T H.264, table 7-1; ITU-T H.265, table 7-1.
_PARAMETER_SETS = {"h264": (7, 8), "hevc": (33, 34)}
_HEVC_SEQUENCE_SET = 33
_VP8_START_CODE = b"\x9d\x01\x2a"
_VP9_FRAME_MARKER, _VP9_SYNC_CODE = 2, 0x498342
_VP9_REFERENCES, _VP9_RGB = 3, 7
_VP9_TABLE_MARK, _VP9_HEADER_BYTES = 6, 12
_JPEG_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81, table B.1


class FormatTracker:
    """Follows the packets of a stream in file order, up to the first one in another format."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        """Begin a stream.

        Args:
            codec: FFmpeg's name of the codec.
            extradata: The stream's codec header.
        """
        self._codec, self._header = codec, extradata
        self._num_header_sets = _num_sequence_sets(codec, extradata)
        self._seen: set[bytes] = set()
        self._size: Size | None = None
        self.first_change: int | None = None
        """Number of the packet that is in another format; the caller counts."""
        self.shows_again = False
        """Whether a packet shows a picture that was decoded before, and holds none itself (VP9, "show existing")."""

    def may_change(self, packet: Any, *, is_keyframe: bool) -> bool:
        """Whether ``is_change`` must be asked about a packet of PyAV; it need not for most, nor after a change."""
        if self.first_change is not None:
            return False
        # To ask each packet for side data of one kind takes as long as to read it.
        is_vp9 = self._codec == "vp9"
        return is_keyframe or (not _is_plain_vp9(memoryview(packet)) if is_vp9 else any(packet.iter_sidedata()))

    def is_change(self, packet: memoryview, *, is_keyframe: bool, new_header: bytes | None = None) -> bool:
        """Whether a packet is in another format than those before.

        Args:
            packet: Its bytes.
            is_keyframe: Whether the container flags it as a keyframe.
            new_header: The codec header that the container puts in force with this packet; None for no new one.
        """
        if new_header is not None and new_header != self._header:
            return True
        if self._codec == "vp9":
            self.shows_again |= any(_shows_again_vp9(picture) for picture in _pictures_vp9(packet))
            return any(self._is_new_size(size) for size in _sizes_vp9(packet))
        if not is_keyframe:
            return False
        if self._codec in ("vp8", "mjpeg"):
            return self._is_new_size(_size_vp8(packet) if self._codec == "vp8" else _size_jpeg(packet))
        return self._num_header_sets > 1 or self._has_new_parameters(packet)

    def _is_new_size(self, size: Size | None) -> bool:
        self._size = self._size or size
        return size is not None and size != self._size

    def _has_new_parameters(self, packet: memoryview) -> bool:
        # A parameter set is stored in the container's header byte for byte as in a packet.
        new = {unit for unit in parameter_sets(self._codec, self._header, packet) if unit not in self._header}
        if self._num_header_sets == 0 and not self._seen:  # "avc3" and others: the first keyframe holds the header
            self._seen = new
        return not new <= self._seen


def parameter_sets(codec: str, extradata: bytes, packet: memoryview) -> list[bytes]:
    """Parameter sets in a packet; none for codecs without."""
    if codec == "mpeg4":
        return list(_object_layers(bytes(packet)))
    if codec not in _PARAMETER_SETS:
        return []
    types = _PARAMETER_SETS[codec]
    # Zero bytes at its end belong to the next start code (ITU-T H.264, annex B).
    return [
        bytes(unit).rstrip(b"\0")
        for unit in nal_units(packet, length_prefix_size(codec, extradata))
        if _nal_type(codec, unit[0]) in types
    ]


def _nal_type(codec: str, first_byte: int) -> int:
    return first_byte & 31 if codec == "h264" else first_byte >> 1 & 63


def _object_layers(data: bytes) -> Iterator[bytes]:
    """Video object layers, start codes 20 to 2F: they hold the size (ISO/IEC 14496-2, section 6.2.3)."""
    offset = data.find(b"\0\0\1")
    while 0 <= offset < len(data) - 3:
        end = data.find(b"\0\0\1", offset + 3)
        if 0x20 <= data[offset + 3] <= 0x2F:
            yield data[offset : end if end >= 0 else len(data)].rstrip(b"\0")
        offset = end


def _num_sequence_sets(codec: str, extradata: bytes) -> int:
    """Sequence parameter sets in the codec header: with two, any picture may be the first of another size.

    ::

        avcC   5 bytes | number of SPS in 5 bits | ...                                    ISO/IEC 14496-15, 5.3.3
        hvcC  22 bytes | number of arrays | type | number of units, 2 bytes | (size, 2 bytes | unit) ... | type ...
    """
    if codec not in _PARAMETER_SETS:
        return sum(1 for _ in _object_layers(extradata))
    if not length_prefix_size(codec, extradata):
        sequence_set = _PARAMETER_SETS[codec][0]
        return sum(_nal_type(codec, unit[0]) == sequence_set for unit in nal_units(memoryview(extradata), 0))
    if codec == "h264":
        return extradata[5] & 31
    count, offset = 0, 23
    for _ in range(extradata[22]):
        num_units, offset = int.from_bytes(extradata[offset + 1 : offset + 3], "big"), offset + 3
        for _ in range(num_units if offset < len(extradata) else 0):
            size = int.from_bytes(extradata[offset : offset + 2], "big")
            unit = extradata[offset + 2 : offset + 2 + size]
            # Sets of other layers (a second view) have a layer number, in the low bit of byte 0 and in byte 1.
            is_base_layer = len(unit) > 1 and not unit[0] & 1 and not unit[1] >> 3
            count += is_base_layer and _nal_type(codec, unit[0]) == _HEVC_SEQUENCE_SET
            offset += 2 + size
    return count


def _size_vp8(packet: memoryview) -> Size | None:
    """Size in a VP8 keyframe: 3 bytes, the start code, and twice 14 bits of size with 2 of scale (RFC 6386, 9.1)."""
    if len(packet) < 10 or packet[0] & 1 or packet[3:6] != _VP8_START_CODE:
        return None
    return int.from_bytes(packet[6:8], "little") & 0x3FFF, int.from_bytes(packet[8:10], "little") & 0x3FFF


def _size_jpeg(packet: memoryview) -> Size | None:
    """Size in the frame header of a JPEG image.

    ::

        FF D8 | FF E0 00 10 ... | FF C0 00 11 08 | height, 2 bytes | width, 2 bytes | ...     (ITU-T T.81, B.2.2)
    """
    offset = 2
    while offset + 9 <= len(packet) and packet[offset] == 0xFF:
        marker, length = packet[offset + 1], int.from_bytes(packet[offset + 2 : offset + 4], "big")
        if marker in _JPEG_FRAME_HEADERS:
            height, width = packet[offset + 5 : offset + 7], packet[offset + 7 : offset + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        offset += 1 if marker == 0xFF else 2 + length
    return None


def may_change_vp9(head: memoryview) -> bool:
    """Whether a tracker must be asked about a VP9 packet, by its first four bytes and its last one."""
    return not _is_plain_vp9(head)


def is_vp9_keyframe(head: bytes) -> bool:
    """Whether the first picture of a VP9 packet is a key picture; its bits as in ``_refers_to_size``."""
    first = head[0]
    return not first & (0b110 if first & 0b110000 == 0b110000 else 0b1100)


def _is_plain_vp9(packet: memoryview) -> bool:
    """Whether a packet is one coded picture that gives no size, as by far the most are."""
    # Bit 4 is that of a picture shown again, in all profiles but 3.
    return not packet[0] & 8 and packet[-1] >> 5 != _VP9_TABLE_MARK and _refers_to_size(packet)


def _refers_to_size(picture: memoryview) -> bool:
    """Whether a picture has the size of its first reference, or is only shown again; False for some rare ones as well.

    ::

        10 00 0 1 1 0 | rr ffffff | ff iii s ii | i s iii s 1 .      shown, profile 0: bits of its header
        10 00 0 1 0 0 | 0 rr fffff | fff iii s i | ii s iii s 1      hidden
        10 00 1 ...                                                  shown again
    """
    first = picture[0]
    if first >> 3 == 0b10001:
        return True
    if len(picture) < 4:
        return False
    if first == 0b10000110:
        return picture[3] & 2 == 2
    return first == 0b10000100 and picture[1] < 128 and picture[3] & 1 == 1


def _sizes_vp9(packet: memoryview) -> Iterator[Size]:
    """Sizes that the pictures in a VP9 packet give; none for those of the size of a picture that they refer to.

    Source: VP9 Bitstream & Decoding Process Specification, section 6.2 and annex B.
    """
    for picture in _pictures_vp9(packet):
        if len(picture) and _refers_to_size(picture):
            continue
        size = _size_in_header_vp9(_Bits(bytes(picture[:_VP9_HEADER_BYTES])))
        if size is not None:
            yield size


def _shows_again_vp9(picture: memoryview) -> bool:
    """Whether "show_existing_frame" is set, bit 4 of the header, or bit 5 in profile 3.

    ::

        10 00 1 sss    slot sss is shown again      10 11 0 1 ss   the same in profile 3
    """
    first = picture[0] if len(picture) else 0
    return first & 0b11111100 == 0b10110100 or (first & 0b11001000 == 0b10001000 and first & 0b110000 != 0b110000)


def _pictures_vp9(packet: memoryview) -> list[memoryview]:
    """The pictures of a packet: one, or several ("superframe") with a table of their sizes at the end.

    ::

        picture 0 | picture 1 | C9  size 0, 2 bytes  size 1, 2 bytes  C9
        C9 = 110 01 001: marker, 2 bytes for a size, 2 pictures
    """
    last = packet[-1] if len(packet) else 0
    num_pictures, size_bytes = (last & 7) + 1, (last >> 3 & 3) + 1
    table = len(packet) - 2 - num_pictures * size_bytes
    if last >> 5 != _VP9_TABLE_MARK or table < 0 or packet[table] != last:
        return [packet]
    pictures, offset = [], 0
    for i in range(num_pictures):
        at = table + 1 + i * size_bytes
        size = int.from_bytes(packet[at : at + size_bytes], "little")
        pictures.append(packet[offset : offset + size])
        offset += size
    return pictures


def _size_in_header_vp9(bits: _Bits) -> Size | None:
    """Size that a picture gives; None for one of the size of another, or that is only shown again."""
    if bits.read(2) != _VP9_FRAME_MARKER:
        return None
    profile = bits.read(1) | bits.read(1) << 1
    bits.read(1 if profile == 3 else 0)
    if bits.read(1):  # show_existing_frame
        return None
    is_inter, is_shown, is_resilient = bits.read(1), bits.read(1), bits.read(1)
    if not is_inter:
        if bits.read(24) != _VP9_SYNC_CODE:
            return None
        _skip_colours_vp9(bits, profile)
        return _size_vp9(bits)
    is_intra_only = 0 if is_shown else bits.read(1)
    bits.read(0 if is_resilient else 2)
    if is_intra_only:
        bits.read(24)
        if profile:
            _skip_colours_vp9(bits, profile)
        bits.read(8)
        return _size_vp9(bits)
    bits.read(8 + 4 * _VP9_REFERENCES)  # the slots that it is stored in; slot and sign of each reference
    if any(bits.read(1) for _ in range(_VP9_REFERENCES)):  # it has the size of this reference
        return None
    return _size_vp9(bits)


def _skip_colours_vp9(bits: _Bits, profile: int) -> None:
    bits.read(1 if profile >= 2 else 0)
    is_rgb = bits.read(3) == _VP9_RGB
    bits.read(0 if is_rgb else 1)
    if profile in (1, 3):
        bits.read(1 if is_rgb else 3)


def _size_vp9(bits: _Bits) -> Size:
    return bits.read(16) + 1, bits.read(16) + 1


class _Bits:
    """Bits of a header, first bit highest; zeros beyond its end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), len(data) * 8

    def read(self, count: int) -> int:
        self._left -= count
        return (self._value >> self._left if self._left >= 0 else self._value << -self._left) & (1 << count) - 1

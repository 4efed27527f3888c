"""Keyframe kinds, from the NAL units of a packet, whatever the bytes are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.video.keyframes import KeyframeKind, keyframe_kind

AVCC = b"\x01d\x00\x1f\xff\xe1\x00"  # the codec header of H.264 in MP4: four bytes of length
START_CODES = b"\x00\x00\x00\x01g"  # the same in a transport stream
IDR, SLICE, RECOVERY = b"\x65\x88", b"\x41\x9a", b"\x06\x06\x01\xc4"


def hvcc(size: int) -> bytes:
    """Codec header of HEVC with ``size`` bytes of length before each unit."""
    return bytes([1, *[0] * 20, 0xFC | size - 1, 0])


def vvcc(size: int) -> bytes:
    """Codec header of VVC."""
    return bytes([0xF8 | (size - 1) << 1, *[0] * 10])


def prefixed(units: list[bytes], size: int) -> memoryview:
    return memoryview(b"".join(len(unit).to_bytes(size, "big") + unit for unit in units))


def delimited(units: list[bytes], code: bytes = b"\0\0\1") -> memoryview:
    return memoryview(b"".join(code + unit for unit in units))


@pytest.mark.parametrize("code", [b"\0\0\1", b"\0\0\0\1"])
@pytest.mark.parametrize(
    ("units", "kind"),
    [
        ([IDR], KeyframeKind.CLOSED_GOP),
        ([SLICE], KeyframeKind.NONE),
        ([RECOVERY, SLICE], KeyframeKind.OPEN_GOP),
        ([RECOVERY, IDR], KeyframeKind.CLOSED_GOP),
        ([b"\x06\x05\x01\x00\x06\x01\xc4", SLICE], KeyframeKind.OPEN_GOP),  # after a message of another type
        ([b"\x06\x05\x01\x00\x06\x01\x44", SLICE], KeyframeKind.NONE),  # recovery later than this picture
        ([b"\x06\x06\x01\x84", SLICE], KeyframeKind.NONE),  # not an exact match
        ([b"\x06\x05\xff\x06\x01\xc4", SLICE], KeyframeKind.NONE),  # a size over several bytes comes later
        ([b"\x06\x06", SLICE], KeyframeKind.NONE),  # cut off
    ],
)
def test_h264_kind_is_the_same_after_lengths_and_start_codes(
    units: list[bytes], kind: KeyframeKind, code: bytes
) -> None:
    assert keyframe_kind("h264", AVCC, prefixed(units, 4)) == kind
    assert keyframe_kind("h264", START_CODES, delimited(units, code)) == kind


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize(
    ("nal_type", "kind"),
    [
        *((nal_type, KeyframeKind.OPEN_GOP) for nal_type in (16, 17, 18, 21)),
        *((nal_type, KeyframeKind.CLOSED_GOP) for nal_type in (19, 20)),
        *((nal_type, KeyframeKind.NONE) for nal_type in (0, 1, 9, 22, 32)),
    ],
)
def test_hevc_kind_follows_the_nal_unit_type(nal_type: int, kind: KeyframeKind, size: int) -> None:
    packet = prefixed([b"\x46\x01\x10", bytes([nal_type << 1, 1, 0xAF])], size)  # an access unit delimiter first
    assert keyframe_kind("hevc", hvcc(size), packet) == kind


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize(
    ("nal_type", "kind"),
    [
        (7, KeyframeKind.CLOSED_GOP),
        (8, KeyframeKind.CLOSED_GOP),
        (9, KeyframeKind.OPEN_GOP),
        (0, KeyframeKind.NONE),
        (10, KeyframeKind.NONE),
    ],
)
def test_vvc_kind_follows_the_nal_unit_type(nal_type: int, kind: KeyframeKind, size: int) -> None:
    assert keyframe_kind("vvc", vvcc(size), prefixed([bytes([0, nal_type << 3 | 1, 0xAF])], size)) == kind


@pytest.mark.parametrize(
    ("codec", "kind"),
    [
        ("mpeg1video", KeyframeKind.OPEN_GOP),
        ("mpeg2video", KeyframeKind.OPEN_GOP),
        ("mpeg4", KeyframeKind.OPEN_GOP),
        ("vp9", KeyframeKind.CLOSED_GOP),
        ("av1", KeyframeKind.CLOSED_GOP),
        ("mjpeg", KeyframeKind.CLOSED_GOP),
    ],
)
def test_kind_of_codecs_without_nal_units_is_that_of_the_codec(codec: str, kind: KeyframeKind) -> None:
    assert keyframe_kind(codec, b"", memoryview(b"\0")) == kind


def test_start_codes_in_a_row_enclose_no_unit() -> None:
    assert keyframe_kind("h264", START_CODES, memoryview(b"\0\0\1\0\0\1" + IDR)) == KeyframeKind.CLOSED_GOP
    assert keyframe_kind("h264", START_CODES, memoryview(b"\0\0\1\0\0\1")) == KeyframeKind.NONE


@pytest.mark.parametrize("length", [0, 3, 2**32 - 1])
def test_length_beyond_the_packet_ends_the_search(length: int) -> None:
    packet = memoryview(length.to_bytes(4, "big") + SLICE)
    assert keyframe_kind("h264", AVCC, packet) == KeyframeKind.NONE


@given(
    st.sampled_from(["h264", "hevc", "vvc"]),
    st.binary(max_size=24),
    st.lists(st.sampled_from([b"\0", b"\0\0\1", b"\1", b"\x06", b"\x65", b"\x26\x01", b"\xff"]), max_size=12),
)
def test_keyframe_kind_of_any_bytes_is_a_kind(codec: str, extradata: bytes, parts: list[bytes]) -> None:
    assert keyframe_kind(codec, extradata, memoryview(b"".join(parts))) in KeyframeKind


@given(st.lists(st.sampled_from([IDR, SLICE, RECOVERY, b"\x09\xf0"]), min_size=1, max_size=6))
def test_h264_packet_is_closed_exactly_with_an_idr_unit(units: list[bytes]) -> None:
    kind = keyframe_kind("h264", AVCC, prefixed(units, 4))
    assert (kind == KeyframeKind.CLOSED_GOP) == (IDR in units)
    assert (kind == KeyframeKind.OPEN_GOP) == (RECOVERY in units and IDR not in units)

"""Changes of picture size and codec header, recognised from the bytes of packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.video.stream_format import FormatTracker
from tests.video.test_keyframes import delimited, prefixed

SPS, OTHER_SPS, PPS, OTHER_PPS = b"\x67\x64\x00\x1f\xac", b"\x67\x64\x00\x28\xad", b"\x68\xeb\xe3", b"\x68\xee\x38"
IDR, SLICE = b"\x65\x88", b"\x41\x9a"
HEVC_SPS, HEVC_OTHER_SPS, HEVC_SPS_LAYER_1 = b"\x42\x01\x01", b"\x42\x01\x02", b"\x42\x09\x03"
HEVC_IDR = b"\x26\x01\xaf"


def avcc(*sets: bytes) -> bytes:
    sequence, picture = [s for s in sets if s[0] == 0x67], [s for s in sets if s[0] == 0x68]
    head = b"\x01\x64\x00\x1f\xff" + bytes([0xE0 | len(sequence)])
    counted = [len(s).to_bytes(2, "big") + s for s in sequence]
    return head + b"".join(counted) + bytes([len(picture)]) + b"".join(len(s).to_bytes(2, "big") + s for s in picture)


def hvcc(*arrays: list[bytes]) -> bytes:
    body = b"".join(
        bytes([units[0][0] >> 1])
        + len(units).to_bytes(2, "big")
        + b"".join(len(u).to_bytes(2, "big") + u for u in units)
        for units in arrays
    )
    return bytes([1, *[0] * 20, 0xFF, len(arrays)]) + body


def changes(tracker: FormatTracker, packets: list[bytes | memoryview], **more: bool) -> list[bool]:
    return [tracker.is_change(memoryview(packet), **{"is_keyframe": True, **more}) for packet in packets]


def test_new_header_of_the_container_is_a_change_and_the_same_one_is_none() -> None:
    tracker, header = FormatTracker("h264", avcc(SPS, PPS)), avcc(SPS, PPS)
    packet = prefixed([SLICE], 4)
    assert not tracker.is_change(packet, is_keyframe=False, new_header=header)
    assert tracker.is_change(packet, is_keyframe=False, new_header=avcc(OTHER_SPS, PPS))


@pytest.mark.parametrize("code", [b"\0\0\1", b"\0\0\0\1"])
@pytest.mark.parametrize(
    ("units", "is_change"),
    [
        ([IDR], False),
        ([SPS, PPS, IDR], False),
        ([PPS, SPS, IDR], False),
        ([OTHER_SPS, PPS, IDR], True),
        ([SPS, OTHER_PPS, IDR], True),
        ([SPS[:-1], PPS, IDR], False),  # a part of the header: nothing that a decoder would read in another way
    ],
)
def test_parameter_sets_other_than_those_of_the_header_are_a_change(
    units: list[bytes], is_change: bool, code: bytes
) -> None:
    first = [SPS, PPS, IDR]
    assert changes(FormatTracker("h264", avcc(SPS, PPS)), [prefixed(first, 4), prefixed(units, 4)]) == [
        False,
        is_change,
    ]
    annex_b = bytes(delimited([SPS, PPS], code))
    packets = [delimited(first, code), delimited(units, code)]
    assert changes(FormatTracker("h264", annex_b), packets) == [False, is_change]


def test_first_keyframe_is_the_header_where_the_container_has_none() -> None:
    packets = [prefixed([SPS, PPS, IDR], 4), prefixed([SPS, PPS, IDR], 4), prefixed([OTHER_SPS, PPS, IDR], 4)]
    assert changes(FormatTracker("h264", avcc()), packets) == [False, False, True]
    assert changes(FormatTracker("h264", b""), [delimited([SPS, PPS, IDR])] * 2) == [False, False]


def test_header_with_two_sequence_sets_is_a_change_at_once() -> None:
    assert changes(FormatTracker("h264", avcc(SPS, OTHER_SPS, PPS)), [prefixed([IDR], 4)]) == [True]
    assert changes(FormatTracker("hevc", hvcc([HEVC_SPS, HEVC_OTHER_SPS])), [prefixed([HEVC_IDR], 4)]) == [True]


def test_hevc_header_with_a_second_view_is_no_change() -> None:
    header = hvcc([b"\x40\x01\x0c"], [HEVC_SPS, HEVC_SPS_LAYER_1], [b"\x44\x01\xc1"])
    packets = [prefixed([HEVC_SPS, HEVC_IDR], 4), prefixed([HEVC_OTHER_SPS, HEVC_IDR], 4)]
    assert changes(FormatTracker("hevc", header), packets) == [False, True]


def vp8(width: int, height: int) -> bytes:
    size = width.to_bytes(2, "little") + (height | 0x4000).to_bytes(2, "little")
    return b"\x10\x02\x00\x9d\x01\x2a" + size + b"\0" * 8


def jpeg(width: int, height: int, frame_header: int = 0xC0) -> bytes:
    comment = b"\xff\xfe\x00\x06\xff\xc0\x00\x01"
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return b"\xff\xd8" + comment + b"\xff\xc4\x00\x04\x00\x00" + bytes([0xFF, frame_header]) + b"\x00\x11\x08" + size


@pytest.mark.parametrize(("codec", "picture"), [("vp8", vp8), ("mjpeg", jpeg)])
def test_size_of_keyframes_is_compared(codec: str, picture: object) -> None:
    assert callable(picture)
    packets = [picture(160, 96), b"", picture(160, 96), picture(160, 98), picture(160, 96)]
    assert changes(FormatTracker(codec, b""), packets) == [False, False, False, True, False]


def vp9_bytes(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8) + "1" * 64  # what follows the header
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def vp9_size(size: tuple[int, int]) -> str:
    return f"{size[0] - 1:016b}{size[1] - 1:016b}"


def vp9_key(size: tuple[int, int], profile: int = 0) -> bytes:
    head = {0: "1000", 1: "1010", 2: "1001", 3: "10110"}[profile]
    colours = {0: "0010", 1: "0010110", 2: "00010", 3: "00010110"}[profile]
    return vp9_bytes(head + "0010" + f"{0x498342:024b}" + colours + vp9_size(size))


def vp9_inter(slot: int, refreshed: int = 0, size: tuple[int, int] | None = None, *, is_shown: bool = True) -> bytes:
    """A picture that refers to ``slot``, and has the size stored there unless it gives another one."""
    head = "100001" + ("10" if is_shown else "000") + "00"
    own_size = "1" if size is None else "000" + vp9_size(size)
    return vp9_bytes(head + f"{refreshed:08b}" + f"{slot:03b}0" * 3 + own_size)


def vp9_intra_only(refreshed: int, size: tuple[int, int]) -> bytes:
    return vp9_bytes("100001" + "001" + "00" + f"{0x498342:024b}{refreshed:08b}" + vp9_size(size))


def superframe(*pictures: bytes) -> bytes:
    marker = bytes([0b110_01_000 | len(pictures) - 1])
    table = b"".join(len(picture).to_bytes(2, "little") for picture in pictures)
    return b"".join(pictures) + marker + table + marker


SIZE, OTHER = (160, 96), (240, 144)
VP9_SHOWN_AGAIN = vp9_bytes("10001000")


@pytest.mark.parametrize(
    ("packets", "changed"),
    [
        ([vp9_key(SIZE), vp9_inter(0, 1), VP9_SHOWN_AGAIN, vp9_inter(0), vp9_key(SIZE)], None),
        ([vp9_key(SIZE), vp9_inter(0), vp9_key(OTHER)], 2),
        ([vp9_key(SIZE), vp9_inter(0), vp9_inter(0, 0, OTHER)], 2),  # scaled from its reference
        ([vp9_key(SIZE), vp9_inter(0, 0, SIZE)], None),
        ([vp9_key(SIZE), superframe(vp9_inter(0, 2, is_shown=False), vp9_inter(1))], None),
        ([vp9_key(SIZE), superframe(vp9_inter(0, 2, OTHER, is_shown=False), vp9_inter(0))], 1),
        ([vp9_key(SIZE), vp9_intra_only(4, SIZE), vp9_intra_only(4, OTHER)], 2),
        ([vp9_key(SIZE), b"", b"\x00" * 9, vp9_inter(0)], None),
        *(([vp9_key(SIZE, profile), vp9_key(SIZE, profile), vp9_key(OTHER, profile)], 2) for profile in range(4)),
    ],
)
def test_size_of_every_vp9_picture_is_compared(packets: list[bytes], changed: int | None) -> None:
    are_changes = changes(FormatTracker("vp9", b""), list(packets), is_keyframe=False)
    assert (are_changes.index(True) if True in are_changes else None) == changed


@pytest.mark.parametrize(
    ("packet", "shows_again"),
    [
        (VP9_SHOWN_AGAIN, True),
        (VP9_SHOWN_AGAIN[:1], True),
        (b"\xaf", True),  # profile 1, slot 7
        (b"\x9b", True),  # profile 2, slot 3
        (b"\xb5\x80", True),  # profile 3, slot 3
        (superframe(vp9_inter(0, 2, is_shown=False), VP9_SHOWN_AGAIN), True),
        (superframe(vp9_inter(0, 2, is_shown=False), vp9_inter(1)), False),
        *((vp9_key(SIZE, profile), False) for profile in range(4)),
        (vp9_inter(0), False),
        (vp9_intra_only(4, SIZE), False),
        (b"", False),
        (b"\x00" * 9, False),
    ],
)
def test_packets_that_show_a_vp9_picture_again_are_noticed(packet: bytes, shows_again: bool) -> None:
    tracker = FormatTracker("vp9", b"")
    changes(tracker, [packet], is_keyframe=False)
    assert tracker.shows_again == shows_again


@given(
    st.sampled_from(["h264", "hevc", "mpeg4", "vp8", "vp9", "mjpeg", "av1"]),
    st.lists(st.binary(max_size=40), max_size=4),
    st.sampled_from([b"", avcc(SPS, PPS), hvcc([HEVC_SPS]), b"\0\0\1\x20\x01"]),
)
def test_is_change_takes_any_bytes(codec: str, packets: list[bytes], header: bytes) -> None:
    changes(FormatTracker(codec, header), list(packets))


def test_object_layers_of_mpeg4_are_compared() -> None:
    layer, other = b"\0\0\1\x20\x08\xc8", b"\0\0\1\x20\x08\xd0"
    picture = b"\0\0\1\xb6\x10"
    packets = [picture, layer + picture, other + picture]
    assert changes(FormatTracker("mpeg4", b"\0\0\1\xb0\x01" + layer), packets) == [False, False, True]
    packets = [layer + picture, layer + picture, other + picture]
    assert changes(FormatTracker("mpeg4", b""), packets) == [False, False, True]

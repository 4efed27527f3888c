"""Which decoder a file takes, and by which matrix DALI's colours are corrected; decided without DALI."""

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from dali_pipelines.colour import colour_correction
from dali_pipelines.routes import choose_route
from e2espot.core.errors import ConfigurationError
from e2espot.core.pixels import YUV_RED_BLUE
from e2espot.video.black_bars import Area
from e2espot.video.index import VideoIndex, closed_gops_only, index_from_scan
from e2espot.video.keyframes import KeyframeKind
from e2espot.video.preparation import Preparation
from e2espot.video.tone_map import HdrColour
from tests.video.test_grid import scan_of


def index_with(**changes: Any) -> VideoIndex:
    """Index of 100 pictures with a keyframe every 25."""
    starts = dict.fromkeys(range(0, 100, 25), KeyframeKind.CLOSED_GOP)
    return dataclasses.replace(index_from_scan(scan_of(list(range(100)), Fraction(1, 25), starts=starts)), **changes)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "route"),
    [
        ("h264", "yuv420p", "decode"),
        ("h264", "yuv422p", "host"),
        ("h264", "yuv420p10le", "host"),
        ("hevc", "yuv420p10le", "decode"),
        ("vp9", "yuv444p", "host"),
        ("mjpeg", "yuvj420p", "decode"),
        ("mjpeg", "yuvj422p", "host"),
        ("prores", "yuv420p", "host"),
        ("vvc", "yuv420p", "host"),
    ],
)
def test_choose_route_on_cuda_follows_what_nvdec_decodes(codec: str, pixel_format: str, route: str) -> None:
    chosen, reason = choose_route(index_with(codec_name=codec, pixel_format=pixel_format), "cuda")
    assert chosen == route
    assert codec in reason and pixel_format in reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rotation_degrees": 90}, "rotated by 90 degrees"),
        ({"rotation_degrees": 180, "is_mirrored": True}, "mirrored for display"),
        ({"identified_by": "decode_order"}, "time stamps"),
        ({"codec_name": "av1"}, "miscounts AV1 pictures that show an earlier one"),
        ({"fields": "paired"}, "stored as fields"),
        ({"is_closed_gop_S": np.array([False, True, True, True])}, "refers to packets before it"),
    ],
)
def test_choose_route_is_host_where_dali_would_give_other_pictures(changes: dict[str, Any], reason: str) -> None:
    route, explanation = choose_route(index_with(**changes), "cuda")
    assert (route, reason in explanation) == ("host", True)


@pytest.mark.parametrize(
    ("preparation", "route", "reason"),
    [
        (Preparation(deinterlace="top"), "host", "interlaced"),
        (Preparation(hdr=HdrColour(transfer="hlg", primaries=9)), "host", "HDR (HLG)"),
        (Preparation(area=Area(left=0, top=60, width=320, height=240)), "decode", "h264"),
    ],
)
def test_choose_route_is_host_for_pictures_that_dali_cannot_prepare(
    preparation: Preparation, route: str, reason: str
) -> None:
    chosen, explanation = choose_route(index_with(), "cuda", preparation)
    assert chosen == route
    assert reason in explanation


@pytest.mark.parametrize(("count", "route"), [(1500, "decode"), (1501, "host")])
def test_choose_route_is_host_where_one_keyframe_serves_too_many_pictures(count: int, route: str) -> None:
    index = index_from_scan(scan_of(list(range(count)), Fraction(1, 25)))
    assert choose_route(index, "cuda")[0] == route


def test_choose_route_counts_segments_of_closed_gops_only() -> None:
    """An open GOP is no position where NVDEC can begin."""
    starts = {0: KeyframeKind.CLOSED_GOP, 1000: KeyframeKind.OPEN_GOP}
    index = index_from_scan(scan_of(list(range(2000)), Fraction(1, 25), starts=starts))
    assert choose_route(index, "cuda")[0] == "decode"
    assert choose_route(closed_gops_only(index), "cuda")[0] == "host"


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "mpeg4"])
def test_choose_route_on_the_cpu_refuses_what_dali_decodes_on_gpus_only(codec: str) -> None:
    message = f"CPU backend does not decode {codec}, only vp8, vp9, mjpeg"
    with pytest.raises(ConfigurationError, match=message) as caught:
        choose_route(index_with(codec_name=codec), "cpu")
    assert caught.value.option == "reader"


@pytest.mark.parametrize("codec", ["vp8", "vp9", "mjpeg"])
def test_choose_route_on_the_cpu_decodes_vp8_vp9_and_mjpeg(codec: str) -> None:
    assert choose_route(index_with(codec_name=codec), "cpu")[0] == "decode"


def yuv(matrix: str, rgb: np.ndarray) -> np.ndarray:
    """Luma and colour differences of full-range RGB, as the standards define them."""
    red, blue = YUV_RED_BLUE[matrix]
    luma = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
    return np.array([luma, (rgb[2] - luma) / (2 - 2 * blue), (rgb[0] - luma) / (2 - 2 * red)])


@pytest.mark.parametrize("matrix", YUV_RED_BLUE)
@pytest.mark.parametrize("rgb", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.2, 0.7, 0.4)])
def test_colour_correction_gives_the_rgb_whose_yuv_the_stream_holds(matrix: str, rgb: tuple[float, ...]) -> None:
    wanted = np.array(rgb)
    stored = yuv(matrix, wanted)
    # What DALI makes of it: the RGB whose BT.601 conversion is the stored value.
    decoded = np.linalg.solve(np.stack([yuv("bt601", column) for column in np.eye(3)], axis=1), stored)
    np.testing.assert_allclose(colour_correction(matrix) @ decoded, wanted, atol=1e-12)


@pytest.mark.parametrize("matrix", ["bt601", "unknown", ""])
def test_colour_correction_changes_nothing_for_bt601_and_unknown_matrices(matrix: str) -> None:
    assert np.array_equal(colour_correction(matrix), np.eye(3))

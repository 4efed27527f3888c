"""HDR videos as a standard display shows them: patches against the equations of the standards, written out again."""

from pathlib import Path

import numpy as np
import pytest

from e2espot.core.picture_options import PictureOptions
from e2espot.video import open_reader
from e2espot.video.tone_map import HdrColour, ToneMapper, eetf, hdr_colour, hlg_inverse_oetf, pq_eotf, pq_inverse_eotf
from tests.support.prepared_videos import patches_10_bit

GREYS_AND_COLOURS = [
    (0.0, 0.0, 0.0),
    (0.2, 0.2, 0.2),
    (0.4, 0.4, 0.4),
    (0.58, 0.58, 0.58),
    (0.75, 0.75, 0.75),
    (1.0, 1.0, 1.0),
    (0.35, 0.45, 0.25),  # grass
    (0.5, 0.3, 0.3),
    (0.3, 0.35, 0.55),
]
"""Non-linear R'G'B' signals of BT.2020."""


def codes_of(signal_3: np.ndarray) -> np.ndarray:
    """10-bit narrow-range Y, Cb, Cr (BT.2100, tables 6 and 9, non-constant luminance)."""
    red, green, blue = signal_3
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    return np.round([876 * luma + 64, 896 * (blue - luma) / 1.8814 + 512, 896 * (red - luma) / 1.4746 + 512])


def signal_of(codes_3: np.ndarray) -> np.ndarray:
    """R'G'B' of 10-bit codes, which are rounded."""
    luma, blue, red = (codes_3[0] - 64) / 876, (codes_3[1] - 512) / 896 * 1.8814, (codes_3[2] - 512) / 896 * 1.4746
    green = -(0.2627 * red + 0.0593 * blue) / 0.6780
    return np.clip([luma + red, luma + green, luma + blue], 0, 1)


def light_of_pq(signal: float) -> float:
    """cd/m2, BT.2100 table 4."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = signal ** (1 / m2)
    return float(10000 * (max(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1))


def pq_of_light(light: float) -> float:
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (light / 10000) ** m1
    return float(((c1 + c2 * power) / (1 + c3 * power)) ** m2)


def light_of_hlg(signal_3: np.ndarray) -> np.ndarray:
    """cd/m2 on a display of 1000 cd/m2, BT.2100 table 5."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    scene = np.array([s * s / 3 if s <= 0.5 else (np.exp((s - c) / a) + b) / 12 for s in signal_3])
    return np.asarray(1000 * (scene @ [0.2627, 0.6780, 0.0593]) ** 0.2 * scene)


def compressed(light: float) -> float:
    """EETF of BT.2390, from 1000 to 203 cd/m2, black at 0."""
    white = pq_of_light(1000)
    signal, largest = pq_of_light(min(light, 1000)) / white, pq_of_light(203) / white
    knee = 1.5 * largest - 0.5
    if signal >= knee:
        t = (signal - knee) / (1 - knee)
        signal = (
            (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * largest
        )
    return light_of_pq(signal * white)


def expected_sdr(transfer: str, signal_3: np.ndarray) -> np.ndarray:
    """8-bit R'G'B' of BT.709, on a display with a gamma of 2.4."""
    light_3 = np.array([light_of_pq(s) for s in signal_3]) if transfer == "pq" else light_of_hlg(signal_3)
    peak = light_3.max()
    if peak > 0:
        light_3 = light_3 * compressed(peak) / peak
    # BT.2087, from BT.2020 to BT.709.
    to_bt709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
    return np.asarray(255 * np.clip(to_bt709 @ light_3 / 203, 0, 1) ** (1 / 2.4))


@pytest.mark.parametrize(("transfer", "number"), [("pq", 16), ("hlg", 18)])
def test_patches_have_the_levels_of_the_standards(transfer: str, number: int, tmp_path: Path) -> None:
    codes_N3 = np.array([codes_of(np.array(signal)) for signal in GREYS_AND_COLOURS])
    path = patches_10_bit(tmp_path / "patches.mp4", codes_N3, number)
    with open_reader(path) as reader:
        assert reader.info.preparation.hdr == HdrColour(transfer=transfer, primaries=9)  # type: ignore[arg-type]
        frame_HWC = reader.read([3])[0]
    for patch, codes_3 in enumerate(codes_N3):
        shown = frame_HWC[40, patch * 40 + 20].astype(float)
        assert np.abs(shown - expected_sdr(transfer, signal_of(codes_3))).max() <= 2, GREYS_AND_COLOURS[patch]


def test_tone_map_off_gives_the_values_as_they_are(tmp_path: Path) -> None:
    codes_N3 = np.array([codes_of(np.array(signal)) for signal in GREYS_AND_COLOURS])
    path = patches_10_bit(tmp_path / "patches.mp4", codes_N3, 16)
    with open_reader(path, pictures=PictureOptions(tone_map="off")) as reader:
        frame_HWC = reader.read([3])[0]
    for patch, codes_3 in enumerate(codes_N3):
        assert np.abs(frame_HWC[40, patch * 40 + 20] - 255 * signal_of(codes_3)).max() <= 3


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_tone_mapper_equals_the_equations_on_any_colour(transfer: str) -> None:
    signal_N3 = np.random.default_rng(1).random((400, 3))
    mapper = ToneMapper(HdrColour(transfer=transfer, primaries=9))  # type: ignore[arg-type]
    codes = np.round(signal_N3 * 65535).astype(np.uint16)[None]
    expected_N3 = np.array([expected_sdr(transfer, signal_3) for signal_3 in signal_N3])
    differences = np.abs(mapper.to_sdr(codes)[0] - expected_N3)
    assert differences.mean() < 0.5
    # Next to black a level of 8 bits is a tiny difference of light.
    assert differences[expected_N3 > 16].max() <= 2


def test_curves_have_the_values_of_the_reports() -> None:
    assert pq_eotf(np.array([0.58, 0.75, 1.0])) == pytest.approx([201.6, 983.4, 10000], rel=1e-3)  # BT.2408, table 1
    assert pq_inverse_eotf(pq_eotf(np.linspace(0, 1, 9))) == pytest.approx(np.linspace(0, 1, 9), abs=1e-6)
    assert hlg_inverse_oetf(np.array([0.0, 0.5, 0.75, 1.0])) == pytest.approx([0, 1 / 12, 0.2650, 1], abs=1e-4)
    light = eetf(np.array([1.0, 50, 203, 1000, 4000]))
    assert light == pytest.approx([1, 50, compressed(203), 203, 203], rel=1e-3)
    assert (np.diff(eetf(np.linspace(0, 1000, 500))) > 0).all()


def test_hdr_colour_is_none_for_standard_video_and_takes_untagged_primaries_for_bt2020() -> None:
    assert hdr_colour(1, 9) is None and hdr_colour(2, 2) is None and hdr_colour(14, 9) is None
    assert hdr_colour(16, 2) == HdrColour(transfer="pq", primaries=9)
    assert hdr_colour(18, 12) == HdrColour(transfer="hlg", primaries=12)

"""HDR pictures as a standard display shows them, by the equations of the standards.

    R'G'B' -> linear light -> highlights compressed -> BT.709 primaries -> R'G'B' of a standard display

- Linear light: PQ by the EOTF of BT.2100, table 4. HLG by the inverse OETF and the OOTF of table 5, for a display of
  1000 cd/m2.
- White: HDR's reference white of 203 cd/m2 (BT.2408) is the white of the standard display. What is brighter is
  compressed by the EETF of BT.2390, section 5.4.1, from 1000 to 203 cd/m2. It is applied to the largest of the three
  components, and all three are scaled alike, so that colours keep their hue.
- Primaries: by the chromaticities of BT.2020 or P3, and BT.709. Colours outside BT.709 are clipped.
- Back to R'G'B': the inverse EOTF of BT.1886, a power of 1/2.4.

Shapes: H x W pictures, C = red, green, blue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Transfer = Literal["pq", "hlg"]
"""The two transfer functions of BT.2100."""

_REFERENCE_WHITE, _PEAK = 203.0, 1000.0
"""cd/m2; of BT.2408, and of the display for which most HDR video is made."""
_HLG_GAMMA = 1.2
"""Of a display of 1000 cd/m2 (BT.2100, table 5, note 5f)."""
_DISPLAY_GAMMA = 2.4
_CODES = 4096
"""Entries of a curve; 10 bits have 1024."""
_LEVELS = 1 << 16
"""Entries of curves over linear light."""

# FFmpeg's numbers (ITU-T H.273, tables 2 and 3).
_TRANSFERS: dict[int, Transfer] = {16: "pq", 18: "hlg"}
_WHITE_D65 = (0.3127, 0.3290)
_CHROMATICITIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),  # BT.709
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # P3 with the white of D65
}
_BT709, _BT2020 = 1, 9


@dataclass(frozen=True, kw_only=True)
class HdrColour:
    """What the values of an HDR video mean."""

    transfer: Transfer
    """Transfer function."""
    primaries: int
    """FFmpeg's number of the primaries, a key of ``_CHROMATICITIES``."""


def hdr_colour(transfer: int, primaries: int) -> HdrColour | None:
    """The colour of an HDR video by FFmpeg's numbers; None for any other. Untagged primaries are those of BT.2020."""
    if transfer not in _TRANSFERS:
        return None
    return HdrColour(transfer=_TRANSFERS[transfer], primaries=primaries if primaries in _CHROMATICITIES else _BT2020)


def pq_eotf(signal: np.ndarray) -> np.ndarray:
    """Light in cd/m2 of a PQ signal in [0, 1] (BT.2100, table 4)."""
    power = np.asarray(signal, dtype=np.float64) ** (32 / 2523)
    return np.asarray(10000 * (np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610))


def pq_inverse_eotf(light: np.ndarray) -> np.ndarray:
    """PQ signal of light in cd/m2 (BT.2100, table 4)."""
    power = (np.asarray(light, dtype=np.float64) / 10000) ** (2610 / 16384)
    return np.asarray(((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


def hlg_inverse_oetf(signal: np.ndarray) -> np.ndarray:
    """Scene light in [0, 1] of an HLG signal in [0, 1] (BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = np.asarray(signal, dtype=np.float64)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def eetf(light: np.ndarray) -> np.ndarray:
    """Light of the standard display in cd/m2 for light of an HDR display (BT.2390, section 5.4.1).

    Linear up to a knee, from there a Hermite spline in PQ signal to the peaks: 1000 -> 203, 203 -> 157, 50 -> 50.
    """
    source_peak = float(pq_inverse_eotf(np.array(_PEAK)))
    target = float(pq_inverse_eotf(np.array(_REFERENCE_WHITE))) / source_peak
    knee = 1.5 * target - 0.5
    signal = np.minimum(pq_inverse_eotf(light) / source_peak, 1)
    t = np.maximum(signal - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * target
    return pq_eotf(np.where(signal < knee, signal, spline) * source_peak)


class ToneMapper:
    """Converts pictures of one kind of HDR, by curves that are computed once."""

    def __init__(self, colour: HdrColour) -> None:
        """Compute the curves for ``colour``."""
        codes = np.arange(_CODES) / (_CODES - 1)
        # Light in parts of the reference white: of the display for PQ, of the scene for HLG.
        light = pq_eotf(codes) / _REFERENCE_WHITE if colour.transfer == "pq" else hlg_inverse_oetf(codes)
        self._light_of_code = light.astype(np.float32)
        self._is_hlg = colour.transfer == "hlg"
        self._luminance_3 = _to_xyz(colour.primaries)[1].astype(np.float32)
        self._to_bt709_33 = (np.linalg.inv(_to_xyz(_BT709)) @ _to_xyz(colour.primaries)).astype(np.float32)
        # Gain of the EETF by the root of the light, which has enough steps where it is dark.
        roots = np.linspace(0, 1, _CODES)
        peak = np.maximum(roots**2 * _PEAK, 1e-6)
        self._gain_of_root = (eetf(peak) / peak).astype(np.float32)
        self._gain_scale = np.float32((_CODES - 1) ** 2 * _REFERENCE_WHITE / _PEAK)
        levels = np.arange(_LEVELS) / (_LEVELS - 1)
        self._code_of_light = np.round(levels ** (1 / _DISPLAY_GAMMA) * 255).astype(np.uint8)

    def to_sdr(self, codes_HWC: np.ndarray) -> np.ndarray:
        """Convert a picture.

        Args:
            codes_HWC: uint16 R'G'B' as coded, 65535 for a signal of 1.

        Returns:
            uint8 R'G'B' ``HWC`` for a standard display.
        """
        light_HWC = self._light_of_code[codes_HWC >> 4]
        peak_HW = light_HWC.max(axis=2)
        if self._is_hlg:
            # OOTF: light of the display = 1000 cd/m2 * luminance of the scene ^ 0.2 * light of the scene
            luminance_HW = np.maximum(light_HWC @ self._luminance_3, np.float32(1e-6))
            gain_HW = np.float32(_PEAK / _REFERENCE_WHITE) * luminance_HW ** np.float32(_HLG_GAMMA - 1)
            peak_HW = peak_HW * gain_HW
        else:
            gain_HW = np.ones_like(peak_HW)
        roots_HW = np.minimum(np.sqrt(peak_HW * self._gain_scale), _CODES - 1).astype(np.uint16)
        gain_HW *= np.minimum(self._gain_of_root[roots_HW], 1 / np.maximum(peak_HW, np.float32(1e-6)))
        shown_HWC = (light_HWC * gain_HW[..., None]) @ self._to_bt709_33.T
        levels_HWC = (np.clip(shown_HWC, 0, 1) * (_LEVELS - 1) + np.float32(0.5)).astype(np.uint16)
        return np.asarray(self._code_of_light[levels_HWC])


def _to_xyz(primaries: int) -> np.ndarray:
    """Matrix from linear RGB to XYZ, float64 ``(3, 3)``; white has Y = 1 (SMPTE RP 177)."""
    chromaticities = np.array([(x, y, 1 - x - y) for x, y in _CHROMATICITIES[primaries]]).T
    x, y = _WHITE_D65
    amounts = np.linalg.solve(chromaticities, np.array([x / y, 1, (1 - x - y) / y]))
    return np.asarray(chromaticities * amounts)

"""How a player turns the stored pictures of a file: the display matrix of phones, drones and front cameras.

Any matrix of right angles is a flip upside down or none, and then a rotation. PyAV's ``picture.rotation`` is the
rotation alone, so a mirrored file would stand on its head::

    matrix of the file           rotation   is_mirrored
    none                                0   False
    turned by 90 degrees               90   False
    mirrored, left for right          180   True         flipped, and then turned by 180 degrees
    mirrored, top for bottom            0   True
"""

from __future__ import annotations

from typing import Any

import numpy as np


def rotation_degrees(picture: Any) -> int:
    """Counter-clockwise rotation that a player applies to a PyAV picture: 0, 90, 180 or 270."""
    degrees: int = round(picture.rotation / 90) * 90 % 360
    return degrees


def is_mirrored(picture: Any) -> bool:
    """Whether a player flips a PyAV picture upside down before it rotates it."""
    from av.sidedata.sidedata import Type

    data = picture.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return False
    # Rows of three numbers, native byte order: x' = a x + c y and y' = b x + d y are all that matters here.
    (a, b, _), (c, d, _) = np.frombuffer(bytes(data), dtype=np.int32)[:6].reshape(2, 3).astype(float)
    return bool(a * d - b * c < 0)


def upright(picture_HWC: np.ndarray, rotation: int, mirrored: bool) -> np.ndarray:
    """A stored picture as it is shown, a view of it: flipped if ``mirrored``, and rotated by ``rotation`` degrees."""
    return np.rot90(picture_HWC[::-1] if mirrored else picture_HWC, rotation // 90)

"""How the pictures of a file are prepared before they are scaled: decided once a file, the same for every reader.

    VideoIndex -> take_first_look -> FirstLook -+-> Preparation -> deinterlace, crop, scale, map tones
                             PictureOptions ----+

An ordinary file has the plain preparation, under which nothing is done to a picture.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.core.picture_options import PictureOptions
from e2espot.video.black_bars import Area
from e2espot.video.first_look import FirstLook, take_first_look

if TYPE_CHECKING:
    from e2espot.video.index import VideoIndex
    from e2espot.video.interlacing import FieldOrder
    from e2espot.video.tone_map import HdrColour

_LOG = logging.getLogger(__name__)

_MAX_LOOKS = 10_000
_LookKey = tuple[Path, int, int, int]
_LOOKS: OrderedDict[_LookKey, FirstLook] = OrderedDict()
"""(path, size, modification time, stream) -> what the file is like."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is done to every picture of a file."""

    deinterlace: FieldOrder | None = None
    """Deinterlace pictures whose fields are in this order; None for progressive pictures."""
    hdr: HdrColour | None = None
    """Map HDR of this kind to a standard display; None for standard video."""
    area: Area | None = None
    """Crop to this area, in pixels as shown, after rotation; None for whole pictures."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing is done."""
        return self == PLAIN

    def stored_area(self, index: VideoIndex) -> Area | None:
        """The area in the pictures of a file as they are stored, neither rotated nor mirrored."""
        if self.area is None:
            return None
        stored = self.area.turned(-index.rotation_degrees // 90 % 4, (index.width, index.height))
        return stored.flipped(index.coded_height) if index.is_mirrored else stored

    def describe(self) -> str:
        """For the user, such as ``deinterlaced (top field first), cropped to 640x360 at 0,60``."""
        parts = []
        if self.deinterlace is not None:
            parts.append(f"deinterlaced ({self.deinterlace} field first)")
        if self.hdr is not None:
            parts.append(f"mapped from HDR ({self.hdr.transfer.upper()}) to standard range")
        if self.area is not None:
            area = self.area
            parts.append(f"cropped to {area.width}x{area.height} at {area.left},{area.top}")
        return ", ".join(parts) or "as they are"

    def to_json(self) -> dict[str, Any]:
        """Fields for a results file; only those of what is done."""
        fields: dict[str, Any] = {}
        if self.deinterlace is not None:
            fields["deinterlaced"] = f"{self.deinterlace} field first"
        if self.hdr is not None:
            fields["tone_mapped"] = self.hdr.transfer
        if self.area is not None:
            fields["cropped_to"] = f"{self.area.width}:{self.area.height}:{self.area.left}:{self.area.top}"
        return fields


PLAIN = Preparation()
"""Pictures as they are."""


def known_look(index: VideoIndex) -> FirstLook | None:
    """What this process knows of a file's pictures; None if it has not looked at them."""
    return _LOOKS.get(_key(index))


def remember_look(index: VideoIndex, look: FirstLook) -> None:
    """Keep the look that another process has taken at a file."""
    _LOOKS[_key(index)] = look
    if len(_LOOKS) > _MAX_LOOKS:
        _LOOKS.popitem(last=False)


def preparation_of(index: VideoIndex, options: PictureOptions | None = None) -> Preparation:
    """How the pictures of a file are prepared; the first call for a file takes the first look, and logs the result.

    Args:
        index: The index of the file, as from ``index_of``.
        options: What may be done.

    Raises:
        VideoError: the area asked for is not within the picture.
    """
    options = options or PictureOptions()
    preparation = decide(index, _look(index) if _needs_look(options) else FirstLook(), options)
    log_preparation(index.path, preparation)
    return preparation


def decide(index: VideoIndex, look: FirstLook, options: PictureOptions) -> Preparation:
    """The preparation of a file, by what it is like and what is asked for; pure.

    Raises:
        VideoError: the area asked for is not within the picture.
    """
    area = None
    if look.area is not None and options.crop_bars == "auto":
        flipped = look.area.flipped(index.coded_height) if index.is_mirrored else look.area
        area = flipped.turned(index.rotation_degrees // 90, (index.coded_width, index.coded_height))
    asked_for = options.area()
    if asked_for is not None:
        width, height, left, top = asked_for
        if left + width > index.width or top + height > index.height:
            raise VideoError(
                f"{index.path}: crop_bars is {options.crop_bars}, which is not within its pictures of "
                f"{index.width}x{index.height}; give width:height:left:top, or auto",
                option="crop_bars",
            )
        # Down to even numbers, since chroma is stored for every second line and column.
        left, top, width, height = (value // 2 * 2 for value in (left, top, width, height))
        is_whole = (width, height) == (index.width // 2 * 2, index.height // 2 * 2)
        area = None if is_whole else Area(left=left, top=top, width=max(2, width), height=max(2, height))
    return Preparation(
        deinterlace=look.field_order if options.deinterlace == "auto" else None,
        hdr=look.hdr if options.tone_map == "auto" else None,
        area=area,
    )


def shown_size(index: VideoIndex, preparation: Preparation) -> tuple[int, int]:
    """Width and height of a prepared picture before it is scaled, in pixels."""
    area = preparation.area
    return (index.width, index.height) if area is None else (area.width, area.height)


def window_of(index: VideoIndex, preparation: Preparation) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the area that is read, as fractions of the picture as shown."""
    if preparation.area is None:
        return 0.0, 0.0, 1.0, 1.0
    area, width, height = preparation.area, index.width, index.height
    return (
        area.left / width,
        area.top / height,
        (area.left + area.width) / width,
        (area.top + area.height) / height,
    )


def positions_within(position_N2: np.ndarray, window: tuple[float, float, float, float]) -> np.ndarray:
    """Positions as fractions of a picture, as fractions of a window of it; NaN for those outside the window.

    ::

        position (0.5, 0.5), window (0, 0.25, 1, 0.75) -> (0.5, 0.5);   (0.5, 0.3) -> (0.5, 0.1);   (0.5, 0.2) -> NaN
    """
    low_2, high_2 = np.array(window[:2]), np.array(window[2:])
    within_N2 = (position_N2 - low_2) / (high_2 - low_2)
    is_outside_N = ((within_N2 < 0) | (within_N2 >= 1)).any(axis=-1, keepdims=True)
    return np.where(is_outside_N, np.nan, within_N2).astype(position_N2.dtype)


@cache
def log_preparation(path: Path, preparation: Preparation) -> None:
    """Report once for each file what is done to its pictures; nothing for plain ones."""
    if not preparation.is_plain:
        _LOG.info("%s: pictures are %s", path, preparation.describe())


def _needs_look(options: PictureOptions) -> bool:
    return options.deinterlace == "auto" or options.tone_map == "auto" or options.crop_bars == "auto"


def _look(index: VideoIndex) -> FirstLook:
    """The first look at a file, kept in memory until the file changes."""
    look = known_look(index)
    if look is None:
        look = take_first_look(index)
        remember_look(index, look)
    return look


def _key(index: VideoIndex) -> _LookKey:
    return index.path, index.byte_size, index.mtime_ns, index.stream_index

"""From a decoded picture to RGB of the size asked for: deinterlaced, cropped, scaled and tone-mapped as prepared."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import DamagedVideoError
from e2espot.video.interlacing import Deinterlacer, filter_graph
from e2espot.video.tone_map import ToneMapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2espot.video.black_bars import Area
    from e2espot.video.index import VideoIndex
    from e2espot.video.preparation import Preparation

_NEIGHBOURS = 3
"""Pictures that stay in memory: one that is deinterlaced, and the two next to it."""


class PictureFilter:
    """Prepares the pictures of one file; a result depends on the picture and its two neighbours alone."""

    def __init__(self, index: VideoIndex, size: tuple[int, int], preparation: Preparation) -> None:
        """Prepare for a file; ``size`` is the (width, height) to scale to, before rotation."""
        self._size, self._last_rank = size, index.num_pictures - 1
        order, hdr = preparation.deinterlace, preparation.hdr
        self._deinterlacer = Deinterlacer(order) if order is not None else None
        self._tone_mapper = ToneMapper(hdr) if hdr is not None else None
        area = preparation.stored_area(index)
        self._cropper = Cropper(area, (index.coded_width, index.coded_height)) if area is not None else None
        self._recent: OrderedDict[int, Any] = OrderedDict()

    @property
    def needs_neighbours(self) -> bool:
        """Whether a picture is made from the ones next to it as well."""
        return self._deinterlacer is not None

    def to_rgb(self, rank: int, picture_at: Callable[[int], Any]) -> np.ndarray:
        """Prepare one picture.

        Args:
            rank: Its rank.
            picture_at: Decodes a picture by its rank.

        Returns:
            uint8 RGB ``HWC``.

        Raises:
            VideoError: what ``picture_at`` raises for ``rank``.
        """
        picture = picture_at(rank) if self._deinterlacer is None else self._deinterlaced(rank, picture_at)
        if self._cropper is not None:
            picture = self._cropper.crop(picture)
        width, height = self._size
        layout = "rgb24" if self._tone_mapper is None else "rgb48le"
        scaled = picture.reformat(width=width, height=height, format=layout, interpolation="BILINEAR", threads=1)
        array: np.ndarray = scaled.to_ndarray()
        return array if self._tone_mapper is None else self._tone_mapper.to_sdr(array)

    def _deinterlaced(self, rank: int, picture_at: Callable[[int], Any]) -> Any:
        """One full picture; a neighbour that does not exist or decode is replaced by the picture itself."""
        assert self._deinterlacer is not None
        pictures = []
        for near in (rank - 1, rank, rank + 1):
            if near not in self._recent and 0 <= near <= self._last_rank:
                # An error at a neighbour is not one of this picture: it is raised where that one is asked for.
                with suppress(*(() if near == rank else (DamagedVideoError,))):
                    self._recent[near] = picture_at(near)
            pictures.append(self._recent.get(near))
        while len(self._recent) > _NEIGHBOURS:
            self._recent.popitem(last=False)
        before, current, after = pictures
        return self._deinterlacer.picture(
            current if before is None else before, current, current if after is None else after
        )


class Cropper:
    """FFmpeg's ``crop``, which copies no pixels."""

    def __init__(self, area: Area, size: tuple[int, int]) -> None:
        """Crop to ``area`` of pictures of ``size`` = (width, height), and to the same part of any others."""
        self._area, self._size = area, size
        self._graph: Any = None
        self._layout: tuple[int, int, str] | None = None

    def crop(self, picture: Any) -> Any:
        """The area of one picture."""
        layout = picture.width, picture.height, picture.format.name
        if layout != self._layout:
            # A stream whose size changes: area 640 wide at 0 of 640 -> 320 wide at 0 of 320.
            x, y = picture.width / self._size[0], picture.height / self._size[1]
            area = self._area
            options = f"w={round(area.width * x)}:h={round(area.height * y)}:x={round(area.left * x)}"
            self._layout, self._graph = layout, filter_graph(picture, [("crop", f"{options}:y={round(area.top * y)}")])
        self._graph.push(picture)
        return self._graph.vpull()

"""How a file's pictures may be prepared before they are scaled. No video library is imported: `--help` stays fast."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from e2espot.core.errors import ConfigurationError

PICTURE_OPTIONS = ("deinterlace", "tone_map", "crop_bars")
"""Names of the fields of ``PictureOptions``."""


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """What may be done to pictures; the command line offers the same under the same names."""

    deinterlace: Literal["auto", "off"] = "auto"
    """auto deinterlaces interlaced videos such as 1080i50; off leaves both fields in one picture."""
    tone_map: Literal["auto", "off"] = "auto"
    """auto converts HDR videos (PQ and HLG) to standard dynamic range; off takes their values as they are."""
    crop_bars: str = "auto"
    """auto crops black bars that stay all through the video; off keeps them; W:H:X:Y crops to that area, in pixels."""

    def __post_init__(self) -> None:
        """Refuse what is none of the choices; the command line checks two of the fields itself."""
        for name in ("deinterlace", "tone_map"):
            if getattr(self, name) not in ("auto", "off"):
                raise ConfigurationError(f"{name} is {getattr(self, name)!r}; choose auto or off", option=name)
        if self.crop_bars not in ("auto", "off") and self.area() is None:
            raise ConfigurationError(
                f"crop_bars is {self.crop_bars!r}; choose auto, off, or an area as width:height:left:top in pixels, "
                "such as 1440:1080:240:0",
                option="crop_bars",
            )

    def only_pictures(self) -> PictureOptions:
        """These three fields, without those of a derived class."""
        return PictureOptions(deinterlace=self.deinterlace, tone_map=self.tone_map, crop_bars=self.crop_bars)

    def area(self) -> tuple[int, int, int, int] | None:
        """(width, height, left, top) where an area is given, in pixels as shown."""
        match = re.fullmatch(r"([1-9]\d{0,4}):([1-9]\d{0,4}):(\d{1,5}):(\d{1,5})", self.crop_bars)
        if match is None:
            return None
        width, height, left, top = (int(group) for group in match.groups())
        return width, height, left, top

"""The small backbone with an image network next to it that knows photographs.

Shapes: B clips, T frames, C channels, H height, W width, N = B * T.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.models.backbones.base import FrameFeatures
from e2espot.models.backbones.lite_stages import WIDTHS, LiteStages
from e2espot.models.backbones.small import AddedMaps, SmallBackbone

ADDED_LAYERS = ("to_fine", "to_merge", "to_coarse", "context")
"""Names of the 1x1 convolutions between the image network and the small one."""
SEEN_EVERY = 2
"""The image network sees every second frame only: it takes several times the time of the rest, and what it sees hardly
changes in the 80 ms from one frame to the next."""


class LiteBackbone(SmallBackbone):
    """The small backbone, to whose maps those of EfficientNet-Lite0 are added.

    What is learnt from rendered matches alone takes a yellow referee for a yellow ball. The features of a network that
    was trained on photographs, and is not trained any further, tell people, grass and boards apart on real footage as
    well. They see single frames; motion stays with the small backbone. They see every second frame, whose maps the next
    frame gets as well.

        frames 0, 2, 4 ... -> image network -+- 1/8 ---------> norm -> 1x1 -+-> added before block1 and before merge
                                             +- 1/16, 1/32 --> norm -> 1x1 -+-> added before block2

    The 1x1 convolutions start at zero, so that training starts from what the small backbone knows.

    Args:
        shift: As for ``SmallBackbone``.
    """

    def __init__(self, shift: str) -> None:
        super().__init__(shift)
        _, middle, deep = self.WIDTHS
        eighth, sixteenth, thirty_second = WIDTHS
        self.image = LiteStages()
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, affine=False) for width in WIDTHS)
        self.to_fine = nn.Conv2d(eighth, middle, 1)
        self.to_merge = nn.Conv2d(eighth, middle, 1, bias=False)
        self.to_coarse = nn.Conv2d(sixteenth, deep, 1)
        self.context = nn.Conv2d(thirty_second, deep, 1, bias=False)
        for name in ADDED_LAYERS:
            conv: nn.Conv2d = getattr(self, name)
            nn.init.zeros_(conv.weight)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, frames_BTCHW: Tensor) -> FrameFeatures:
        """Normalised float frames -> features, and the heat map of the ball at an eighth of the frame size."""
        clips, num_frames = frames_BTCHW.shape[:2]
        maps = self.image(frames_BTCHW[:, ::SEEN_EVERY].flatten(0, 1))
        fine = self.down1(self.stem(self.add_motion(frames_BTCHW)))
        return self._after_down1(fine, clips, num_frames, self._added_maps(maps))

    def forward_clips(self, clips_TCHW: Iterable[Tensor], count: int) -> FrameFeatures:
        """As ``forward``, with one clip at a time at full frame size."""
        parts: list[tuple[Tensor, ...]] = []

        def seen() -> Iterator[Tensor]:
            for clip_TCHW in clips_TCHW:
                parts.append(self.image(clip_TCHW[::SEEN_EVERY]))
                yield clip_TCHW
                del clip_TCHW  # or it is held while the next one is made

        fine, num_frames = self._down1_of_clips(seen(), count)
        maps = tuple(torch.cat(scale) for scale in zip(*parts, strict=True))
        parts.clear()
        return self._after_down1(fine, count, num_frames, self._added_maps(maps))

    def _added_maps(self, maps_NCHW: tuple[Tensor, ...]) -> AddedMaps:
        """What is added to the small backbone's maps, from those of the image network at its three sizes."""
        eighth, sixteenth, thirty_second = (norm(x) for norm, x in zip(self.norms, maps_NCHW, strict=True))
        coarse = self.to_coarse(sixteenth)
        context = functional.interpolate(self.context(thirty_second), size=coarse.shape[-2:], mode="nearest")
        return AddedMaps(self.to_fine(eighth), self.to_merge(eighth), coarse + context, frames_per_map=SEEN_EVERY)

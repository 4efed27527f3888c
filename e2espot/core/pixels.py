"""Constants of pixel values: ImageNet's statistics, and the weights of colours in luma."""

from __future__ import annotations

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green and blue over ImageNet, in fractions of full scale."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of red, green and blue over ImageNet, in fractions of full scale."""

LUMA_BT601 = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma (ITU-R BT.601)."""

LUMA = (0.2989, 0.587, 0.114)
"""The same as torchvision's greyscale conversion rounds them. Networks that take greyscale were trained with these."""

YUV_RED_BLUE = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}
"""Weights of red and blue in luma for each YUV matrix, by FFmpeg's names; green has the rest."""


def centre_crop_offset(extent: int, side: int) -> int:
    """First row or column of the centre crop of ``side`` pixels, the same in training and inference.

    ::

        398 columns, side 224 -> 87
    """
    return round((extent - side) / 2)

"""Constants of pixel values: ImageNet's statistics and luma weights."""

from __future__ import annotations

IMAGENET_MEAN = (0.485, 0.456, 0.406)

IMAGENET_STD = (0.229, 0.224, 0.225)

LUMA = (0.2989, 0.587, 0.114)
"""Shares of red, green and blue in the brightness of a picture (ITU-R BT.601)."""

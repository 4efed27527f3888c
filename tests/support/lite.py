"""The lite backbone with an image network that is heard: its added layers are zeros before training."""

import torch
from torch import nn

from e2espot.models.backbones.lite import ADDED_LAYERS


def hear_the_image_network(backbone: nn.Module, std: float = 0.05) -> None:
    """Give the added layers random weights, if the backbone has any."""
    for name in ADDED_LAYERS:
        if hasattr(backbone, name):
            nn.init.normal_(getattr(backbone, name).weight, std=std)
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm2d) and not layer.affine and layer.running_var is not None:
            torch.nn.init.uniform_(layer.running_var, 0.5, 2.0)

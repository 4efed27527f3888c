"""Chunks through a streaming backbone in bf16, the format of CPUs with matrix units; exactness is tested in fp64."""

import pytest
import torch

from e2espot.models.backbones.registry import build_backbone
from e2espot.models.streaming.backbone_stream import BackboneStream
from e2espot.models.temporal_shift import GateShift


@pytest.mark.parametrize("arch", ["rny002_tsm", "rny002_gsm", "rn18_tsm", "rn18_gsm", "rn18", "small_tsm", "small_gsm"])
def test_backbone_stream_in_bf16_is_near_fp32(arch: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(arch).eval()
    for layer in backbone.modules():
        if isinstance(layer, GateShift):
            torch.nn.init.normal_(layer.conv3D.weight, std=0.1)
    levels = torch.randint(0, 256, (60, 64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        half, single = (
            torch.cat([stream.forward_chunk(chunk) for chunk in levels.split(12)])
            for stream in (BackboneStream(backbone, dtype) for dtype in (torch.bfloat16, torch.float32))
        )
    assert half.shape == single.shape == (60 - 2 * backbone.halo, backbone.feature_dim)
    assert half.dtype == torch.float32
    assert (half - single).norm() < 0.05 * single.norm()

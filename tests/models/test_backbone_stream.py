"""Chunks through a streaming backbone in bf16, the format of CPUs with matrix units; exactness is tested in fp64."""

import sys
from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from e2espot.models.backbones.registry import build_backbone
from e2espot.models.kernels.native import kernel
from e2espot.models.streaming.backbone_stream import BackboneStream
from e2espot.models.temporal_shift import GateShift
from tests.support.lite import hear_the_image_network

ARCHS = ["rny002_tsm", "rny002_gsm", "rn18_tsm", "rn18_gsm", "rn18", "small_tsm", "small_gsm", "lite_gsm"]


@pytest.mark.parametrize("arch", ARCHS)
def test_backbone_stream_in_bf16_is_near_fp32(arch: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(arch).eval()
    hear_the_image_network(backbone)
    for layer in backbone.modules():
        if isinstance(layer, GateShift):
            torch.nn.init.normal_(layer.conv3D.weight, std=0.1)
    levels = torch.randint(0, 256, (60, 32, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        half, single = (
            torch.cat([stream.forward_chunk(chunk) for chunk in levels.split(12)])
            for stream in (BackboneStream(backbone, dtype) for dtype in (torch.bfloat16, torch.float32))
        )
    assert half.shape == single.shape == (60 - 2 * backbone.halo, backbone.feature_dim)
    assert half.dtype == torch.float32
    assert (half - single).norm() < 0.05 * single.norm()


def test_the_laptop_network_needs_no_library_of_other_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing timm and torchvision takes 200 MB and seconds."""
    for name in ("timm", "timm.layers", "torchvision", "torchvision.models.resnet"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    BackboneStream(build_backbone("small_gsm").eval(), torch.float32)


class _Operations(TorchDispatchMode):
    """Counts torch's operations by name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[func.name().partition(".")[0]] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("arch", "most"), [("rny002_gsm", 34), ("small_gsm", 14)])
def test_kernels_leave_torch_one_convolution_per_dense_layer(arch: str, most: int) -> None:
    """Guards the speed: gates, stem and grouped layers of a RegNet and the motion cost no operation of torch."""
    if kernel("gate_shift", torch.device("cpu"), torch.float32) is None:
        pytest.skip("this machine has no C++ compiler")
    stream = BackboneStream(build_backbone(arch).eval(), torch.float32)
    levels = torch.randint(0, 256, (24, 32, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        for _ in range(4):  # until every cache is full
            stream.forward_chunk(levels)
        with _Operations() as operations:
            stream.forward_chunk(levels)
    convolutions = sum(count for name, count in operations.counts.items() if "convolution" in name)
    # Two for each of 13 blocks, and two for each of 4 shortcuts with weights: of frames of this chunk and of the last.
    assert 0 < convolutions <= most, operations.counts
    assert operations.counts["aten::mul_"] == 0, "factors of channels are applied by a kernel"

"""A backbone replayed from a recording continues after the last chunk; on the CPU a replay runs the work again."""

from collections.abc import Callable

import pytest
import torch

from e2espot.models.backbones.registry import build_backbone
from e2espot.models.streaming.backbone_stream import BackboneStream
from e2espot.models.streaming.cuda_graph import CudaGraphBackbone
from e2espot.models.temporal_shift import GateShift
from tests.support.lite import hear_the_image_network


class FakeGraph:
    """Work on fixed memory, run again at each replay."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work, self.replays = work, 0
        work()

    def replay(self) -> None:
        self.replays += 1
        self.work()


@pytest.mark.parametrize("arch", ["rny002_gsm", "rny002", "small_gsm", "small_tsm", "lite_gsm"])
def test_cuda_graph_backbone_equals_backbone_stream(arch: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(arch).eval()
    hear_the_image_network(backbone)
    for layer in backbone.modules():
        if isinstance(layer, GateShift):
            torch.nn.init.normal_(layer.conv3D.weight)
    frames = torch.randint(0, 256, (140, 32, 48, 3), dtype=torch.uint8)
    graphs: list[FakeGraph] = []

    def record(work: Callable[[], None], _device: torch.device) -> FakeGraph:
        graphs.append(FakeGraph(work))
        return graphs[-1]

    # Chunks of other lengths at the start, in the middle and at the end. After that of 7, an image network that sees
    # every second frame sees other ones of a chunk.
    chunks = frames.split([3, *[10] * 8, 4, *[10] * 3, 7, 10, 3, 3])
    with torch.inference_mode():
        plain = BackboneStream(backbone, torch.float32)
        replayed = CudaGraphBackbone(BackboneStream(backbone, torch.float32), record)
        for chunk in chunks:
            expected = plain.forward_chunk(chunk)
            torch.testing.assert_close(replayed.forward_chunk(chunk), expected, rtol=1e-5, atol=1e-5)
    assert len(graphs) == 1
    assert graphs[0].replays >= 3

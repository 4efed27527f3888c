"""A recorded piece goes on where the last one stopped. On the CPU a recording is the work itself, done again."""

from collections.abc import Callable

import pytest
import torch

from e2espot.models.backbones.registry import build_backbone
from e2espot.models.streaming.cuda_graph import GraphedTrunk
from e2espot.models.streaming.trunk_stream import TrunkStream
from e2espot.models.temporal_shift import GateShift


class Again:
    """Work on fixed memory, done anew at each replay."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work, self.replays = work, 0
        work()

    def replay(self) -> None:
        self.replays += 1
        self.work()


@pytest.mark.parametrize("arch", ["rny002_gsm", "rny002", "small_gsm", "small_tsm"])
def test_replayed_pieces_equal_plain_ones(arch: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(arch).eval()
    for layer in backbone.modules():
        if isinstance(layer, GateShift):
            torch.nn.init.normal_(layer.conv3D.weight)
    frames = torch.randint(0, 256, (140, 32, 48, 3), dtype=torch.uint8)
    recorded: list[Again] = []

    def record(work: Callable[[], None], _device: torch.device) -> Again:
        recorded.append(Again(work))
        return recorded[-1]

    # Odd pieces at the start, in the middle and at the end.
    pieces = frames.split([3, *[10] * 10, 4, *[10] * 3, 3])
    with torch.inference_mode():
        plain, graphed = (
            TrunkStream(backbone, torch.float32),
            GraphedTrunk(TrunkStream(backbone, torch.float32), record),
        )
        for piece in pieces:
            torch.testing.assert_close(graphed.push(piece), plain.push(piece), rtol=1e-5, atol=1e-5)
    assert len(recorded) == 1
    assert recorded[0].replays >= 3

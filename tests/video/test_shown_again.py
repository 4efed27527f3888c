"""VP9 that shows pictures again: a packet of a single byte, "show existing", for which no picture is decoded."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dali_pipelines.graph import GraphOptions
from dali_pipelines.routes import choose_route, dali_index, is_decodable
from dali_pipelines.stream import MatchStream
from e2espot.video import index_video, open_reader
from tests.support.numbered_video import constant, numbers_in, write
from tests.support.situation_files import SHOWN_AGAIN_EVERY, show_again

COUNT = 60
OPTIONS = {"deadline": "realtime", "cpu-used": "8", "g": "20"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    folder = tmp_path_factory.mktemp("again")
    plain = write(folder / "plain", constant(Fraction(25), COUNT, codec="libvpx-vp9", suffix=".mkv", options=OPTIONS))
    assert not index_video(plain).shows_again
    return folder / "again.mkv", show_again(plain, folder / "again.mkv")


@pytest.mark.parametrize("reader", ["auto", "decord"])
def test_readers_on_the_cpu_show_the_pictures_again(
    made: tuple[Path, list[int]], reader: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path, numbers = made
    assert len(numbers) == COUNT + COUNT // SHOWN_AGAIN_EVERY
    with open_reader(path, reader=reader) as frames:
        assert numbers_in(frames.read(range(len(numbers)))) == numbers
        for start in np.random.default_rng(0).integers(0, COUNT - 10, 10).tolist():
            assert numbers_in(frames.read(range(start, start + 10))) == numbers[start : start + 10]
    assert not caplog.messages


def test_dali_on_the_cpu_shows_the_pictures_again(
    made: tuple[Path, list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("nvidia.dali", reason="needs DALI")
    path, numbers = made
    assert choose_route(dali_index(path), "cpu")[0] == "decode"
    options = GraphOptions(device=torch.device("cpu"), batch_size=2, num_threads=1)
    stream = MatchStream(path=path, size=(160, 96), fps=Fraction(25), options=options)
    assert numbers_in(torch.cat(list(stream.chunks())).numpy()) == numbers
    assert not caplog.messages


def test_choose_route_leaves_pictures_shown_again_to_the_host_on_cuda(
    made: tuple[Path, list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    path = made[0]
    reason = "DALI miscounts VP9 pictures that show an earlier one"
    assert choose_route(dali_index(path), "cuda") == ("host", reason)
    with caplog.at_level("INFO"):
        assert not is_decodable(path, "cuda")
    assert caplog.messages == [f"{path}: decoded by the CPU: {reason}"]

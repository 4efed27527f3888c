"""VP8 with hidden pictures, which only later ones refer to: counting packets does not find the others."""

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dali_pipelines.routes import choose_route, dali_index
from e2espot.video import index_video, open_reader
from tests.support.numbered_video import constant, numbers_in, write

COUNT = 300
_SHOW_FRAME = 0x10
"""Bit of the first byte of a VP8 picture (RFC 6386, section 9.1)."""


def hide_pictures(source: Path, target: Path) -> int:
    """Copy a VP8 file, with each keyframe stored twice, first as a hidden picture; returns how many those are."""
    num_hidden = 0
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        written: Any = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if not packet.size:
                continue
            if packet.is_keyframe and packet.pts > 0:
                data = bytearray(bytes(packet))
                data[0] &= ~_SHOW_FRAME
                hidden = av.Packet(bytes(data))
                hidden.pts = hidden.dts = packet.pts - 1
                hidden.time_base, hidden.stream, hidden.is_keyframe = packet.time_base, written, True
                new.mux(hidden)
                num_hidden += 1
            packet.stream = written
            new.mux(packet)
    return num_hidden


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vp8")
    options = {"deadline": "realtime", "cpu-used": "8", "g": "10"}
    plain = write(folder / "plain", constant(Fraction(25), COUNT, codec="libvpx", suffix=".webm", options=options))
    assert hide_pictures(plain, folder / "hidden.webm") == 29
    return folder / "hidden.webm"


@pytest.mark.parametrize("reader", ["auto", "decord"])
def test_reader_skips_hidden_vp8_pictures(path: Path, reader: Any, caplog: pytest.LogCaptureFixture) -> None:
    index = index_video(path)
    assert (index.num_packets, index.num_pictures) == (COUNT + 29, COUNT)
    with caplog.at_level(logging.WARNING), open_reader(path, reader=reader, size=(80, 48)) as frames:
        for start in np.random.default_rng(0).integers(0, COUNT - 20, 20).tolist():
            assert numbers_in(frames.read(range(start, start + 20))) == list(range(start, start + 20))
        assert numbers_in(frames.read(range(COUNT))) == list(range(COUNT))
    assert ("read by PyAV instead of decord" in caplog.text) == (reader == "decord")


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_choose_route_leaves_hidden_vp8_pictures_to_the_host(path: Path, device_type: str) -> None:
    assert choose_route(dali_index(path), device_type) == ("host", "some of its pictures are hidden")

"""Packets missing from a transport stream: where pictures are not reliable is logged, and training leaves them out."""

import dataclasses
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.timeline import clock_text
from e2espot.video import open_reader, pictures_of_grid
from e2espot.video.index import VideoIndex, index_from_scan
from e2espot.video.indexing import clear_index_cache, index_of
from e2espot.video.keyframes import KeyframeKind
from e2espot.video.losses import are_intact, describe_losses
from tests.support.numbered_video import constant, numbers_in, write
from tests.video.test_grid import scan_of
from tests.video.test_stream_copy import indexes

COUNT, GOP = 150, 25
_PACKET_BYTES = 188
_VIDEO = 0x100
"""Number of the video's packets (PID), as FFmpeg writes them."""


@pytest.fixture(scope="module", params=[0, 2], ids=["no-b-frames", "b-frames"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"g": str(GOP), "bf": str(request.param), "x264-params": "scenecut=0:open-gop=0"}
    video = constant(Fraction(25), COUNT, suffix=".ts", size=(320, 192), options=options)
    return write(tmp_path_factory.mktemp("whole") / "whole", video)


def lose(source: Path, target: Path, *shares: float, num_lost: int = 2) -> Path:
    """Copy a transport stream without ``num_lost`` packets of the video at each share of it."""
    data = source.read_bytes()
    packets = [data[i : i + _PACKET_BYTES] for i in range(0, len(data), _PACKET_BYTES)]
    video = [i for i, packet in enumerate(packets) if (packet[1] & 31) << 8 | packet[2] == _VIDEO]
    lost = {video[int(share * len(video)) + k] for share in shares for k in range(num_lost)}
    target.write_bytes(b"".join(packet for i, packet in enumerate(packets) if i not in lost))
    return target


@pytest.mark.parametrize("reader", ["auto", "decord"])
def test_losses_are_logged_once_with_times_and_pictures(
    reader: Any, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = lose(whole, tmp_path / "lost.ts", 0.5)
    index = index_of(path)
    lost_P = np.flatnonzero(~are_intact(index, np.arange(index.num_pictures)))
    first, last = int(lost_P[0]), int(lost_P[-1])
    assert 0 <= last - first < GOP
    times_s = [int(pts - index.pts_P[0]) * index.time_base for pts in index.pts_P]
    pictures_K = pictures_of_grid(index, Fraction(25))
    reliable_K = are_intact(index, pictures_K)
    clear_index_cache()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with open_reader(path, reader=reader) as frames:
                shown = numbers_in(frames.read(range(len(pictures_K))))
                assert not frames.is_reliable(np.flatnonzero(~reliable_K)).any()
    for frame in np.flatnonzero(reliable_K):
        assert shown[frame] == times_s[pictures_K[frame]] * 25  # the number that was drawn for this time
    assert sum("packets are missing" in message for message in caplog.messages) == 1
    stretch = f"from {clock_text(times_s[first])} to {clock_text(times_s[last + 1])} (pictures {first} to {last})"
    assert f"{path}: packets are missing; its pictures are not reliable {stretch}" in caplog.messages


def test_losses_at_many_positions_are_named_in_one_line() -> None:
    starts = dict.fromkeys(range(0, 1000, 100), KeyframeKind.CLOSED_GOP)
    index = index_from_scan(scan_of(list(range(1000)), Fraction(1, 25), starts=starts))
    damaged_M = np.isin(np.arange(1000), [40, 150, 160, 250, 350, 999])
    assert describe_losses(dataclasses.replace(index, damaged_M=damaged_M)) == (
        "from 0:00:01.600 to 0:00:04.000 (pictures 40 to 99), from 0:00:06.000 to 0:00:08.000 (pictures 150 to 199), "
        "from 0:00:10.000 to 0:00:12.000 (pictures 250 to 299), and in 2 more stretches"
    )


def test_whole_transport_stream_has_no_losses(whole: Path) -> None:
    index = index_of(whole)
    assert describe_losses(index) is None
    assert are_intact(index, np.arange(COUNT)).all()


@given(indexes(), st.data())
def test_pictures_are_intact_before_the_first_loss_of_their_segment(index: VideoIndex, data: st.DataObject) -> None:
    damaged_M = np.array(data.draw(st.lists(st.booleans(), min_size=index.num_packets, max_size=index.num_packets)))
    damaged = dataclasses.replace(index, damaged_M=damaged_M)
    intact_P = are_intact(damaged, np.arange(index.num_pictures))
    for picture in range(index.num_pictures):
        start, packet = index.start_packet_S[index.segment_of(picture)], index.packet_P[picture]
        assert intact_P[picture] == (not damaged_M[start : packet + 1].any())

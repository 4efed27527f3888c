"""H.264 stored as field pictures: the two fields of a picture are one packet of the index, on every path."""

import io
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dali_pipelines.routes import choose_route, dali_index
from e2espot.review.browser_video import prepare_browser_video
from e2espot.video import index_video, open_reader
from e2espot.video.field_pictures import FieldPairing, FieldRole
from e2espot.video.packets import PacketSource
from e2espot.video.stream_copy import cut_pictures
from e2espot.video.transcode import transcode
from tests.support.field_pictures import HEIGHT, WIDTH, FieldVideo, Layout, write_fields
from tests.support.numbered_video import number_in, numbers_in

COUNT, CLIP_LEN = 60, 9
FPS = [Fraction(25), Fraction(25, 2)]
SIZES = [(WIDTH, HEIGHT), (398, 224)]
MIXED = (3, 4, 5, 6, 20, 31)
VIDEOS = {
    "plain": FieldVideo(count=COUNT),
    "reordered": FieldVideo(count=COUNT, reorder=True),
    "bottom-first": FieldVideo(count=COUNT, bottom_first=True),
    "some-frames": FieldVideo(count=COUNT, reorder=True, frames=MIXED),
}
LAYOUTS: list[Layout] = ["apart", "together"]


def clip_starts(num_frames: int) -> list[int]:
    starts: list[int] = np.random.default_rng(0).integers(0, num_frames - CLIP_LEN, 8).tolist()
    return starts


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("name", "suffix"),
    [("plain", ".m2ts"), ("bottom-first", ".ts"), ("reordered", ".ts"), ("reordered", ".mkv"), ("some-frames", ".mp4")],
)
def test_every_backend_shows_each_pair_of_fields_once(
    name: str, layout: Layout, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_fields(tmp_path / f"fields{suffix}", VIDEOS[name], layout=layout)
    index = index_video(path)
    assert (index.num_packets, index.num_pictures, index.fields) == (COUNT, COUNT, "paired")
    assert index.duration_s == Fraction(COUNT, 25)
    assert not index.truncated
    readers: list[Any] = ["auto", "decord"]
    with caplog.at_level(logging.WARNING):
        for reader, fps, size in [(r, fps, size) for r in readers for fps in FPS for size in SIZES]:
            with open_reader(path, reader=reader, fps=fps, size=size) as frames:
                # At 12.5 fps the middle of frame k is where picture 2k + 1 begins.
                wanted = list(range(COUNT)) if fps == 25 else list(range(1, COUNT, 2))
                assert numbers_in(frames.read(range(frames.info.num_frames))) == wanted
                for start in clip_starts(frames.info.num_frames):
                    assert numbers_in(frames.read(range(start, start + CLIP_LEN))) == wanted[start : start + CLIP_LEN]
    assert not caplog.messages
    for start in clip_starts(COUNT):
        cut = cut_pictures(index, start, start + CLIP_LEN - 1)
        with av.open(io.BytesIO(cut.data)) as container:
            numbers = [number_in(picture.to_ndarray(format="rgb24")) for picture in container.decode(video=0)]
        positions = cut.positions_of(np.arange(start, start + CLIP_LEN))
        assert [numbers[position] for position in positions] == list(range(start, start + CLIP_LEN))


def test_choose_route_leaves_field_pictures_to_the_host(tmp_path: Path) -> None:
    path = write_fields(tmp_path / "fields.ts", VIDEOS["plain"])
    assert choose_route(dali_index(path), "cuda") == ("host", "its pictures are stored as fields")


@pytest.mark.parametrize("suffix", [".ts", ".mp4"])
@pytest.mark.parametrize("lost", [(13,), (COUNT - 1,), (13, 14, 15)])
def test_picture_with_a_missing_field_is_held_and_logged(
    lost: tuple[int, ...], suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_fields(tmp_path / f"lost{suffix}", FieldVideo(count=COUNT, lost_fields=lost))
    index = index_video(path)
    assert index.fields == "unpaired"
    with av.open(str(path)) as container:
        shown = {f.pts: number_in(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)}
    wanted = [max(number for number in shown.values() if number <= k) for k in range(index.num_pictures)]
    readers: list[Any] = ["auto", "decord"]
    for reader in readers:
        with caplog.at_level(logging.WARNING), open_reader(path, reader=reader) as frames:
            assert numbers_in(frames.read(range(frames.info.num_frames))) == wanted
            for start in clip_starts(frames.info.num_frames):
                assert numbers_in(frames.read(range(start, start + CLIP_LEN))) == wanted[start : start + CLIP_LEN]
    assert "some of its fields lack the other one of their picture" in caplog.text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_transcode_writes_each_pair_of_fields_once(layout: Layout, tmp_path: Path) -> None:
    path = write_fields(tmp_path / "fields.ts", VIDEOS["reordered"], layout=layout)
    assert transcode(path, tmp_path / "plain.mp4") == COUNT
    index = index_video(tmp_path / "plain.mp4")
    times_s = [int(pts - index.pts_P[0]) * index.time_base for pts in index.pts_P]
    assert times_s == [Fraction(k, 25) for k in range(COUNT)]
    with open_reader(tmp_path / "plain.mp4") as frames:
        assert numbers_in(frames.read(range(COUNT))) == list(range(COUNT))


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_browser_copy_holds_each_pair_of_fields_once(layout: Layout, suffix: str, tmp_path: Path) -> None:
    path = write_fields(tmp_path / f"fields{suffix}", VIDEOS["reordered"], layout=layout)
    served = prepare_browser_video(path, tmp_path / "cache")
    assert served.times_P == pytest.approx(np.arange(COUNT + 1) / 25)
    with open_reader(served.files[0].path) as frames:
        assert numbers_in(frames.read(range(COUNT))) == list(range(COUNT))


@pytest.mark.parametrize("same_stamps", [False, True])
def test_packets_of_fields_are_joined_wherever_a_seek_leads(same_stamps: bool, tmp_path: Path) -> None:
    path = write_fields(tmp_path / "fields.mkv", VIDEOS["reordered"], second_stamp=0 if same_stamps else 1)
    index = index_video(path)
    source = PacketSource(index)
    in_order = {number: bytes(packet) for number, packet in source.read(0, COUNT)}
    for number in np.random.default_rng(0).integers(0, COUNT, 40).tolist():
        fresh = PacketSource(index)
        ((_, packet),) = fresh.read(number, number + 1)
        assert packet.pts == index.pts_M[number]
        assert bytes(packet) == in_order[number]
        fresh.close()
    source.close()


@given(st.binary(max_size=40), st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=5))
def test_field_role_of_any_bytes_is_a_role(extradata: bytes, packets: list[tuple[bytes, bool]]) -> None:
    for prefix_size in (0, 2, 4):
        pairing = FieldPairing(extradata, prefix_size)
        for data, is_keyframe in packets:
            coded = data.replace(b"\xff", b"\0\0\1g")
            assert pairing.role(memoryview(coded), is_keyframe=is_keyframe) in FieldRole
        assert pairing.kind() in ("none", "paired", "unpaired")

"""4:4:4 by old x264 versions, which FFmpeg decodes in another way once it has seen the version in the first packet."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from e2espot.video import index_video, open_reader
from e2espot.video.old_x264 import version_message
from tests.support.numbered_video import picture

COUNT, GOP = 40, 10


def encode(path: Path) -> Path:
    """Moving noise and numbers, for which the version makes a difference."""
    noise = np.random.default_rng(0).integers(0, 255, (96, 160, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv444p"
        stream.codec_context.thread_count = 1
        stream.options = {"g": str(GOP), "crf": "30", "x264-params": "8x8dct=1:cabac=1:scenecut=0"}
        for number in range(COUNT):
            image = np.roll(noise, number, axis=1) // 2 + picture(number) // 2
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return path


def as_version(path: Path, version: bytes) -> Path:
    """The same file, as if another version of x264 had written it."""
    data = path.read_bytes()
    start = data.index(b"x264 - core ") + len(b"x264 - core ")
    target = path.with_name(f"{version.decode()}{path.suffix}")
    target.write_bytes(data[:start] + version + data[start + 3 :])
    return target


def decode_group(path: Path, keyframe: int, *, knows_version: bool) -> np.ndarray:
    """Pictures of one group, by a decoder that has seen the first packet of the file, or has not."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        codec = stream.codec_context
        codec.thread_count = 1
        group = packets[keyframe : keyframe + GOP]
        decoded = [shown for packet in [*packets[:knows_version], *group, None] for shown in codec.decode(packet)]
    return np.stack([shown.to_ndarray(format="rgb24") for shown in decoded[-GOP:]])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_decoder_knows_the_version_wherever_it_begins(suffix: str, tmp_path: Path) -> None:
    path = as_version(encode(tmp_path / f"new{suffix}"), b"150")
    assert index_video(path).num_pictures == COUNT
    for keyframe in (30, 10, 20):
        # The file is not really by an old version, so the decoder conceals errors, from what it has decoded before.
        # It is enough that it does not decode as one that has not seen the version.
        by_new = decode_group(path, keyframe, knows_version=False).astype(int)
        assert np.abs(decode_group(path, keyframe, knows_version=True) - by_new).mean() > 1
        for before in ([], [COUNT - 1, 0]):
            with open_reader(path) as frames:
                frames.read(before)
                assert np.abs(frames.read(range(keyframe, keyframe + GOP)) - by_new).mean() > 1


@pytest.mark.parametrize(("version", "is_old"), [(b"150", True), (b"151", False), (b"033", True), (b"165", False)])
def test_version_message_is_that_of_versions_before_151(version: bytes, is_old: bool) -> None:
    unit = b"\x06\x05\x30" + bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef") + b"x264 - core " + version + b" r1\x80"
    packet = b"\0\0\1\x67\x42" + b"\0\0\1" + unit + b"\0\0\1\x65\x88"
    assert version_message(b"", memoryview(packet)) == (b"\0\0\0\1" + unit if is_old else b"")

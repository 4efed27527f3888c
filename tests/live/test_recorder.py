"""A recording holds the pictures at the positions of the events; a full disk ends it, not the spotting."""

from __future__ import annotations

import logging
import resource
import signal
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.live.recorder import StreamRecorder
from e2espot.live.stream_reader import StreamReader
from e2espot.video import open_reader
from tests.live.senders import numbered_stream, piped
from tests.support.numbered_video import HEIGHT, WIDTH, constant, numbers_in, write


def record(stream: Path, target: Path) -> dict[int, int]:
    with piped(stream) as address:
        reader = StreamReader(
            address,
            fps=Fraction(25),
            size=(WIDTH, HEIGHT),
            ring_len=1000,
            give_up_s=60,
            recorder=StreamRecorder(target),
        )
        reader.start()
        reader.join(60)
    assert reader.error is None
    frames = reader.ring.take(1000, 0.1)
    return {frame.frame: numbers_in(frame.rgb_HWC[None])[0] for frame in frames}


@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_a_recording_shows_what_the_stream_showed(tmp_path: Path, b_frames: str) -> None:
    stream, target = numbered_stream(tmp_path, 60, bf=b_frames), tmp_path / "match.mkv"
    joined = tmp_path / "joined.ts"  # a sender that restarts
    joined.write_bytes(stream.read_bytes() * 2)
    shown = record(joined, target)
    with open_reader(target, fps=Fraction(25)) as reader:
        recorded = numbers_in(reader.read(range(len(shown))))
    assert dict(enumerate(recorded)) == shown and len(shown) == 120


def test_a_full_disk_ends_the_recording_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stream = numbered_stream(tmp_path, 60)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with caplog.at_level(logging.WARNING):
            shown = record(stream, tmp_path / "match.mkv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert shown == {frame: frame for frame in range(60)}
    assert [record.message for record in caplog.records if "spotting goes on" in record.message]


def test_recordings_never_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "match.mkv").write_text("old")
    for name, message in (("match.mkv", "exists"), ("match.mp4", "Matroska")):
        with pytest.raises(ConfigurationError, match=message):
            StreamRecorder(tmp_path / name)


def opened(path: Path) -> Any:
    """The video stream of a file, which stays open with it."""
    return av.open(str(path)).streams.video[0]


@pytest.mark.parametrize("is_connected", [False, True])
def test_a_stream_without_a_packet_leaves_no_recording_so_that_it_can_be_tried_again(
    is_connected: bool, tmp_path: Path
) -> None:
    target = tmp_path / "match.mkv"
    for _ in range(2):
        recorder = StreamRecorder(target)
        if is_connected:
            recorder.open(opened(numbered_stream(tmp_path, 10)))
        recorder.close()
        assert not target.exists()


def test_a_stream_that_changes_its_format_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "match_part2.mkv").write_text("old")
    recorder = StreamRecorder(tmp_path / "match.mkv")
    for size in ((WIDTH, HEIGHT), (WIDTH * 2, HEIGHT * 2)):
        path = write(tmp_path / "source", constant(Fraction(25), 5, size=size, options={"bf": "0"}))
        stream = opened(path)
        recorder.open(stream)
        for number, packet in enumerate(stream.container.demux(stream)):
            if packet.size:
                recorder.add(packet, Fraction(number, 25), Fraction(number, 25))
    recorder.close()
    assert (tmp_path / "match_part2.mkv").read_text() == "old"
    widths = [opened(tmp_path / name).width for name in ("match.mkv", "match_part3.mkv")]
    assert widths == [WIDTH, WIDTH * 2]

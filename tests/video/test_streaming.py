"""Streaming: frames decoded ahead by a child process, which may die, hang or be abandoned."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.video import decoder_process, open_reader, stream_frames
from e2espot.video.decoder_process import DecodeRequest
from tests.support.numbered_video import constant, numbers_in, write


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("stream") / "video", constant(Fraction(25), 600, options={"g": "120"}))


def decoders() -> list[int]:
    """Process ids of this process's decoders."""
    alive = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat, command = (entry / "stat").read_text(), (entry / "cmdline").read_text()
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == os.getpid() and "serve_child" in command:
                alive.append(int(entry.name))
    return alive


def is_cleaned_up() -> bool:
    """Whether no decoder is alive and no shared memory is mapped; it never has a name that could be left over."""
    # Other libraries keep locks in /dev/shm (tqdm does): only shared blocks count.
    maps = Path("/proc/self/maps").read_text()
    return not decoders() and "memfd:e2espot" not in maps and "/dev/shm/psm_" not in maps


@pytest.mark.parametrize(("chunk_len", "read_ahead"), [(64, 4), (1000, 1), (7, 2)])
def test_stream_frames_equals_the_in_process_reader(video: Path, chunk_len: int, read_ahead: int) -> None:
    chunks = list(stream_frames(video, size=(80, 48), chunk_len=chunk_len, read_ahead=read_ahead))
    frames = np.concatenate([chunk.frames_THWC for chunk in chunks])
    assert numbers_in(frames) == list(range(600))
    with open_reader(video, size=(80, 48)) as reader:
        assert np.array_equal(reader.read(range(600)), frames)
    assert is_cleaned_up()


@pytest.mark.parametrize("size", [(1280, 720), (800, 456)])
def test_stream_frames_of_large_frames_equals_the_in_process_reader(video: Path, size: tuple[int, int]) -> None:
    """A chunk of 64 such frames takes several slots of the ring, the last of them shorter."""
    stop = 100
    decoded = stream_frames(video, size=size, stop=stop, read_ahead=2)
    expected = stream_frames(video, size=size, stop=stop, in_process=True)
    for chunk, other in zip(decoded, expected, strict=True):
        assert chunk.first_frame == other.first_frame
        assert np.array_equal(chunk.frames_THWC, other.frames_THWC)
        first = chunk.first_frame
        assert numbers_in(chunk.frames_THWC) == list(range(first, first + len(chunk.frames_THWC)))
    assert is_cleaned_up()


def test_stream_frames_from_start_to_stop(video: Path) -> None:
    chunks = list(stream_frames(video, chunk_len=50, start=130, stop=290))
    assert [chunk.first_frame for chunk in chunks] == [130, 180, 230, 280]
    assert numbers_in(np.concatenate([chunk.frames_THWC for chunk in chunks])) == list(range(130, 290))
    assert list(stream_frames(video, start=5, stop=5)) == []
    with pytest.raises(ValueError, match="600"):
        next(stream_frames(video, stop=601))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_stream_frames_raises_once_when_the_decoder_dies(video: Path, how: signal.Signals) -> None:
    chunks = stream_frames(video, chunk_len=16, read_ahead=2)
    next(chunks)
    os.kill(decoders()[0], how)
    with pytest.raises(VideoError, match=f"died \\(signal {how.value}\\)") as caught:
        list(chunks)
    assert str(video) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert is_cleaned_up()


def test_stream_frames_ends_a_decoder_that_hangs(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    start = decoder_process._DecoderProcess.__init__

    def remembered(self: Any, request: DecodeRequest, timeout_s: float) -> None:
        start(self, request, timeout_s)
        started.append(self)

    monkeypatch.setattr(decoder_process._DecoderProcess, "__init__", remembered)
    chunks = stream_frames(video, chunk_len=16, read_ahead=2)
    next(chunks)
    os.kill(decoders()[0], signal.SIGSTOP)
    started[0]._timeout_s = 1  # not before: to start takes longer on a slow machine
    with pytest.raises(VideoError, match="gave nothing for 1 s"):
        list(chunks)
    assert is_cleaned_up()


def test_stream_frames_waits_for_a_slow_consumer(video: Path) -> None:
    chunks = stream_frames(video, chunk_len=200, read_ahead=1, timeout_s=200)
    seen = []
    for chunk in chunks:
        time.sleep(0.3)
        seen.append(len(chunk.frames_THWC))
    assert seen == [200, 200, 200]


def test_stream_frames_cleans_up_when_abandoned(video: Path) -> None:
    chunks = stream_frames(video)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert is_cleaned_up()
    for _chunk in stream_frames(video):
        break
    gc.collect()
    assert is_cleaned_up()


def test_stream_frames_cleans_up_when_interrupted(video: Path) -> None:
    _interrupt(video)
    assert is_cleaned_up()


def _interrupt(video: Path) -> None:
    chunks = stream_frames(video, chunk_len=16, read_ahead=1)
    next(chunks)
    child = decoders()[0]
    os.kill(child, signal.SIGSTOP)
    with pytest.raises(KeyboardInterrupt):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        list(chunks)


def test_decoder_exits_when_its_parent_is_killed(video: Path) -> None:
    script = (
        "import sys, time; from e2espot.video import stream_frames; "
        f"c = stream_frames({str(video)!r}, chunk_len=16); next(c); print('ready', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while any(Path(f"/proc/{child}").exists() for child in children):  # at most to the time limit of a test
        time.sleep(0.05)


def resident_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_stream_frames_does_not_leak_memory(video: Path) -> None:
    def once() -> None:
        for chunk in stream_frames(video, size=(320, 192), chunk_len=32, in_process=True):
            del chunk
        for chunk in stream_frames(video, size=(320, 192), chunk_len=32, stop=320):
            del chunk

    once()
    gc.collect()
    before = resident_kib()
    for _ in range(3):
        once()
    gc.collect()
    assert resident_kib() - before < 20_000


def test_importing_video_loads_neither_torch_nor_decoders() -> None:
    code = "import sys, e2espot.video; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "e2espot.video" in loaded
    assert not loaded & {"torch", "av", "decord"}

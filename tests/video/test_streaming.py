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
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.video import decoder_process, open_reader, stream_frames
from e2espot.video.decoder_child import end_idle_child
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


@pytest.fixture(autouse=True)
def _no_idle_decoder() -> None:
    end_idle_child()


def keeps_one_decoder() -> bool:
    """Whether one decoder waits for another file, and nothing else is left."""
    is_one = len(decoders()) == 1
    end_idle_child()
    return is_one and is_cleaned_up()


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
    assert keeps_one_decoder()


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
    assert keeps_one_decoder()


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


def test_one_decoder_reads_one_file_after_the_other(video: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", constant(Fraction(25), 90, options={"g": "30"}))
    ids = []
    for path, count in ((video, 600), (other, 90), (video, 600)):
        for chunk in stream_frames(path, size=(80, 48), chunk_len=50):
            first = chunk.first_frame
            assert numbers_in(chunk.frames_THWC) == list(range(first, min(first + 50, count)))
            ids += decoders()
    assert len(set(ids)) == 1
    assert keeps_one_decoder()


def test_a_decoder_reads_no_other_file_after_one_it_did_not_end(video: Path) -> None:
    next(stream_frames(video))
    gc.collect()
    assert is_cleaned_up()
    chunks = stream_frames(video, chunk_len=16, read_ahead=2)  # not all of it is ready when the decoder dies
    next(chunks)
    os.kill(decoders()[0], signal.SIGKILL)
    with pytest.raises(VideoError):
        list(chunks)
    assert is_cleaned_up()


def test_a_decoder_reads_no_other_file_in_another_environment(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reader_id() -> int:
        assert [chunk.first_frame for chunk in stream_frames(video, stop=100)] == [0, 64]
        (decoder,) = decoders()
        return decoder

    first = reader_id()
    assert reader_id() == first
    monkeypatch.setenv("E2ESPOT_ANYTHING", "1")
    second = reader_id()
    monkeypatch.chdir(tmp_path)
    assert len({first, second, reader_id()}) == 3


def test_an_idle_decoder_that_was_killed_is_replaced(video: Path) -> None:
    list(stream_frames(video, stop=20))
    (decoder,) = decoders()
    os.kill(decoder, signal.SIGKILL)
    while Path(f"/proc/{decoder}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
        time.sleep(0.01)
    assert [len(chunk.frames_THWC) for chunk in stream_frames(video, stop=20)] == [20]
    assert decoders() != [decoder]


def test_a_forked_process_starts_a_decoder_of_its_own(video: Path) -> None:
    list(stream_frames(video, stop=20))
    (decoder,) = decoders()
    process = get_context("fork").Process(target=_read_and_exit, args=(video,))
    process.start()
    process.join()
    assert process.exitcode == 20
    assert decoders() == [decoder]
    assert [len(chunk.frames_THWC) for chunk in stream_frames(video, stop=20)] == [20]
    assert decoders() == [decoder]


def _read_and_exit(video: Path) -> None:
    os._exit(sum(len(chunk.frames_THWC) for chunk in stream_frames(video, stop=20)))


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

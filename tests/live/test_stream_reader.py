"""Streams as they are: every protocol that PyAV can send, and the faults of senders."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from e2espot.live.address import Address, parse_address
from e2espot.live.stream_reader import StreamReader
from e2espot.video import open_reader
from tests.live.senders import (
    free_port,
    in_background,
    numbered_stream,
    piped,
    send,
    sending_process,
    wait_for_listener,
)
from tests.support.numbered_video import HEIGHT, WIDTH, constant, number_in, turn_by_message, write
from tests.support.transport_streams import join_programmes

FPS = Fraction(25)


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_stream(tmp_path_factory.mktemp("stream"))


def read(address: Address, *, give_up_s: float = 60.0, ring_len: int = 1000) -> tuple[dict[int, int], StreamReader]:
    """Frame -> number of the picture it shows, of everything until the stream is over."""
    reader = StreamReader(address, fps=FPS, size=(WIDTH, HEIGHT), ring_len=ring_len, give_up_s=give_up_s)
    reader.start()
    shown: dict[int, int] = {}
    deadline = time.monotonic() + 300
    while not reader.ring.is_over:
        assert time.monotonic() < deadline, "the reader hangs"
        shown |= {frame.frame: number_in(frame.rgb_HWC) for frame in reader.ring.take(1, 0.2)}
    reader.join(60)
    assert reader.error is None
    return shown, reader


def read_whole(path: Path) -> tuple[dict[int, int], StreamReader]:
    """As ``read``, of a complete file."""
    with piped(path) as address:
        return read(address)


def is_in_step(shown: dict[int, int], *, at_least: int) -> bool:
    """Whether frame k shows picture k + a constant, for so many frames."""
    return len(shown) >= at_least and len({number - frame for frame, number in shown.items()}) == 1


def test_pictures_are_turned_as_those_of_a_file(tmp_path: Path) -> None:
    path = turn_by_message(write(tmp_path / "plain", constant(FPS, 40, suffix=".ts")), tmp_path / "phone.ts")
    reader = StreamReader(parse_address(str(path), follow=True), fps=FPS, size=(64, 96), ring_len=100, give_up_s=1)
    reader.start()
    reader.join(60)
    frames = reader.ring.take(40, 1.0)
    with open_reader(path, size=(64, 96)) as file:
        wanted = file.read([frame.frame for frame in frames]).astype(int)
    assert len(frames) == 40
    assert max(np.abs(f.rgb_HWC - w).mean() for f, w in zip(frames, wanted, strict=True)) < 2


def test_a_file_that_still_grows_is_read_to_where_it_stops(stream: Path, tmp_path: Path) -> None:
    growing, data = tmp_path / "growing.ts", stream.read_bytes()
    growing.write_bytes(data[:40_000])

    def grow() -> None:
        with growing.open("ab") as file:
            for start in range(40_000, len(data), 20_000):
                time.sleep(0.05)
                file.write(data[start : start + 20_000])
                file.flush()

    with in_background(grow):
        shown, reader = read(parse_address(str(growing), follow=True), give_up_s=3.0)
    assert shown == {frame: frame for frame in range(100)}
    assert reader.end == "ended" and "not grown" in reader.reason


def test_frames_of_a_stream_are_those_of_the_file(stream: Path) -> None:
    from e2espot.video import open_reader

    with piped(stream) as address:
        reader = StreamReader(address, fps=Fraction(25, 2), size=(64, 48), ring_len=1000, give_up_s=60)
        reader.start()
        reader.join(60)
    with open_reader(stream, fps=Fraction(25, 2), size=(64, 48)) as file:
        expected = file.read(range(50))
    frames = reader.ring.take(50, 1.0)
    assert [frame.frame for frame in frames] == list(range(50)) and reader.num_frames(Fraction(25, 2)) == 50
    assert all((frame.rgb_HWC == expected[frame.frame]).all() for frame in frames)


@pytest.mark.parametrize("protocol", ["udp", "tcp", "rtmp", "rtsp"])
def test_every_network_protocol_shows_its_pictures_in_step(stream: Path, protocol: str) -> None:
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    port = free_port(kind)
    url = f"{protocol}://127.0.0.1:{port}" + ("/live/match" if protocol in ("rtmp", "rtsp") else "")
    address = parse_address(url, listen=protocol != "udp")

    def push() -> None:
        wait_for_listener(port, kind)
        send(stream, url, format="mpegts")

    of_process = {"rtmp": "flv", "rtsp": "rtsp"}
    sender = sending_process(stream, url, port, of_process[protocol]) if protocol in of_process else in_background(push)
    with sender:
        shown, reader = read(address, give_up_s=3.0)
    # The first pictures may be lost while the connection is made; what follows is in step.
    numbers = list(dict.fromkeys(shown.values()))
    assert len(numbers) >= 60 and numbers == list(range(numbers[0], 100)), (shown, reader.reason)
    # The clock of RTSP is corrected while it is sent.
    assert protocol == "rtsp" or is_in_step(shown, at_least=60)
    assert reader.end == "lost"


def test_hls_begins_at_the_newest_segment(stream: Path, tmp_path: Path) -> None:
    with (
        av.open(str(stream)) as source,
        av.open(
            str(tmp_path / "live.m3u8"), "w", format="hls", options={"hls_time": "0.4", "hls_list_size": "0"}
        ) as target,
    ):
        out = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = out
                target.mux(packet)
    playlist = tmp_path / "live.m3u8"
    lines = playlist.read_text().splitlines()
    playlist.write_text("\n".join(line for line in lines if "ENDLIST" not in line))

    asked: list[str] = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if asked.count("/live.m3u8") == 3:
                playlist.write_text("\n".join(lines))
            super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shown, reader = read(parse_address(f"http://127.0.0.1:{server.server_port}/live.m3u8"))
        server.shutdown()
    assert is_in_step(shown, at_least=8)
    assert shown[0] >= 80
    assert reader.end == "ended"


def test_a_pipe_shows_every_picture_and_ends(stream: Path) -> None:
    shown, reader = read_whole(stream)
    assert shown == {frame: frame for frame in range(100)}
    assert (reader.end, reader.reason) == ("ended", "the stream ended")


Change = Callable[[Any, int], bool]


def faulty(stream: Path, target: Path, change: Change, *, first: int = 0) -> Path:
    """A copy of the packets that ``change`` lets pass, from one on."""
    with av.open(str(stream)) as source, av.open(str(target), "w", format="mpegts", options={"muxdelay": "0"}) as out:
        copied = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(list(source.demux(source.streams.video[0]))[:-1]):
            if number >= first and change(packet, number):
                packet.stream = copied
                out.mux(packet)
    return target


def test_start_in_the_middle_of_a_group_begins_at_the_next_keyframe(stream: Path, tmp_path: Path) -> None:
    shown, _ = read_whole(faulty(stream, tmp_path / "cut.ts", lambda *_: True, first=13))
    assert shown == {frame: frame + 20 for frame in range(80)}


def moved(by_s: float, at: int) -> Change:
    def change(packet: Any, number: int) -> bool:
        if number >= at:
            ticks = round(by_s / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        return True

    return change


@pytest.mark.parametrize("by_s", [3600.0, 95_000.0])
def test_a_clock_that_leaps_forward_is_no_gap_if_no_time_has_passed(stream: Path, tmp_path: Path, by_s: float) -> None:
    shown, _ = read_whole(faulty(stream, tmp_path / "leap.ts", moved(by_s, 50)))
    assert shown == {frame: frame for frame in range(100)}


def late_in_the_day(stream: Path, target: Path) -> Path:
    """The 33 bits of its clock are used up after two seconds."""
    with av.open(str(stream)) as source:
        first = next(packet.dts for packet in source.demux(source.streams.video[0]) if packet.dts is not None)
    return faulty(stream, target, moved((2**33 - 180_000 - first) / 90_000, 0))


def without_container(stream: Path, target: Path) -> Path:
    """B-frames and no time stamps at all."""
    with (
        av.open(str(numbered_stream(target.parent, bf="2"))) as source,
        av.open(str(target), "w", format="h264") as out,
    ):
        copied = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = copied
                out.mux(packet)
    return target


def after_a_second_of_audio(stream: Path, target: Path) -> Path:
    with av.open(str(stream)) as source, av.open(str(target), "w", format="mpegts") as out:
        tone = out.add_stream("aac", rate=48_000)
        copied = out.add_stream_from_template(source.streams.video[0])
        waiting = [packet for packet in source.demux(source.streams.video[0]) if packet.size]
        for start in range(0, 5 * 48_000, 1024):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.sample_rate, frame.pts = 48_000, start
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            out.mux(tone.encode(frame))
            while waiting and start / 48_000 > 1 + (100 - len(waiting)) / 25:
                waiting[0].stream = copied
                out.mux(waiting.pop(0))
    return target


def in_a_multiplex(stream: Path, target: Path) -> Path:
    """The second of two programmes shows something else."""
    parts = [
        write(
            target.with_name(f"programme{number}"),
            constant(
                FPS,
                100,
                suffix=".ts",
                options={"g": "10", "bf": "0"},
                container_options={
                    "mpegts_service_id": str(number),
                    "mpegts_start_pid": str(256 * number),
                    "mpegts_pmt_start_pid": str(4064 + 32 * number),
                },
            ),
            first=first,
        )
        for number, first in ((1, 0), (2, 1000))
    ]
    return join_programmes(*parts, target)


@pytest.mark.parametrize("make", [late_in_the_day, without_container, after_a_second_of_audio, in_a_multiplex])
def test_frames_are_the_pictures_one_by_one(stream: Path, tmp_path: Path, make: Callable[[Path, Path], Path]) -> None:
    with piped(make(stream, tmp_path / "made.ts")) as address:
        shown, _ = read(address)
    assert shown == {frame: frame for frame in range(100)}


def test_a_peer_that_falls_silent_without_closing_is_lost_in_time(stream: Path) -> None:
    data = stream.read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        peers: list[socket.socket] = []

        def serve() -> None:
            peers.append(server.accept()[0])
            peers[0].sendall(data)  # and nothing more, with the connection open

        with in_background(serve):
            shown, reader = read(parse_address(f"tcp://127.0.0.1:{port}"), give_up_s=1.0)
        peers[0].close()
    assert len(shown) >= 99 and reader.end == "lost" and "no picture came within 1 s" in reader.reason


def test_missing_pictures_are_held_or_a_gap(stream: Path, tmp_path: Path) -> None:
    path = faulty(stream, tmp_path / "short.ts", lambda _, number: not 45 <= number < 50)
    shown, _ = read_whole(path)
    assert shown == {frame: 44 if 45 <= frame < 50 else frame for frame in range(100)}
    path = faulty(stream, tmp_path / "long.ts", lambda _, number: not 25 <= number < 60)
    shown, _ = read_whole(path)
    assert shown == {frame: frame for frame in range(100) if not 25 <= frame < 60}


def test_two_streams_one_after_the_other_in_one_file_go_on(stream: Path, tmp_path: Path) -> None:
    """A sender that restarts: its clock begins again."""
    joined = tmp_path / "joined.ts"
    joined.write_bytes(stream.read_bytes() + stream.read_bytes())
    shown, _ = read_whole(joined)
    assert [shown[frame] for frame in (0, 99, 100, 199)] == [0, 99, 0, 99] and len(shown) == 200


def test_reading_goes_on_where_the_size_of_pictures_changes(tmp_path: Path) -> None:
    options = {"g": "10", "bf": "0", "repeat-headers": "1"}
    parts = [
        write(tmp_path / f"part{size[0]}", constant(FPS, 20, suffix=".ts", size=size, options=options), first=first)
        for first, size in ((0, (160, 96)), (20, (320, 192)))
    ]
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    shown, _ = read_whole(tmp_path / "both.ts")
    assert shown == {frame: frame for frame in range(40)}


def test_a_sender_that_drops_and_comes_back_leaves_a_gap(stream: Path) -> None:
    """However slow the machine is: the sender waits for the reader, and nothing comes near a time limit."""
    port = free_port()
    url, begun_s = f"tcp://127.0.0.1:{port}", time.monotonic()
    reader = StreamReader(parse_address(url, listen=True), fps=FPS, size=(WIDTH, HEIGHT), ring_len=1000, give_up_s=20.0)
    shown: dict[int, int] = {}

    def send_part(packets: slice) -> None:
        wait_for_listener(port)
        send(stream, url, format="mpegts", packets=packets)
        while packets.stop - 2 not in shown.values():  # the last picture is known when the next one comes
            assert not reader.ring.is_over and time.monotonic() < begun_s + 60
            shown.update((frame.frame, number_in(frame.rgb_HWC)) for frame in reader.ring.take(1, 0.2))

    reader.start()
    send_part(slice(0, 50))
    time.sleep(1.3)
    send_part(slice(50, 100))
    reader.stop()
    while not reader.ring.is_over:  # it may listen once more by now
        shown.update((frame.frame, number_in(frame.rgb_HWC)) for frame in reader.ring.take(1, 0.2))
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
    assert reader.error is None and reader.num_connections == 2
    frames = sorted(shown)
    (gap,) = (after - before for before, after in pairwise(frames) if after - before > 1)
    assert 25 <= gap <= 25 * (time.monotonic() - begun_s)  # the time without a sender, in which nothing is shown
    assert [shown[frame] for frame in frames] == sorted(shown.values())


def test_silence_and_refusal_end_in_time_with_one_line(tmp_path: Path, stream: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for url in (f"tcp://127.0.0.1:{silent.getsockname()[1]}", f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"):
            _, reader = read(parse_address(url), give_up_s=0.7)
            assert reader.end == "refused" and "in time" in reader.reason
    _, reader = read(parse_address(f"tcp://127.0.0.1:{free_port()}"))
    assert reader.end == "refused" and "refused" in reader.reason
    noise = tmp_path / "noise.ts"
    noise.write_bytes(bytes(50_000))
    _, reader = read_whole(noise)
    assert reader.end == "refused"


def test_a_stream_without_keyframes_is_refused(stream: Path, tmp_path: Path) -> None:
    path = faulty(stream, tmp_path / "no_keys.ts", lambda packet, _: not packet.is_keyframe)
    shown, reader = read_whole(path)
    assert not shown and reader.end == "refused" and "keyframe" in reader.reason


def test_a_codec_that_no_decoder_knows_is_refused(stream: Path, tmp_path: Path) -> None:
    known, unknown = tmp_path / "known.mkv", tmp_path / "unknown.mkv"
    with av.open(str(stream)) as source, av.open(str(known), "w") as out:
        copied = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = copied
                out.mux(packet)
    unknown.write_bytes(known.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/XYZ"))
    with piped(unknown) as address:
        _, reader = read(address)
    assert reader.end == "refused" and "codec" in reader.reason


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:{port}", "rtmp://127.0.0.1:{port}/live/match"])
def test_a_port_in_use_is_refused_at_once(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_address(url.format(port=server.getsockname()[1]), listen=True)
        _, reader = read(address, give_up_s=25.0)
    assert reader.end == "refused" and "port is in use" in reader.reason


def test_a_stream_without_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tone.ts"
    with av.open(str(path), "w") as out:
        tone = out.add_stream("aac", rate=48_000)
        for start in range(0, 48_000, 1024):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.sample_rate, frame.pts = 48_000, start
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            out.mux(tone.encode(frame))
    _, reader = read_whole(path)
    assert reader.end == "refused" and "no video" in reader.reason


def test_a_spotter_that_is_too_slow_loses_the_oldest_frames_only(stream: Path) -> None:
    with piped(stream) as address:
        reader = StreamReader(address, fps=FPS, size=(WIDTH, HEIGHT), ring_len=10, give_up_s=60)
        reader.start()
        reader.join(60)
    left = [frame.frame for frame in reader.ring.take(100, 0.1)]
    assert left == list(range(100 - len(left), 100)) and 5 <= len(left) <= 10
    assert reader.ring.num_lost == 100 - len(left)

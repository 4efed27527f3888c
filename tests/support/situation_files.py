"""Makers of the files of ``situations``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from e2espot.video import index_video
from tests.support.field_pictures import FieldVideo, write_fields
from tests.support.mp4_boxes import Description, metadata_first, read_header, read_samples, set_matrix, write_mp4
from tests.support.numbered_video import Video, constant, picture, remux, write
from tests.support.prepared_videos import barred, interlaced
from tests.support.transport_streams import join_programmes, lose_picture

_COUNT = 60
_STEP_S = Fraction(1, 25)

GAP: dict[str, Any] = {"stamps": (*range(30), *range(80, 110)), "time_base": Fraction(1, 25)}
"""Two seconds without a picture."""
DOUBLED: dict[str, Any] = {
    "times_s": tuple((k - (k == 31)) * _STEP_S for k in range(_COUNT)),
    "numbers": tuple(range(_COUNT)),
}
"""Picture 31 has the stamp of picture 30."""
JOINED_NUMBERS = (*range(_COUNT), *range(_COUNT))
"""Two copies of one recording, each with a clock that begins at zero."""


def writer(video: Video) -> Callable[[Path], Path]:
    """A maker that encodes ``video``."""
    return lambda folder: write(folder / "video", video)


def shifted(video: Video, by_s: Fraction) -> Callable[[Path], Path]:
    """A maker that moves all times; negative ones are hidden by an edit list."""

    def make(folder: Path) -> Path:
        plain = write(folder / "plain", video)
        return remux(plain, folder / "video.mp4", shift=round(by_s / index_video(plain).time_base))

    return make


def mirrored(folder: Path) -> Path:
    """Stored as a front camera sees it: a player changes left for right, as in the preview of the phone."""
    path = folder / "video.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"g": "12", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(_COUNT):
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture(number)[:, ::-1]), "rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return set_matrix(path, (-1, 0, 0, 1))


def rotated(folder: Path) -> Path:
    """Stored lying on its side: a player turns the pictures by 90 degrees, as those of phones."""
    with av.open(str(folder / "video.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"g": "12", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 96, 160, "yuv420p"
        stream.codec_context.time_base = _STEP_S
        stream.set_display_rotation(90)
        for number in range(_COUNT):
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(picture(number), -1)), "rgb24")
            image.pts, image.time_base = number, _STEP_S
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return folder / "video.mp4"


def truncated(video: Video) -> Callable[[Path], Path]:
    """A maker that keeps the first two thirds of the bytes."""

    def make(folder: Path) -> Path:
        path = write(folder / "video", video)
        data = path.read_bytes()
        path.write_bytes(data[: 2 * len(data) // 3])
        return path

    return make


def doubled_stamp(folder: Path) -> Path:
    """Two pictures begin at the same time, as after a hiccup of a recorder's clock."""
    plain = write(folder / "plain", constant(Fraction(25), _COUNT, suffix=".mkv", options={"g": "12", "bf": "0"}))

    def double(number: int, packet: Any) -> None:
        if number == 31:
            packet.pts -= 40
            packet.dts = packet.pts

    return _copied([plain], folder / "video.mkv", double)


def joined_clock(folder: Path) -> Path:
    """Two recordings one after the other, as a recorder writes them that lost the connection."""
    plain = write(folder / "plain", constant(Fraction(25), _COUNT, suffix=".ts", options={"g": "12", "bf": "0"}))
    path = folder / "video.ts"
    path.write_bytes(plain.read_bytes() * 2)
    return path


def _copied(sources: list[Path], target: Path, change: Callable[[int, Any], None]) -> Path:
    with av.open(str(target), "w") as new:
        stream: Any = None
        number = 0
        for source in sources:
            with av.open(str(source)) as old:
                stream = stream or new.add_stream_from_template(old.streams.video[0])
                for packet in old.demux(old.streams.video[0]):
                    if packet.size:
                        change(number, packet)
                        packet.stream = stream
                        new.mux(packet)
                        number += 1
    return target


def cover_picture_first(video: Video) -> Callable[[Path], Path]:
    """A maker that attaches a cover picture, written before the video stream."""

    def make(folder: Path) -> Path:
        plain = write(folder / "plain", video)
        codec: Any = av.CodecContext.create("mjpeg", "w")
        codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, "yuvj420p", _STEP_S
        image = av.VideoFrame.from_ndarray(picture(4095, (64, 48)), "rgb24").reformat(format="yuvj420p")
        with av.open(str(plain)) as source, av.open(str(folder / "video.mp4"), "w") as target:
            cover: Any = target.add_stream("mjpeg", rate=25)
            cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
            cover.disposition = Disposition.attached_pic
            copy: Any = target.add_stream_from_template(source.streams.video[0])
            packet = av.Packet(bytes(codec.encode(image)[0]))
            packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, _STEP_S
            target.mux(packet)
            for packet in source.demux():
                if packet.size:
                    packet.stream = copy
                    target.mux(packet)
        metadata_first(folder / "video.mp4")
        return folder / "video.mp4"

    return make


def two_tracks(folder: Path) -> Path:
    """Stream 0 counts down from 1000; stream 1, which is flagged as the default, counts up."""
    with av.open(str(folder / "video.mp4"), "w") as container:
        streams: list[Any] = []
        for is_default in (False, True):
            stream: Any = container.add_stream("libx264", rate=25, options={"g": "12", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
            stream.codec_context.time_base = _STEP_S
            stream.disposition = int(is_default)
            streams.append(stream)
        for position in range(_COUNT):
            for stream, number in zip(streams, (1000 - position, position), strict=True):
                image = av.VideoFrame.from_ndarray(picture(number), "rgb24")
                image.pts, image.time_base = position, _STEP_S
                container.mux(stream.encode(image))
        for stream in streams:
            container.mux(stream.encode(None))
    return folder / "video.mp4"


def field_pictures(folder: Path) -> Path:
    """H.264 stored as field pictures, as in .MTS of cameras."""
    return write_fields(folder / "video.ts", FieldVideo(count=_COUNT, reorder=True))


def fields_together(folder: Path) -> Path:
    """The same, with the two fields of a picture in one packet, so that the second one has no time stamp."""
    return write_fields(folder / "video.ts", FieldVideo(count=_COUNT, reorder=True), layout="together")


def hidden_vp8(folder: Path) -> Path:
    """VP8 with pictures that only later ones refer to: every keyframe is stored once more, hidden, before itself."""
    options = {"deadline": "realtime", "cpu-used": "8", "g": "10"}
    plain = write(folder / "plain", constant(Fraction(25), _COUNT, codec="libvpx", suffix=".webm", options=options))
    with av.open(str(plain)) as old, av.open(str(folder / "video.webm"), "w") as new:
        stream = old.streams.video[0]
        copy: Any = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if not packet.size:
                continue
            if packet.is_keyframe and packet.pts:
                data = bytearray(bytes(packet))
                data[0] &= ~0x10  # show_frame (RFC 6386, section 9.1)
                hidden = av.Packet(bytes(data))
                hidden.pts = hidden.dts = packet.pts - 1
                hidden.time_base, hidden.stream, hidden.is_keyframe = packet.time_base, copy, True
                new.mux(hidden)
            packet.stream = copy
            new.mux(packet)
    return folder / "video.webm"


SHOWN_AGAIN_EVERY = 12
"""Pictures from one that is shown twice to the next, in ``show_again``."""
_SHOW_SLOT_0_AGAIN = b"\x88"
"""Marker 10, profile 00, show_existing_frame 1, slot 000. libvpx stores every picture in slot 0."""


def show_again(source: Path, target: Path) -> list[int]:
    """Copy a VP9 file and show every 12th picture twice; returns the number that each picture shows."""
    numbers: list[int] = []
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        written: Any = new.add_stream_from_template(stream)
        for number, packet in enumerate(p for p in old.demux(stream) if p.size):
            packets = [packet]
            if number % SHOWN_AGAIN_EVERY == SHOWN_AGAIN_EVERY - 1:
                packets.append(av.Packet(_SHOW_SLOT_0_AGAIN))
            for each in packets:
                each.pts = each.dts = 40 * len(numbers)
                each.time_base, each.stream = Fraction(1, 1000), written
                new.mux(each)
                numbers.append(number)
    return numbers


SHOWN_AGAIN = tuple(number for number in range(_COUNT) for _ in range(1 + (number % SHOWN_AGAIN_EVERY == 11)))
"""What the pictures of ``shown_again`` show."""


def shown_again(folder: Path) -> Path:
    """VP9 with packets that hold no picture but show the one before again ("show existing")."""
    options = {"deadline": "realtime", "cpu-used": "8", "g": "20"}
    plain = constant(Fraction(25), _COUNT, codec="libvpx-vp9", suffix=".webm", options=options)
    show_again(write(folder / "plain", plain), folder / "video.webm")
    return folder / "video.webm"


def bars(folder: Path) -> Path:
    """VP9 with black bars above and below."""
    options = {"deadline": "realtime", "cpu-used": "8", "g": "10", "crf": "20", "b": "0"}
    return barred(folder / "video.webm", (0, 40, 0, 40), _COUNT, codec="libvpx-vp9", options=options)


def woven_fields(folder: Path) -> Path:
    """Two fields of different moments in each picture, as in 1080i50."""
    return interlaced(folder / "video.mp4", _COUNT)


def two_files(folder: Path) -> Path:
    """A match in two files, the second of another size and rate of keyframes."""
    half = _COUNT // 2
    first = write(folder / "a", constant(Fraction(25), half, options={"g": "12"}))
    second = write(folder / "b", constant(Fraction(25), half, size=(240, 144), options={"g": "7"}), first=half)
    return Path(f"{first}+{second}")


def stored_times(folder: Path) -> Path:
    """B-frames whose display times are those of decoding, as some recorders write them."""
    options = {"g": "12", "bf": "2", "x264-params": "b-adapt=0:scenecut=0"}
    plain = write(folder / "plain", constant(Fraction(25), _COUNT, suffix=".mkv", options=options))

    def in_order(number: int, packet: Any) -> None:
        packet.pts = packet.dts = 40 * number

    return _copied([plain], folder / "video.mkv", in_order)


def raw_stream(folder: Path) -> Path:
    """H.264 without a container, and so without times."""
    return write(folder / "video", constant(Fraction(25), _COUNT, suffix=".h264", options={"g": "12", "bf": "2"}))


_TS = constant(Fraction(25), _COUNT, suffix=".ts", options={"g": "12", "bf": "0"})
_SECOND_PROGRAMME = {"mpegts_service_id": "2", "mpegts_pmt_start_pid": "4200", "mpegts_start_pid": "400"}


def two_programmes(folder: Path) -> Path:
    """A transport stream of two programmes; the second one shows numbers from 1000 on."""
    first = write(folder / "first", _TS)
    second = write(folder / "second", replace(_TS, container_options=_SECOND_PROGRAMME), first=1000)
    return join_programmes(first, second, folder / "video.ts")


LOST = 23
"""The picture that is missing in ``lost_packets``; the next one is a keyframe."""


def lost_packets(folder: Path) -> Path:
    """A transport stream that lacks the packets of one picture, as after a bad line."""
    return lose_picture(write(folder / "video", _TS), LOST)


EDITS = ((10, 30), (40, 55))
"""Pictures that an edit list with two entries shows."""


def several_edits(folder: Path) -> Path:
    """Cut without encoding: an edit list with two entries, which hides the pictures between them."""
    options = {"g": "20", "bf": "2", "x264-params": "b-adapt=0:scenecut=0"}
    plain = write(folder / "plain", constant(Fraction(25), _COUNT, options=options))
    samples = read_samples(plain)
    delay = samples[0].offset  # B-frames delay all pictures
    description = Description(header=read_header(plain), size=(160, 96))
    shown = [(start + delay, end + delay) for start, end in EDITS]
    return write_mp4(folder / "video.mp4", samples, [description], shown)


def two_descriptions(folder: Path) -> Path:
    """An MP4 whose codec header and picture size change half way, as editors write that join files."""
    parts = _halves(folder, codec="libx264", suffix=".mp4", options={"g": "10", "bf": "0"})
    entries = [Description(header=read_header(part), size=size) for part, size in zip(parts, _HALF_SIZES, strict=True)]
    samples = [sample for number, part in enumerate(parts, 1) for sample in read_samples(part, number)]
    return write_mp4(folder / "video.mp4", samples, entries)


def size_change(folder: Path) -> Path:
    """VP9 whose picture size changes half way, as conferences write it when the network gets better."""
    options = {"deadline": "realtime", "cpu-used": "8", "g": "10"}
    parts = _halves(folder, codec="libvpx-vp9", suffix=".webm", options=options)

    def later(number: int, packet: Any) -> None:
        if number >= _COUNT // 2:
            packet.pts += 1000 * _COUNT // 50
            packet.dts = packet.pts

    return _copied(parts, folder / "video.webm", later)


_HALF_SIZES = (160, 96), (240, 144)


def _halves(folder: Path, **more: Any) -> list[Path]:
    half = _COUNT // 2
    videos = [constant(Fraction(25), half, size=size, **more) for size in _HALF_SIZES]
    return [write(folder / f"half{i}", video, first=half * i) for i, video in enumerate(videos)]

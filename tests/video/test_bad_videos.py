"""Files that cannot be read, or only in part: errors of one line that name the file, and what is read of the rest."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from e2espot.core.errors import VideoError
from e2espot.video import index_video, open_reader, probe, stream_frames
from e2espot.video.transcode import transcode
from tests.support.mp4_boxes import metadata_first
from tests.support.numbered_video import constant, numbers_in, overwrite_packets, picture, write


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("good") / "good", constant(Fraction(25), 200, options={"g": "50"}))


def refusal(path: Path) -> str:
    with pytest.raises(VideoError) as caught:
        probe(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    with pytest.raises(VideoError):
        next(stream_frames(path))
    return message


def test_probe_refuses_missing_empty_folders_and_texts(tmp_path: Path) -> None:
    assert "check the path" in refusal(tmp_path / "nowhere.mp4")
    (tmp_path / "empty.mp4").touch()
    assert "empty" in refusal(tmp_path / "empty.mp4")
    (tmp_path / "folder.mp4").mkdir()
    assert "folder" in refusal(tmp_path / "folder.mp4")
    for name, text in {"text.mp4": b"half past ten\n" * 200, "noise.mkv": bytes(range(256)) * 40}.items():
        (tmp_path / name).write_bytes(text)
        assert "not a video" in refusal(tmp_path / name)


def test_probe_refuses_texts_and_still_images(tmp_path: Path, good: Path) -> None:
    (tmp_path / "notes.txt").write_text("one line\n" * 100)
    assert "not a video" in refusal(tmp_path / "notes.txt")
    with av.open(str(good)) as container:
        frame = next(container.decode(video=0))
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = frame.width, frame.height, "rgb24", Fraction(1, 25)
    (tmp_path / "still.mp4").write_bytes(bytes(codec.encode(frame.reformat(format="rgb24"))[0]))
    assert "not a video" in refusal(tmp_path / "still.mp4")


def write_audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        for _ in range(20):
            samples = av.AudioFrame.from_ndarray(np.zeros((2, 1024), dtype=np.float32), "fltp", "stereo")
            samples.sample_rate = 48000
            container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    return path


def test_probe_refuses_audio_without_pictures(tmp_path: Path) -> None:
    assert "no video stream (only audio)" in refusal(write_audio(tmp_path / "audio.mp4"))


def test_probe_refuses_a_truncated_mp4_unless_allowed(tmp_path: Path, good: Path) -> None:
    data = good.read_bytes()
    (tmp_path / "no_index.mp4").write_bytes(data[: len(data) // 2])
    assert "moov" in refusal(tmp_path / "no_index.mp4")
    fast = write(
        tmp_path / "fast", constant(Fraction(25), 200, options={"g": "50"}, container_options={"movflags": "faststart"})
    )
    whole = fast.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    assert "breaks off" in refusal(cut)
    info = probe(cut, allow_truncated=True)
    assert info.truncated
    assert 50 < info.num_frames < 200
    with open_reader(cut, allow_truncated=True) as reader:
        numbers = numbers_in(reader.read(range(info.num_frames)))
    certain = info.num_frames - 4  # some of the last B-frames are lost
    assert numbers[:certain] == list(range(certain))


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_probe_refuses_truncated_matroska_and_avi(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / "whole", constant(Fraction(25), 200, suffix=suffix, options={"g": "50", "bf": "0"}))
    assert probe(path).num_frames == 200
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert "breaks off" in refusal(path)


def test_probe_accepts_a_matroska_file_that_lacks_only_its_cues(tmp_path: Path) -> None:
    path = write(tmp_path / "whole", constant(Fraction(25), 200, suffix=".mkv", options={"g": "50"}))
    with av.open(str(path)) as container:
        last = [packet.pos for packet in container.demux(video=0) if packet.size][-1]
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    assert not probe(path).truncated
    assert probe(path).num_frames == 200
    path.write_bytes(data[: last - 10])  # the packet stored last is not the picture shown last
    assert "breaks off" in refusal(path)


def test_pictures_zeroed_in_the_middle_are_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "hole", constant(Fraction(25), 300, options={"g": "50", "bf": "0"}))
    whole = index_video(path)
    overwrite_packets(path, slice(100, 150))
    assert index_video(path).num_pictures == whole.num_pictures
    with open_reader(path) as reader:
        assert numbers_in(reader.read(range(90))) == list(range(90))
        with pytest.raises(VideoError, match="cannot be decoded at"):
            reader.read([145])
        assert numbers_in(reader.read(range(250, 260))) == list(range(250, 260))
    with pytest.raises(VideoError, match="allow_truncated=True") as caught:
        list(stream_frames(path))
    assert caught.value.option == "allow_truncated"  # which survives the way out of the decoder's process
    for in_process in (True, False):
        missing: list[range] = []
        chunks = list(stream_frames(path, chunk_len=40, missing=missing, in_process=in_process))
        frames = np.concatenate([chunk.frames_THWC for chunk in chunks])
        assert [frame for gap in missing for frame in gap] == list(range(125, 150))  # picture 99 is held for one second
        assert numbers_in(frames[[0, 99, 124, 178, 299]]) == [0, 99, 99, 178, 299]
        assert not frames[125:150].any()


def test_reader_holds_the_previous_picture_for_a_lost_one_in_any_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "lost", constant(Fraction(25), 100, options={"g": "10", "bf": "0"}))
    overwrite_packets(path, slice(30, 50, 19), 0xFF)  # 30 and 49: the first of its segment, and the last
    with open_reader(path) as reader:
        in_order = reader.read(range(100))
    assert numbers_in(in_order)[49] == 48
    assert "neighbours are shown" in caplog.text
    for frame in (30, 49, 31, 50, 29):
        with open_reader(path) as reader:
            assert np.array_equal(reader.read([frame])[0], in_order[frame])


def test_probe_reads_a_replaced_file_again(tmp_path: Path) -> None:
    path = write(tmp_path / "same", constant(Fraction(25), 50))
    assert probe(path).num_frames == 50
    write(tmp_path / "same", constant(Fraction(25), 80))
    assert probe(path).num_frames == 80


def test_probe_and_transcode_refuse_encrypted_pictures(tmp_path: Path) -> None:
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16}
    path = write(tmp_path / "protected", constant(Fraction(25), 60, container_options=key))
    for read in (probe, lambda path: transcode(path, tmp_path / "new.mp4")):
        with pytest.raises(VideoError, match=r"its pictures are encrypted.*; name a copy") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["protected.mp4"]


def test_probe_accepts_names_that_look_like_protocols(tmp_path: Path) -> None:
    path = write(tmp_path / "plain", constant(Fraction(25), 10))
    odd = path.rename(tmp_path / "half:1 #2 %d é.mp4")
    assert probe(odd).num_frames == 10


def with_cover(video: Path, target: Path) -> Path:
    """Copy the packets of an MP4 and attach a JPEG as its cover picture."""
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, "yuvj420p", Fraction(1, 25)
    image = av.VideoFrame.from_ndarray(picture(4095, (64, 48)), "rgb24").reformat(format="yuvj420p")
    with av.open(str(video)) as source, av.open(str(target), "w") as written:
        cover: Any = written.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        copies = {stream.index: written.add_stream_from_template(stream) for stream in source.streams}
        packet = av.Packet(bytes(codec.encode(image)[0]))
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 25)
        written.mux(packet)
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                written.mux(packet)
    return target


def test_reader_and_transcode_skip_a_cover_picture_before_the_video(tmp_path: Path, good: Path) -> None:
    path = with_cover(good, tmp_path / "cover.mp4")
    metadata_first(path)
    with av.open(str(path)) as container:
        assert [stream.codec_context.name for stream in container.streams.video] == ["mjpeg", "h264"]
    assert probe(path).num_frames == 200
    assert numbers_in(open_reader(path).read([0, 70, 199])) == [0, 70, 199]
    assert transcode(path, tmp_path / "new.mp4") == 200
    assert numbers_in(open_reader(tmp_path / "new.mp4").read([0, 70, 199])) == [0, 70, 199]


def test_probe_refuses_audio_with_a_cover_picture(tmp_path: Path) -> None:
    audio = write_audio(tmp_path / "audio.mp4")
    message = refusal(with_cover(audio, tmp_path / "song.mp4"))
    assert "no video stream (only audio, cover picture)" in message

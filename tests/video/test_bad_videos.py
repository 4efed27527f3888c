"""What cannot be read says so in one line that names the file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.video import index_video, open_reader, probe, stream_frames
from tests.support.numbered_video import constant, numbers_in, write


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


def test_missing_empty_folder_and_text(tmp_path: Path) -> None:
    assert "check the path" in refusal(tmp_path / "nowhere.mp4")
    (tmp_path / "empty.mp4").touch()
    assert "empty" in refusal(tmp_path / "empty.mp4")
    (tmp_path / "folder.mp4").mkdir()
    assert "folder" in refusal(tmp_path / "folder.mp4")
    for name, text in {"text.mp4": b"half past ten\n" * 200, "noise.mkv": bytes(range(256)) * 40}.items():
        (tmp_path / name).write_bytes(text)
        assert "not a video" in refusal(tmp_path / name)


def test_text_and_still_pictures_are_no_videos(tmp_path: Path, good: Path) -> None:
    (tmp_path / "notes.txt").write_text("one line\n" * 100)
    assert "not a video" in refusal(tmp_path / "notes.txt")
    with av.open(str(good)) as container:
        frame = next(container.decode(video=0))
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = frame.width, frame.height, "rgb24", Fraction(1, 25)
    (tmp_path / "still.mp4").write_bytes(bytes(codec.encode(frame.reformat(format="rgb24"))[0]))
    assert "not a video" in refusal(tmp_path / "still.mp4")


def test_sound_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        for _ in range(20):
            sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), dtype=np.float32), "fltp", "stereo")
            sound.sample_rate = 48000
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    assert "no video stream" in refusal(path)


def test_a_copy_that_broke_off(tmp_path: Path, good: Path) -> None:
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
    kept = info.num_frames - 4  # of the last B-frames some are lost
    assert numbers[:kept] == list(range(kept))


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_other_containers_that_broke_off(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / "whole", constant(Fraction(25), 200, suffix=suffix, options={"g": "50", "bf": "0"}))
    assert probe(path).num_frames == 200
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert "breaks off" in refusal(path)


def test_a_matroska_file_that_lacks_its_index_only_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "whole", constant(Fraction(25), 200, suffix=".mkv", options={"g": "50"}))
    with av.open(str(path)) as container:
        last = [packet.pos for packet in container.demux(video=0) if packet.size][-1]
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    assert not probe(path).truncated
    assert probe(path).num_frames == 200
    path.write_bytes(data[: last - 10])  # the last one stored is not the last one shown
    assert "breaks off" in refusal(path)


def test_pictures_zeroed_in_the_middle(tmp_path: Path) -> None:
    path = write(tmp_path / "hole", constant(Fraction(25), 300, options={"g": "50", "bf": "0"}))
    whole = index_video(path)
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for place, size in places[100:150]:
        data[place : place + size] = bytes(size)
    path.write_bytes(data)
    assert index_video(path).num_pictures == whole.num_pictures
    with open_reader(path) as reader:
        assert numbers_in(reader.read(range(90))) == list(range(90))
        with pytest.raises(VideoError, match="cannot be decoded at"):
            reader.read([145])
        assert numbers_in(reader.read(range(250, 260))) == list(range(250, 260))
    with pytest.raises(VideoError, match="--allow_truncated"):
        list(stream_frames(path))
    for in_process in (True, False):
        missing: list[range] = []
        chunks = list(stream_frames(path, chunk_len=40, missing=missing, in_process=in_process))
        frames = np.concatenate([chunk.frames_THWC for chunk in chunks])
        assert [frame for gap in missing for frame in gap] == list(range(125, 150))  # 99 stays on show for a second
        assert numbers_in(frames[[0, 99, 124, 178, 299]]) == [0, 99, 99, 178, 299]
        assert not frames[125:150].any()


def test_one_lost_picture_is_held_in_any_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "lost", constant(Fraction(25), 100, options={"g": "10", "bf": "0"}))
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for lost in (30, 49):  # the first of its segment, and the last
        place, size = places[lost]
        data[place : place + size] = b"\xff" * size
    path.write_bytes(data)
    with open_reader(path) as reader:
        in_order = reader.read(range(100))
    assert numbers_in(in_order)[49] == 48
    assert "neighbours" in caplog.text
    for frame in (30, 49, 31, 50, 29):
        with open_reader(path) as reader:
            assert np.array_equal(reader.read([frame])[0], in_order[frame])


def test_a_file_replaced_by_another_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "same", constant(Fraction(25), 50))
    assert probe(path).num_frames == 50
    write(tmp_path / "same", constant(Fraction(25), 80))
    assert probe(path).num_frames == 80


def test_names_that_look_like_protocols(tmp_path: Path) -> None:
    path = write(tmp_path / "plain", constant(Fraction(25), 10))
    odd = path.rename(tmp_path / "half:1 #2 %d é.mp4")
    assert probe(odd).num_frames == 10

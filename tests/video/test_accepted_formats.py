"""Texts that name other files are refused without following them, and still pictures are refused as such."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from e2espot.core.errors import VideoError
from e2espot.video import index_video, open_reader, probe, stream_frames
from e2espot.video.transcode import transcode
from tests.support.numbered_video import constant, picture, write

LISTS = {
    "playlist.m3u8": ("an HLS playlist", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.mp4\n#EXT-X-ENDLIST\n"),
    "hls.mp4": ("an HLS playlist", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.mp4\n#EXT-X-ENDLIST\n"),
    "list.ffconcat": ("a list of files to concatenate", "ffconcat version 1.0\nfile 'other.mp4'\n"),
    "concat.mkv": ("a list of files to concatenate", "ffconcat version 1.0\nfile 'other.mp4'\n"),
    "session.sdp": ("an SDP session description", "v=0\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 33\n"),
    "manifest.mpd": (
        "a DASH manifest",
        '<?xml version="1.0"?>\n<MPD><Period><BaseURL>other.mp4</BaseURL></Period></MPD>',
    ),
    "subtitles.idx": ("a list of subtitles", "# VobSub index file, v7\ntimestamp: 00:00:01:000, filepos: 000000000\n"),
}


def refusals(path: Path) -> list[str]:
    """What every way to open a file says."""
    ways: list[Any] = [
        lambda: probe(path),
        lambda: index_video(path),
        lambda: open_reader(path),
        lambda: list(stream_frames(path)),
        lambda: transcode(path, path.with_name("new.mp4")),
    ]
    messages = []
    for way in ways:
        with pytest.raises(VideoError) as caught:
            way()
        messages.append(str(caught.value))
    assert not path.with_name("new.mp4").exists()
    return messages


@pytest.mark.parametrize("name", LISTS)
def test_files_that_name_other_files_are_refused_in_one_line_and_not_followed(name: str, tmp_path: Path) -> None:
    kind, text = LISTS[name]
    write(tmp_path / "other", constant(Fraction(25), 50))
    (tmp_path / name).write_text(text)
    for message in refusals(tmp_path / name):
        assert message.startswith(f"{tmp_path / name}: is {kind}, not a video: a text that names other files")
        assert ("ffmpeg -i" in message) == (kind in ("an HLS playlist", "a DASH manifest"))


@pytest.mark.parametrize(
    ("codec", "pixels", "kind"), [("png", "rgb24", "PNG"), ("mjpeg", "yuvj420p", "JPEG"), ("bmp", "bgr24", "BMP")]
)
@pytest.mark.parametrize("suffix", [".png", ".mp4", ""])
def test_still_pictures_are_refused_as_such(codec: str, pixels: str, kind: str, suffix: str, tmp_path: Path) -> None:
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 160, 96, pixels, Fraction(1, 25)
    packets = encoder.encode(av.VideoFrame.from_ndarray(picture(5), "rgb24").reformat(format=pixels))
    path = tmp_path / f"still{suffix}"
    path.write_bytes(bytes(packets[0]))
    assert set(refusals(path)) == {f"{path}: is a still picture ({kind}), not a video; name a video file"}

"""Which of FFmpeg's container formats are opened: none that names other files, and none of still pictures.

A text such as an HLS playlist may carry the name of a video. FFmpeg would open the files and addresses that it names.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_NAMES_OTHER_FILES = ("concat", "hls", "dash", "webm_dash_manifest", "sdp", "rtp", "rtsp", "sap", "imf", "vobsub")
_NOT_IN_A_FILE = ("lavfi", "image2", "image2pipe")
_TEXTS = ("tty", "ffmetadata", "srt", "webvtt", "ass", "lrc")

_STARTS = (
    (b"#EXTM3U", "an HLS playlist"),
    (b"ffconcat version", "a list of files to concatenate"),
    (b"v=0", "an SDP session description"),
    (b"# VobSub", "a list of subtitles"),
    (b"\x89PNG\r\n\x1a\n", "a still picture (PNG)"),
    (b"\xff\xd8\xff", "a still picture (JPEG)"),
    (b"BM", "a still picture (BMP)"),
    (b"II*\0", "a still picture (TIFF)"),
    (b"MM\0*", "a still picture (TIFF)"),
)
"""First bytes of a file, and what it is."""
_MAX_HEAD_BYTES = 2048
_MARKUP = ((b"<MPD", "a DASH manifest"), (b"<CompositionPlaylist", "an IMF playlist"))
"""Elements that begin after an XML declaration."""
_COPIED_BY_FFMPEG = ("an HLS playlist", "a DASH manifest")
"""What holds a video in many files that can be copied into one."""


@cache
def format_whitelist() -> str:
    """FFmpeg's names of the formats that are opened, in the form of its option ``format_whitelist``.

    FFmpeg applies it once it has recognised the format, and before it reads anything that the file names.
    """
    import av

    refused = {*_NAMES_OTHER_FILES, *_NOT_IN_A_FILE, *_TEXTS}
    # "png_pipe" and its like are still pictures.
    return ",".join(name for name in sorted(av.formats_available) if name not in refused and not name.endswith("_pipe"))


def describe_refused(path: Path) -> str | None:
    """What a file is that is not opened, for a message; None if its first bytes do not show it."""
    with path.open("rb") as file:
        head = file.read(_MAX_HEAD_BYTES)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()  # without a byte order mark
    if text[:4] == b"RIFF" and text[8:12] == b"WEBP":
        kind: str | None = "a still picture (WebP)"
    elif text[:1] == b"<":
        kind = next((kind for element, kind in _MARKUP if element in text), None)
    else:
        kind = next((kind for start, kind in _STARTS if text.startswith(start)), None)
    if kind is None:
        return None
    if kind.startswith("a still picture"):
        return f"is {kind}, not a video; name a video file"
    copy = f"ffmpeg -i {path.name} -c copy match.mp4"
    remedy = f", or copy what it names into one file first, such as by {copy}" if kind in _COPIED_BY_FFMPEG else ""
    return (
        f"is {kind}, not a video: a text that names other files, which are not followed; name the video itself{remedy}"
    )

"""Rewrite a video as plain H.264: e2espot transcode SRC DST."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from e2espot.cli.parsing import parse
from e2espot.core.wording import counted


@dataclass(frozen=True, kw_only=True)
class Transcode:
    """Rewrite a video as plain H.264 that every reader accepts. Each picture keeps its time; audio is dropped.

    Example: e2espot transcode match.mpeg match.mp4
    """

    source: tyro.conf.Positional[Path]
    """Video to read."""
    target: tyro.conf.Positional[Path]
    """File to write, .mp4 or .mkv."""
    decode_friendly: bool = False
    """Make random access cheap, for training: closed GOPs of 25 pictures, no B-frames, sides in multiples of 16."""
    allow_truncated: bool = False
    """Accept a truncated file and convert what can be read."""
    video_stream: int | None = None
    """Which video stream of SRC is read, counted from 0; by default the one that players choose."""
    source_fps: str | None = None
    """Pictures per second of a raw stream (.h264, .hevc), which states no times; by default 25, as in players."""
    deinterlace: Literal["auto", "off"] = "auto"
    """auto deinterlaces interlaced videos such as 1080i50; off leaves both fields in one picture."""


def _effort(path: Path, video_stream: int | None = None) -> str:
    """Mean cost of decoding a training clip of 100 frames."""
    from e2espot.core.errors import VideoError
    from e2espot.video import index_of
    from e2espot.video.stream_copy import decode_overhead

    try:
        overhead = decode_overhead(index_of(path, video_stream=video_stream), 100)
        return f"{path}: {overhead:.2f} pictures decoded per picture used"
    except VideoError as error:
        return f"{path}: {error}"


def main(arguments: list[str]) -> None:
    """Convert, with a progress bar."""
    args = parse(Transcode, arguments, "e2espot transcode")
    from tqdm import tqdm

    from e2espot.core.timeline import parse_stated_fps
    from e2espot.video.transcode import transcode

    with tqdm(unit="picture", desc=args.source.name, disable=None) as bar:
        count = transcode(
            args.source,
            args.target,
            bar.update,
            decode_friendly=args.decode_friendly,
            allow_truncated=args.allow_truncated,
            video_stream=args.video_stream,
            source_fps=parse_stated_fps(args.source_fps, "source_fps"),
            deinterlace=args.deinterlace,
        )
    print(f"{counted(count, 'picture')} -> {args.target}")
    if args.decode_friendly:
        print(_effort(args.source, args.video_stream))
        print(_effort(args.target))

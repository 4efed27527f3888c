"""Write a video anew as plain H.264: e2espot transcode SRC DST."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True, kw_only=True)
class Transcode:
    """Write a video anew as plain H.264 that every reader takes; each picture keeps its time, sound is left out."""

    source: tyro.conf.Positional[Path]
    """The video."""
    target: tyro.conf.Positional[Path]
    """The new file, .mp4 or .mkv."""
    decode_friendly: bool = False
    """For training on clips at random: closed groups of 25 pictures, none out of order, sides multiples of 16."""
    allow_truncated: bool = False
    """Convert a file that breaks off, as far as it goes."""


def _effort(path: Path) -> str:
    """What a training clip of 100 frames costs to decode, on average over all of them."""
    from e2espot.core.errors import VideoError
    from e2espot.video import index_of
    from e2espot.video.stream_copy import decoded_per_used

    try:
        return f"{path}: {decoded_per_used(index_of(path), 100):.2f} pictures decoded for each one used"
    except VideoError as error:
        return f"{path}: {error}"


def main(arguments: list[str]) -> None:
    """Convert, with a bar."""
    args = tyro.cli(Transcode, args=arguments, prog="e2espot transcode")
    from tqdm import tqdm

    from e2espot.video.transcode import transcode

    with tqdm(unit="picture", desc=args.source.name, disable=None) as bar:
        count = transcode(
            args.source,
            args.target,
            bar.update,
            decode_friendly=args.decode_friendly,
            allow_truncated=args.allow_truncated,
        )
    print(f"{count} pictures -> {args.target}")
    for path in (args.source, args.target) if args.decode_friendly else ():
        print(_effort(path))

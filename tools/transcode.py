"""Write a video anew as plain H.264: python tools/transcode.py SRC DST."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from e2espot.command import run_command


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
    from e2espot.errors import VideoError
    from e2espot.video import index_of
    from e2espot.video.cut import decoded_per_used

    try:
        return f"{path}: {decoded_per_used(index_of(path), 100):.2f} pictures decoded for each one used"
    except VideoError as error:
        return f"{path}: {error}"


def main() -> None:
    """Convert, with a bar."""
    told = tyro.cli(Transcode)
    from tqdm import tqdm

    from e2espot.video.transcode import transcode

    with tqdm(unit="picture", desc=told.source.name, disable=None) as bar:
        count = transcode(
            told.source,
            told.target,
            bar.update,
            decode_friendly=told.decode_friendly,
            allow_truncated=told.allow_truncated,
        )
    print(f"{count} pictures -> {told.target}")
    for path in (told.source, told.target) if told.decode_friendly else ():
        print(_effort(path))


if __name__ == "__main__":
    run_command(main)

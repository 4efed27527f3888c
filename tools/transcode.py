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


def main() -> None:
    """Convert, with a bar."""
    told = tyro.cli(Transcode)
    from tqdm import tqdm

    from e2espot.video.transcode import transcode

    with tqdm(unit="picture", desc=told.source.name, disable=None) as bar:
        count = transcode(told.source, told.target, bar.update)
    print(f"{count} pictures -> {told.target}")


if __name__ == "__main__":
    run_command(main)

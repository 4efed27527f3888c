"""Readers of what people have besides datasets: old versions, zips, lists of their videos, other tools' exports."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2espot.formats.conversion import Conversion, convert
from tests.support.fuzz_targets_text import GAME, LABELS, Target


def _converted(name: str, from_format: str, **more: Any) -> Callable[[Path], Any]:
    """Convert a file to SoccerNet's layout."""

    def read(at: Path) -> object:
        return convert(
            Conversion(
                source=at / name,
                target=at / "made",
                from_format=from_format,  # type: ignore[arg-type]
                to_format="soccernet",
                predictions=False,
                label_file="Labels-ball.json",
                overwrite=True,
                **more,
            )
        )

    return read


def own_file_targets() -> dict[str, Target]:
    rows = LABELS["annotations"]
    return {
        "opensportslab version 1": Target(
            name="v1.json",
            valid={
                "version": 1,
                "labels": ["PASS", "DRIVE"],
                "videos": [
                    {"path_video": f"{GAME}/1_224p.mkv", "annotations": rows, "fps": 25, "num_frames": 9},
                    {"path": r"C:\videos\x.mp4", "annotations": []},
                ],
            },
            read=_converted("v1.json", "opensportslab"),
        ),
        "labels in a zip": Target(
            name="labels.zip",
            valid={f"{GAME}/Labels-ball.json": LABELS, "splits.json": {"train": [GAME]}},
            read=_converted("labels.zip", "soccernet"),
            encoding="zip",
        ),
    }

"""Readers of what people have besides datasets: old versions, zips, lists of their videos, other tools' exports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2espot.formats.conversion import Conversion, convert
from e2espot.formats.games import find_games
from e2espot.formats.label_documents import read_label_document
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


def _with_videos(at: Path) -> Path:
    for name in ("a.mp4", "b.mp4"):
        (at / name).touch()
    return at


def _listed(at: Path) -> object:
    (at / "a.json").write_text(json.dumps(LABELS))
    return find_games(_with_videos(at)), find_games(at, split="train")


CUT_LISTS = {
    "srt": "1\n00:05:07,480 --> 00:05:08,000\nPASS left\n",
    "vtt": "WEBVTT\n\n05:07.480 --> 05:08.000\nPASS left\n",
    "chapters": ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=307480\nEND=308000\ntitle=PASS left\n",
    "losslesscut": '302.480,310.480,"PASS left"\n',
    "edl": "001  AX  V  C  00:05:02:12 00:05:10:12 00:00:00:00 00:00:08:00\n* FROM CLIP NAME: PASS left\n",
}


def own_file_targets() -> dict[str, Target]:
    rows = LABELS["annotations"]
    return {
        **{
            name: Target(name=f"cuts.{name}", valid=text, read=_converted(f"cuts.{name}", name), encoding="text")
            for name, text in CUT_LISTS.items()
        },
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
        "dataset.yaml": Target(
            name="dataset.yaml",
            valid={"games": [{"name": "a", "videos": ["a.mp4", "b.mp4"], "labels": "a.json", "split": "train"}]},
            read=_listed,
            encoding="yaml",
        ),
        "dataset.csv": Target(
            name="dataset.csv",
            valid="video,labels,split,game,half\na.mp4,a.json,train,x,1\nb.mp4,,,x,2\n",
            read=_listed,
            encoding="text",
        ),
        "table next to a video": Target(
            name="a.csv",
            valid="time;label\n0,48;PASS\n",
            read=lambda at: [read_label_document(at / "a.csv"), find_games(_with_videos(at))],
            encoding="text",
        ),
        "labels in a zip": Target(
            name="labels.zip",
            valid={f"{GAME}/Labels-ball.json": LABELS, "splits.json": {"train": [GAME]}},
            read=_converted("labels.zip", "soccernet"),
            encoding="zip",
        ),
    }

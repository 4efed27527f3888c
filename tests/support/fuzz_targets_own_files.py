"""Readers of what people have besides datasets: old versions, zips, lists of their videos, other tools' exports."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from e2espot.formats.conversion import Conversion, convert
from e2espot.formats.game import Game
from e2espot.formats.games import find_games
from e2espot.formats.guess_format import labels_in_other_form, results_in_other_form
from e2espot.formats.interchange import DroppedFields
from e2espot.formats.label_documents import read_label_document
from e2espot.formats.label_map import read_label_map
from e2espot.formats.more_formats import parse_more_formats
from e2espot.formats.sportscode import InstanceTimes
from e2espot.sources.remote.own_games import own_remote_games
from tests.support.annotation_programs import CVAT, FCPXML, LABEL_STUDIO, VIA, VIA_SEGMENTS
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


def _stored_list(at: Path) -> object:
    files = ["a.mp4", "b.mp4", "stored.csv"]
    read = Path.read_bytes
    return own_remote_games("memory://data", files, lambda name: read(at / name), split=None, list_name="stored.csv")


def _copies_of_results(at: Path) -> object:
    """Write results in another format again: what the list names is deleted only below the folder, and unchanged."""
    document = {
        "predictions": [{"gameTime": "1 - 00:01", "label": "PASS", "position": "1", "half": "1", "confidence": 1}]
    }
    (at / "results_spotting.json").write_text(json.dumps(document))
    game = Game(name=".", folder=at, videos=(), labels_path=None)
    return parse_more_formats("csv", InstanceTimes()).write(at, [game], DroppedFields())


CUT_LISTS = {
    "srt": "1\n00:05:07,480 --> 00:05:08,000\nPASS left\n",
    "vtt": "WEBVTT\n\n05:07.480 --> 05:08.000\nPASS left\n",
    "chapters": ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=307480\nEND=308000\ntitle=PASS left\n",
    "losslesscut": '302.480,310.480,"PASS left"\n',
    "edl": "001  AX  V  C  00:05:02:12 00:05:10:12 00:00:00:00 00:00:08:00\n* FROM CLIP NAME: PASS left\n",
}


def _program_targets() -> dict[str, Target]:
    """Exports of annotation and editing programs."""
    fps = Fraction(25)
    return {
        "labelstudio": Target(
            name="tasks.json",
            valid=LABEL_STUDIO,
            read=_converted("tasks.json", "labelstudio", fps=fps),
        ),
        "via": Target(name="via.json", valid=VIA, read=_converted("via.json", "via")),
        "via csv": Target(name="via.csv", valid=VIA_SEGMENTS, read=_converted("via.csv", "via"), encoding="text"),
        "cvat": Target(name="cvat.xml", valid=CVAT, read=_converted("cvat.xml", "cvat", fps=fps), encoding="text"),
        "fcpxml": Target(name="m.fcpxml", valid=FCPXML, read=_converted("m.fcpxml", "fcpxml"), encoding="text"),
    }


def own_file_targets() -> dict[str, Target]:
    rows = LABELS["annotations"]
    return {
        **{
            name: Target(name=f"cuts.{name}", valid=text, read=_converted(f"cuts.{name}", name), encoding="text")
            for name, text in CUT_LISTS.items()
        },
        **_program_targets(),
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
        "table to score by": Target(
            name="scored.csv",
            valid="game,time,label\na,0:48,PASS\nb,2,DRIVE\n",
            read=lambda at: labels_in_other_form(at / "scored.csv"),
            encoding="text",
        ),
        "table in JSON to score by": Target(
            name="scored.json",
            valid=[{"eventName": "PASS", "matchPeriod": "1H", "eventSec": 2.75, "matchId": 7, "tags": [{"id": 1}]}],
            read=lambda at: labels_in_other_form(at / "scored.json"),
        ),
        "results of E2E-Spot to score": Target(
            name="pred.json",
            valid=[{"video": "g/1", "fps": 25, "events": [{"frame": 3, "label": "PASS", "score": 0.5}]}],
            read=lambda at: results_in_other_form(at / "pred.json"),
        ),
        "list in a store": Target(
            name="stored.csv",
            valid="video,labels,split,game,half\na.mp4,a.json,train,x,1\n./b.mp4,,,x,2\nhttps://h/c.mp4,,,c,1\n",
            read=_stored_list,
            encoding="text",
        ),
        "copies of results": Target(
            name=".also.json", valid={"events.csv": "0" * 64, "a/b/c.srt": "1"}, read=_copies_of_results
        ),
        "labels.yaml": Target(
            name="labels.yaml",
            valid={"PASS": "SHOT", "DRIVE": None},
            read=lambda at: read_label_map(at / "labels.yaml"),
            encoding="yaml",
        ),
        "labels in a zip": Target(
            name="labels.zip",
            valid={f"{GAME}/Labels-ball.json": LABELS, "splits.json": {"train": [GAME]}},
            read=_converted("labels.zip", "soccernet"),
            encoding="zip",
        ),
    }

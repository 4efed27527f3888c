"""More inputs of the same readers: folders, packed files, files of older libraries, networks of other shapes."""

import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from e2espot.core.label_sets import LABEL_SETS
from e2espot.formats.annotated_table import stated_stretches
from e2espot.formats.conversion import Conversion, convert
from e2espot.formats.e2e_spot import read_e2e_spot
from e2espot.formats.format_names import FormatName
from e2espot.formats.opensportslab import read_opensportslab
from e2espot.formats.soccernet import read_labels
from e2espot.models.backbones.registry import build_backbone
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.weights.import_checkpoint import convert_checkpoint
from e2espot.review.inputs import load_inputs
from tests.support.fuzz_targets_text import BALL, GAME, LABELS, Target
from tests.support.tiny_dataset import Layout, write_game

LABEL_FILE = "Labels-ball.json"
ROWS = [{"frame": 73, "label": "PASS", "confidence": 0.5, "position": 36500, "gameTime": "00:36"}]
EVENTS = [{"frame": 3, "label": "PASS", "comment": "left; visible"}, {"frame": 9, "label": "DRIVE", "comment": ""}]
VIDEO = {"video": f"{GAME}/1", "events": EVENTS, "num_frames": 50, "fps": 25, "width": 96, "height": 64}
SPOTTED = {**VIDEO, "events": [{"frame": 3, "label": "PASS", "score": 0.5}]}
ACTION = {"gameTime": "1 - 00:04", "label": "PASS", "position": "4020", "team": "left", "visibility": "visible"}
LATER = {**ACTION, "gameTime": "2 - 46:00", "position": "2760000", "player_id": 3}
OTHER = {
    "version": "2.0",
    "labels": {"action": {"type": "single_label", "labels": ["PASS", "DRIVE"]}},
    "metadata": {"split": "test"},
    "data": [
        {
            "id": "clip 7",
            "inputs": [{"type": "video", "path": "a/7.mp4", "fps": 25}, {"type": "audio", "path": "a.wav"}],
            "events": [
                {"label": "PASS", "head": "action", "gameTime": "00:36", "confidence_score": 0.5},
                {"label": "DRIVE", "head": "other", "position": "900", "confidence": 0.7, "note": [1]},
            ],
        }
    ],
}
MORE = {**OTHER, "data": [{"id": "clip 8", "inputs": [], "events": []}]}


def variant_targets(scratch: Path) -> dict[str, Target]:
    """All of them; ``scratch`` gets a game with its video."""
    return {**_events(scratch), **_networks()}


def _converted(
    source: str, from_format: FormatName, *, predictions: bool = False, **more: str
) -> Callable[[Path], Any]:
    """Convert ``source`` to every other format."""

    def work(at: Path) -> None:
        for to, name in (("soccernet", "soccernet"), ("opensportslab", "osl.json"), ("e2e-spot", "spot")):
            conversion = Conversion(
                source=at / source,
                target=at / "made" / name,
                from_format=from_format,
                to_format=to,  # type: ignore[arg-type]
                predictions=predictions,
                overwrite=True,
                **{key: at / value for key, value in more.items()},  # type: ignore[arg-type]
            )
            convert(conversion)

    return work


def _with_valid_file(read: Callable[[Path], Any], name: str, content: Any) -> Callable[[Path], Any]:
    """Write a valid file next to the attacked one, then read."""

    def work(at: Path) -> Any:
        (at / name).write_text(json.dumps(content))
        return read(at)

    return work


def _events(scratch: Path) -> dict[str, Target]:
    data = scratch / "data"
    write_game(data / "a" / "game", 0, 50, layout=Layout(classes=LABEL_SETS["ball-2"].names))
    (data / "splits.json").write_text(json.dumps({"train": ["a/game"]}))
    periods = {"matches": {"117": {"periods": {half: {"t0_ms": 1000, "n_frames": 5000} for half in "12"}}}}

    def with_video(at: Path) -> None:
        game = at / "labels" / GAME
        if not (game / "224p.mp4").exists():
            (game / "224p.mp4").symlink_to(data / "a" / "game" / "224p.mp4")
        _converted("labels", "soccernet")(at)

    return {
        **_text_formats(),
        "e2e-spot gzip": Target(
            name="test.json.gz",
            valid=[SPOTTED],
            read=_converted("test.json.gz", "e2e-spot", predictions=True),
            encoding="gz",
        ),
        "e2e-spot folder": Target(
            name="spot/train.json",
            valid=[VIDEO],
            read=_with_valid_file(_converted("spot", "e2e-spot"), "spot/val.json", [{**VIDEO, "video": "b/1"}]),
        ),
        "e2e-spot class.txt": Target(
            name="class.txt",
            valid="PASS\nDRIVE\n",
            read=_with_valid_file(lambda at: read_e2e_spot(at / "test.json", predictions=False), "test.json", [VIDEO]),
            encoding="text",
        ),
        "footpass folder": Target(
            name="play/playbyplay_val.json",
            valid={
                "keys": ["game_18_H1", "game_18_H2"],
                "events": {"game_18_H1": [[39, 0, 8, 2, 1, 0], [74, 1, 3, 1, 0, 1]], "game_18_H2": [[900, 1, 3, 8]]},
            },
            read=_converted("play", "footpass"),
        ),
        "footpass predictions": Target(
            name="p.json",
            valid={"keys": ["g_H1"], "events": {"g_H1": [[39, 0, 8, 2, 0.5], [74, 1, -1, 1, 1]]}},
            read=_converted("p.json", "footpass", predictions=True),
        ),
        "older results": Target(
            name="results.json",
            valid={"Url": f"{GAME}/1", "predictions": ROWS, "fps": 2},
            read=_converted("results.json", "opensportslab", predictions=True),
        ),
        "opensportslab folder": Target(
            name="osl/annotations_train.json",
            valid={**OTHER, "metadata": {"split": "train", "note": "x"}},
            read=_with_valid_file(
                lambda at: read_opensportslab(at / "osl", predictions=False), "osl/annotations_test.json", MORE
            ),
        ),
        "opensportslab of others": Target(
            name="x.json", valid=OTHER, read=_converted("x.json", "opensportslab", predictions=True)
        ),
        "soccertrack folder": Target(
            name="track/117_12_class_events.json",
            valid={"UrlLocal": "117", "actions": [ACTION, LATER]},
            read=_with_valid_file(
                _converted("track", "soccertrack-v2", periods="periods.json"), "periods.json", periods
            ),
        ),
        "labels, bad ones left out": Target(
            name=LABEL_FILE,
            valid={
                "annotated": [{"half": "1", "stretches": [{"from": 0, "to": 5000}]}],
                "annotated_classes": ["PASS", "DRIVE"],
                **LABELS,
            },
            read=lambda at: read_labels(at / LABEL_FILE, BALL, fps=Fraction(25), num_frames={1: 99}, bad_labels="skip"),
        ),
        "labels with a video": Target(name=f"labels/{GAME}/{LABEL_FILE}", valid=LABELS, read=with_video, cost=6),
        "reviewed dataset": Target(
            name=f"given/a/game/{LABEL_FILE}",
            valid=LABELS,
            read=lambda at: load_inputs(data, labels=at / "given", out=at / "made", split="train"),
        ),
    }


def _text_formats() -> dict[str, Target]:
    return {
        "table": Target(
            name="t.csv",
            valid="game;half;time;label;score;team\na/b.mp4;1;5:07,48;PASS;0,5;left\nc;2;1;DRIVE;1;\n",
            read=_converted("t.csv", "table", predictions=True),
            encoding="text",
        ),
        "boris": Target(
            name="t.csv",
            valid="Observation id;Time;Subject;Behavior;Behavior type\na;5,48;left;PASS;POINT\na;7;;SHOT;STOP\n",
            read=_converted("t.csv", "boris"),
            encoding="text",
        ),
        "elan": Target(
            name="m.eaf",
            valid=(
                '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="file:///a/b.mp4" '
                'TIME_ORIGIN="40"/><PROPERTY NAME="half">2</PROPERTY></HEADER><TIME_ORDER>'
                '<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1480"/></TIME_ORDER><TIER TIER_ID="PASS" PARTICIPANT="left">'
                '<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts1">'
                "<ANNOTATION_VALUE>PASS</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>"
                "</ANNOTATION_DOCUMENT>"
            ),
            read=_converted("m.eaf", "elan"),
            encoding="text",
        ),
        "elan text": Target(
            name="m.txt",
            valid="PASS\tleft\t00:00:01.480\t1.48\t00:00:02.0\t2.0\tHIGH PASS\n",
            read=_converted("m.txt", "elan"),
            encoding="text",
        ),
        "sportscode": Target(
            name="m.xml",
            valid=(
                "<file><ALL_INSTANCES><instance><ID>1</ID><start>12.5</start><end>20</end><code>PASS</code>"
                "<label><group>Team</group><text>left</text></label></instance></ALL_INSTANCES></file>"
            ),
            read=_converted("m.xml", "sportscode"),
            encoding="text",
        ),
        "annotated table": Target(
            name="s.csv",
            valid="game;half;start;end\na/b.mp4;1;0:05,5;1:00\nc;2;0;10\n",
            read=lambda at: stated_stretches(str(at / "s.csv")).of("l/s/c"),
            encoding="text",
        ),
        "dfl labels": Target(
            name="train.csv",
            valid="video_id,time,event,event_attributes\na_0,1.25,start,\na_0,2,play,\"['pass']\"\na_0,7.5,end,\n",
            read=_converted("train.csv", "dfl"),
            encoding="text",
        ),
        "dfl submission": Target(
            name="sub.csv",
            valid="video_id,time,event,score\na_0,1.25,play,0.5\na_1,2,throwin,1e-3\n",
            read=_converted("sub.csv", "dfl", predictions=True),
            encoding="text",
        ),
    }


def _opensportslib(spec: SpotterSpec) -> dict[str, Any]:
    """The tensors of a network by OpenSportsLib's names."""

    def name(key: str) -> str:
        key = re.sub(r"^head\._fc_out\.1\.", "head._pred_fine._fc_out._fc_out.", key)
        return re.sub(r"^head\._gru", "head._pred_fine._gru", key)

    return {name(key): value for key, value in Spotter(spec).state_dict().items()}


def _networks() -> dict[str, Target]:
    classes = LABEL_SETS["ball-2"].names
    torch.manual_seed(0)
    gated = _opensportslib(SpotterSpec(feature_arch="rny002_gsm", temporal_arch="gru", classes=classes))
    deep = _opensportslib(SpotterSpec(feature_arch="rny002_tsm", temporal_arch="deeper_gru", classes=classes))
    backbone = {name.removeprefix("_features."): value for name, value in build_backbone("rny002").state_dict().items()}

    def converted(name: str) -> Callable[[Path], Any]:
        return lambda at: convert_checkpoint(str(at / name), at / "made" / "x.safetensors")

    return {
        "OpenSportsLib's weights": Target(
            name="best.pt",
            valid={"model_state_dict": gated, "epoch": 3},
            read=converted("best.pt"),
            encoding="torch",
            cost=20,
        ),
        "OpenSportsLib's safetensors": Target(
            name="w.safetensors",
            valid={"spec": None, "tensors": deep},
            read=converted("w.safetensors"),
            encoding="tensors",
            cost=20,
        ),
        "a backbone": Target(name="trunk.pth", valid=backbone, read=converted("trunk.pth"), encoding="torch", cost=20),
    }

"""Kaggle's DFL data: its table of labels, its stretches, its submissions, and the links to its videos."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError, ConfigurationError
from tests.support.conversions import read_json, run_conversion, write_json

TRAIN = """video_id,time,event,event_attributes
1606b0e6_0,200.265822,start,
1606b0e6_0,201.15,challenge,['ball_action_forced']
1606b0e6_0,202.765822,end,
1606b0e6_0,210.124111,start,
1606b0e6_0,210.87,play,"['pass', 'openplay']"
1606b0e6_0,212.624111,end,
4ffd5986_0,5.0,start,
4ffd5986_0,6.48,throwin,['pass']
4ffd5986_0,7.5,end,
"""


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    """The archive, with the videos of one of the two."""
    (tmp_path / "kaggle" / "train").mkdir(parents=True)
    (tmp_path / "kaggle" / "train" / "1606b0e6_0.mp4").write_bytes(b"pictures")
    (tmp_path / "kaggle" / "train.csv").write_text(TRAIN)
    return tmp_path / "kaggle"


def test_labels_stretches_classes_and_videos_become_a_dataset(kaggle: Path, tmp_path: Path) -> None:
    done = run_conversion(kaggle / "train.csv", tmp_path / "data", "dfl", "soccernet")
    game = tmp_path / "data" / "1606b0e6_0"
    content = read_json(game / "Labels-ball.json")
    rows = content["annotations"]
    assert [(row["gameTime"], row["position"], row["label"]) for row in rows] == [
        ("1 - 03:21", "201150", "challenge"),
        ("1 - 03:30", "210870", "play"),
    ]
    assert rows[1]["event_attributes"] == "['pass', 'openplay']"
    # Both ends belong to a stretch, so the end in milliseconds, which is exclusive, is one later.
    stretches = [{"from": 200_265, "to": 202_766}, {"from": 210_124, "to": 212_625}]
    assert content["annotated"] == [{"half": "1", "stretches": stretches}]
    assert content["annotated_classes"] == ["challenge", "play", "throwin"]
    assert (game / "224p.mp4").read_bytes() == b"pictures"
    assert not (game / "224p.mp4").readlink().is_absolute()
    assert (done.num_linked, done.not_linked) == (1, ("train/4ffd5986_0.mp4",))
    assert not (tmp_path / "data" / "4ffd5986_0" / "224p.mp4").exists()
    assert read_json(tmp_path / "data" / "splits.json") == {"train": ["1606b0e6_0", "4ffd5986_0"]}
    # Again, with the videos of a folder that the user names, and under the names of ball-12.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "4ffd5986_0.mkv").write_bytes(b"other pictures")
    (tmp_path / "map.yaml").write_text("play: PASS\nthrowin: THROW IN\nchallenge: null\n")
    options: dict[str, Any] = {"videos": tmp_path / "mine", "map": tmp_path / "map.yaml", "overwrite": True}
    run_conversion(kaggle, tmp_path / "data", "dfl", "soccernet", **options)
    assert (tmp_path / "data" / "4ffd5986_0" / "224p.mkv").read_bytes() == b"other pictures"
    assert read_json(game / "Labels-ball.json")["annotated_classes"] == ["PASS", "THROW IN"]


def test_predictions_become_a_submission_and_back(tmp_path: Path) -> None:
    row = {"gameTime": "1 - 00:01", "label": "play", "position": "1020", "half": "1", "confidence": "0.123456789"}
    rows = [row, {**row, "label": "PASS"}]
    write_json(tmp_path / "out" / "019d5b34_0" / "results_spotting.json", {"predictions": rows})
    done = run_conversion(tmp_path / "out", tmp_path / "sub.csv", "soccernet", "dfl", predictions=True)
    assert (tmp_path / "sub.csv").read_text() == "video_id,time,event,score\n019d5b34_0,1.020,play,0.123456789\n"
    assert done.dropped == ["1 x event of class 'PASS' (the DFL has challenge, play, throwin: use map)"]
    run_conversion(tmp_path / "sub.csv", tmp_path / "back", "dfl", "soccernet", predictions=True)
    (back,) = read_json(tmp_path / "back" / "019d5b34_0" / "results_spotting.json")["predictions"]
    assert back == row
    with pytest.raises(ConfigurationError, match="give the name of one table"):
        run_conversion(tmp_path / "out", tmp_path / "sub", "soccernet", "dfl", predictions=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column event, time, video_id"),
        ("video_id,time\nx,1\n", "no column event"),
        ("video_id,time,event\nx,1\n", "line 2: 2 fields"),
        ("video_id,time,event\nx,soon,play\n", "line 2: time is 'soon'"),
        ("video_id,time,event\nx,999999,play\n", "line 2: time is '999999'"),
        ("video_id,time,event\nx,1,PASS\n", "line 2: event is 'PASS'"),
        ("video_id,time,event\n../x,1,play\n", "line 2: video_id is '../x'"),
        ("video_id,time,event\nx,1,start\n", "line 2: a start without an end"),
        ("video_id,time,event\nx,1,end\n", "line 2: an end without its partner"),
        ("video_id,time,event\nx,1,start\nx,2,start\n", "line 3: a start without its partner"),
        ('video_id,time,event\n"x\n', "not a table with commas"),
    ],
)
def test_broken_tables_are_refused_with_their_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        run_conversion(tmp_path / "train.csv", tmp_path / "out", "dfl", "soccernet")


@pytest.mark.parametrize("score", ["", "nan", "high", "inf"])
def test_submissions_without_a_number_are_refused(score: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(f"video_id,time,event,score\nx,1,play,{score}\n")
    with pytest.raises(AnnotationError, match="line 2: score is"):
        run_conversion(tmp_path / "s.csv", tmp_path / "out", "dfl", "soccernet", predictions=True)


@st.composite
def tables(draw: st.DrawFn) -> str:
    """Labels of up to three videos, with stretches that do not touch, rows in order of time."""
    lines = ["video_id,time,event,event_attributes"]
    for name in draw(st.lists(st.sampled_from(["a_0", "a_1", "b"]), unique=True, min_size=1)):
        times = sorted(draw(st.lists(st.integers(0, 10_000), min_size=2, max_size=8, unique=True)))
        rows = []
        for first, last in zip(times[::2], times[1::2], strict=False):
            rows += [(first * 100, 0, "start", ""), (last * 100, 2, "end", "")]
        labels = st.tuples(
            st.integers(0, 1_000_000), st.just(1), st.sampled_from(["play", "challenge", "throwin"]),
            st.sampled_from(["", "['pass']", "\"['a', 'b']\""]),
        )  # fmt: skip
        rows += draw(st.lists(labels, max_size=5, unique_by=lambda row: row[0]))
        lines += [
            f"{name},{ms // 1000}.{ms % 1000:03d},{event},{more}"
            for ms, _, event, more in sorted(rows, key=lambda row: row[:2])
        ]
    return "\n".join([lines[0], *sorted(lines[1:], key=lambda line: line.split(",")[0])]) + "\n"


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.sampled_from(["soccernet", "opensportslab"]))
def test_labels_survive_conversion_there_and_back(text: str, way: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "train.csv").write_text(text)
        options: dict[str, Any] = {"label_file": "Labels-ball.json"} if way == "soccernet" else {}
        run_conversion(root / "train.csv", root / "there", "dfl", way, **options)
        done = run_conversion(root / "there", root / "back.csv", way, "dfl", **options)
        assert (root / "back.csv").read_text() == text
        assert done.dropped == []

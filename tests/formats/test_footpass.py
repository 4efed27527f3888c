"""FOOTPASS: its halves on one video, its numbers of classes, its replays."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.formats.sportscode import InstanceTimes
from tests.support.conversions import read_json, run_conversion, write_json

LABELS = {
    "keys": ["game_18_H1", "game_18_H2"],
    "events": {
        "game_18_H1": [[39, 0, 81, 2, 1, 0], [74, 1, 3, 1, 0, 0], [300, 1, 3, 5, 0, 1], [330, 1, 9, 8, 0, 1]],
        "game_18_H2": [[1000, 0, 7, 4, 1, 0]],
    },
}


def test_a_match_becomes_one_game_whose_replays_are_not_annotated(tmp_path: Path) -> None:
    write_json(tmp_path / "set" / "playbyplay_GT" / "playbyplay_val.json", LABELS)
    (tmp_path / "set" / "videos").mkdir()
    (tmp_path / "set" / "videos" / "game_18.mp4").write_bytes(b"pictures")
    run_conversion(tmp_path / "set" / "playbyplay_GT", tmp_path / "data", "footpass", "soccernet")
    content = read_json(tmp_path / "data" / "game_18" / "Labels-ball.json")
    rows = [
        (row["position"], row["label"], row["team"], row["visibility"], row["jersey"], row["period"])
        for row in content["annotations"]
    ]
    assert rows == [
        ("1580", "PASS", "left", "visible", 81, 1),
        ("2980", "DRIVE", "right", "visible", 3, 1),
        ("12020", "SHOT", "right", "not shown", 3, 1),
        ("13220", "BALL PLAYER BLOCK", "right", "not shown", 9, 1),
        ("40020", "THROW IN", "left", "visible", 7, 2),
    ]
    # 2 s before the first event under the replay to 2 s after the last one
    stretches = [{"from": 0, "to": 10_020}, {"from": 15_220, "to": 24 * 3_600_000}]
    assert content["annotated"] == [{"half": "1", "stretches": stretches}]
    assert len(content["annotated_classes"]) == 8
    assert "GOAL" not in content["annotated_classes"]
    assert (tmp_path / "data" / "game_18" / "224p.mp4").read_bytes() == b"pictures"
    assert read_json(tmp_path / "data" / "splits.json") == {"valid": ["game_18"]}
    run_conversion(tmp_path / "data", tmp_path / "back", "soccernet", "footpass")
    assert read_json(tmp_path / "back" / "playbyplay_val.json") == LABELS


def test_stretches_that_are_no_replays_are_listed_as_dropped(tmp_path: Path) -> None:
    row = {"gameTime": "1 - 00:04", "label": "PASS", "position": "4020", "team": "left"}
    for stretches, lines in (([{"from": 0, "to": 9000}], 1), ([{"from": 4020, "to": 4021}], 0)):
        content = {"annotated": [{"half": "1", "stretches": stretches}], "annotations": [row]}
        write_json(tmp_path / "data" / "g" / "Labels-ball.json", content)
        done = run_conversion(tmp_path / "data", tmp_path / f"to-{lines}", "soccernet", "footpass")
        assert sum("annotated stretches" in line for line in done.dropped) == lines


def test_a_replay_ends_halfway_to_an_event_that_is_seen(tmp_path: Path) -> None:
    events = {"g_H1": [[100, 0, 1, 1, 1, 0], [110, 0, 1, 1, 0, 1], [150, 0, 1, 1, 1, 0]], "g_H2": []}
    write_json(tmp_path / "x.json", {"keys": list(events), "events": events})
    run_conversion(tmp_path / "x.json", tmp_path / "data", "footpass", "soccernet")
    (half,) = read_json(tmp_path / "data" / "g" / "Labels-ball.json")["annotated"]
    # frames 100, 110 and 150 are at 4020, 4420 and 6020 ms
    assert half["stretches"] == [{"from": 0, "to": 4220}, {"from": 5221, "to": 24 * 3_600_000}]


def test_a_half_that_the_files_lack_is_not_annotated(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"keys": ["g_H2"], "events": {"g_H2": [[500, 0, 1, 1], [600, 0, 1, 1]]}})
    run_conversion(tmp_path / "x.json", tmp_path / "data", "footpass", "soccernet")
    (half,) = read_json(tmp_path / "data" / "g" / "Labels-ball.json")["annotated"]
    assert half["stretches"] == [{"from": 20_020, "to": 24_021}]


def test_predictions_are_written_by_the_half_they_are_in(tmp_path: Path) -> None:
    row = {
        "gameTime": "1 - 00:01",
        "label": "PASS",
        "position": "1020",
        "half": "1",
        "confidence": "0.5",
        "team": "left",
    }
    rows = [row, {**row, "position": "60020", "gameTime": "1 - 01:00", "team": "right"}, {**row, "team": ""}]
    write_json(tmp_path / "out" / "game_18" / "results_spotting.json", {"predictions": rows})
    times = InstanceTimes(half_starts_ms=(0, 30_000))
    done = run_conversion(tmp_path / "out", tmp_path / "p.json", "soccernet", "footpass", predictions=True, times=times)
    assert read_json(tmp_path / "p.json") == {
        "keys": ["game_18_H1", "game_18_H2"],
        "events": {"game_18_H1": [[25, 0, -1, 2, 0.5]], "game_18_H2": [[1500, 1, -1, 2, 0.5]]},
    }
    assert done.dropped == [
        "1 x event without a team, left or right (FOOTPASS needs one)",
        "2 x player of an event unknown: written as jersey -1",
    ]
    done = run_conversion(tmp_path / "out", tmp_path / "q.json", "soccernet", "footpass", predictions=True)
    assert "2 x half of an event unknown: written as half 1 (state half_starts, such as 0:00,47:12)" in done.dropped
    write_json(tmp_path / "two" / "g" / "results_spotting.json", {"predictions": [{**row, "half": "2"}]})
    with pytest.raises(ConfigurationError, match="half 2 has a video of its own") as caught:
        run_conversion(tmp_path / "two", tmp_path / "q.json", "soccernet", "footpass", predictions=True)
    assert caught.value.option == "half_starts"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"keys": []}, "'events' is missing"),
        ({"keys": ["game_18"], "events": {}}, "key 'game_18'; expected a name such as game_18_H1"),
        ({"keys": ["g_H1", "g_H1"], "events": {}}, "a second g_H1"),
        ({"keys": ["../g_H1"], "events": {}}, "below the dataset"),
        ({"keys": ["g_H1"], "events": {"g_H1": [{}]}}, r"g_H1\[0\]: is \{\}; expected a list of frame, team"),
        ({"keys": ["g_H1"], "events": {"g_H1": [[1, 0, 1]]}}, "expected a list"),
        ({"keys": ["g_H1"], "events": {"g_H1": [[1, 2, 1, 1]]}}, "team is 2; expected 0 to 1"),
        ({"keys": ["g_H1"], "events": {"g_H1": [[1, 0, 1, 9]]}}, "class is 9; expected 1 to 8"),
        ({"keys": ["g_H1"], "events": {"g_H1": [[1.5, 0, 1, 1]]}}, "frame is 1.5"),
        ({"keys": ["g_H1"], "events": {"g_H1": [[True, 0, 1, 1]]}}, "frame is True"),
    ],
)
def test_broken_files_are_refused_with_their_row(content: Any, message: str, tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", content)
    with pytest.raises(AnnotationError, match=message):
        run_conversion(tmp_path / "x.json", tmp_path / "data", "footpass", "soccernet")


def test_predictions_need_a_score(tmp_path: Path) -> None:
    for row in ([1, 0, 1, 1], [1, 0, 1, 1, "x"], [1, 0, 1, 1, 10**400], [1, 0, 1, 1, True]):
        write_json(tmp_path / "x.json", {"keys": ["g_H1"], "events": {"g_H1": [row]}})
        with pytest.raises(AnnotationError, match="g_H1"):
            run_conversion(tmp_path / "x.json", tmp_path / "out", "footpass", "soccernet", predictions=True)


_ROWS = st.lists(
    st.tuples(
        st.integers(0, 200_000), st.integers(0, 1), st.integers(-1, 99), st.integers(1, 8), st.integers(0, 1),
        st.integers(0, 1),
    ),
    max_size=6,
).map(lambda rows: sorted(map(list, rows)))  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(_ROWS, _ROWS), min_size=1, max_size=2), st.sampled_from(["soccernet", "opensportslab"]))
def test_labels_survive_conversion_there_and_back(matches: list[tuple[Any, Any]], way: str) -> None:
    events = {
        f"game_{number}_H{half}": rows for number, halves in enumerate(matches) for half, rows in enumerate(halves, 1)
    }
    # A half without an event cannot be known from a label file, unless it is the first.
    keys = [key for key in events if events[key] or key.endswith("1")]
    content = {"keys": keys, "events": {key: events[key] for key in keys}}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_json(root / "playbyplay_train.json", {"keys": list(events), "events": events})
        options: dict[str, Any] = {"label_file": "Labels-ball.json"} if way == "soccernet" else {}
        run_conversion(root / "playbyplay_train.json", root / "there", "footpass", way, **options)
        done = run_conversion(root / "there", root / "back", way, "footpass", **options)
        assert read_json(root / "back" / "playbyplay_train.json") == content
        assert done.dropped == []

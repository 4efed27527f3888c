"""Event feeds become weak labels: classes, teams, times, and what is unsure. The files are read by the real kloppy."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.formats.conversion import Conversion, Converted, convert
from e2espot.formats.feed_classes import FEED_CLASSES, UNSURE, FeedEntry, class_of
from e2espot.formats.feeds import FeedClock, parse_offsets
from tests.support.event_feeds import (
    ACTIONS,
    FEEDS,
    opta,
    sportec,
    statsbomb,
    statsbomb_event,
    statsbomb_pass,
    wyscout,
    wyscout_event,
    wyscout_pass,
)

PLAYER = {"id": 10, "name": "Player"}


def write(folder: Path, files: tuple[bytes, ...]) -> dict[str, Any]:
    """Write a feed; the arguments of a conversion that name its files."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.feed" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    return {"source": paths[-1], "second_file": paths[0] if len(paths) > 1 else None}


def run(folder: Path, provider: str, files: tuple[bytes, ...], **fields: Any) -> Converted:
    pytest.importorskip("kloppy", reason="event feeds need kloppy: pip install 'e2espot[feeds]'")
    arguments = {"target": folder / "data", "from_format": provider, "to_format": "soccernet", "predictions": False}
    return convert(Conversion(**write(folder, files), **arguments, overwrite=True, **fields))


def labels(folder: Path, provider: str, files: tuple[bytes, ...], **fields: Any) -> dict[str, Any]:
    """The label file that a feed is converted to."""
    (path,) = run(folder, provider, files, **fields).paths
    return json.loads(path.read_text())


def events_of(content: dict[str, Any]) -> list[tuple[int, int, str, str]]:
    """Half, milliseconds, class and team of each event."""
    return [
        (int(row["gameTime"][0]), int(row["position"]), row["label"], row["team"]) for row in content["annotations"]
    ]


@pytest.mark.parametrize("provider", FEEDS)
def test_actions_of_every_feed_are_read_alike(provider: str, tmp_path: Path) -> None:
    content = labels(tmp_path, provider, FEEDS[provider]())
    expected = [(half, int(1000 * seconds), label, team) for half, seconds, label, team in ACTIONS]
    assert [event for event in events_of(content) if event[2] != "OUT"] == expected
    assert set(FEED_CLASSES[provider]) == set(content["annotated_classes"]) < set(LABEL_SETS["ball-12"].names)
    # What happens before the kick-off and after the last entry is not known.
    first, second = content["annotated"]
    assert (first["stretches"], second["half"]) == ([{"from": 1000, "to": 6250}], "2")


def test_offsets_move_each_half(tmp_path: Path) -> None:
    clock = FeedClock(offset_ms=parse_offsets("1/12.4,2/-3"))
    converted = run(tmp_path, "wyscout", wyscout(), clock=clock, game="league/season/game")
    assert converted.paths == [tmp_path / "data/league/season/game/Labels-feed.json"]
    content = json.loads(converted.paths[0].read_text())
    assert events_of(content)[:1] + events_of(content)[-1:] == [
        (1, 14_400, "PASS", "home"),
        (2, 1750, "THROW IN", "home"),
    ]
    assert converted.dropped == ["1 x event before the start of its video (check the offsets)"]


def test_both_halves_in_one_video_are_half_1(tmp_path: Path) -> None:
    clock = FeedClock(offset_ms=parse_offsets("1/10,2/3600"), one_video=True)
    content = labels(tmp_path, "wyscout", wyscout(), clock=clock)
    assert [event[:2] for event in events_of(content)] == [
        (1, at) for at in (12_000, 13_500, 15_250, 3601_000, 3604_750)
    ]
    assert content["annotated"] == [
        {"half": "1", "stretches": [{"from": 11_000, "to": 16_250}, {"from": 3600_000, "to": 3605_750}]}
    ]


@pytest.mark.parametrize("text", ["", "12.4", "1/12.4,2/-3", " 1/0 , 2/+5 ", "2/7"])
def test_offsets_are_parsed(text: str) -> None:
    expected = {
        "": {},
        "12.4": dict.fromkeys((1, 2, 3, 4, 5), 12_400),
        "1/12.4,2/-3": {1: 12_400, 2: -3000},
        " 1/0 , 2/+5 ": {1: 0, 2: 5000},
        "2/7": {2: 7000},
    }
    assert parse_offsets(text) == expected[text]


@pytest.mark.parametrize("text", ["x", "6/1", "1/1,1/2", "3,1/2", "1/", "1/1e9", "0:12"])
def test_other_offsets_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="give seconds from the start") as caught:
        parse_offsets(text)
    assert caught.value.option == "offset"


def test_touches_are_unsure_and_other_entries_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    recovery = statsbomb_event(1, 30, 2, "Ball Recovery", player=PLAYER, location=[60.5, 40.0])
    pressure = statsbomb_event(1, 40, 17, "Pressure", player=PLAYER, location=[60.5, 40.0], duration=1.0)
    files = statsbomb([statsbomb_pass(1, 20), recovery, pressure, statsbomb_pass(2, 5)])
    converted = run(tmp_path, "statsbomb", files)
    assert not caplog.records  # kloppy logs how long each step takes
    content = json.loads(converted.paths[0].read_text())
    assert content["unsure"] == [{"half": "1", "stretches": [{"from": 29_000, "to": 31_000}]}]
    assert [event[2] for event in events_of(content)] == ["PASS", "PASS"]
    assert "1 x touch that may be any action (left as an unsure stretch)" in converted.dropped
    assert "4 x 'Half Start' of the feed (no ball action)" in converted.dropped
    assert "1 x 'PRESSURE' of the feed (no ball action)" in converted.dropped


def test_extra_time_is_halves_3_and_4(tmp_path: Path) -> None:
    period_3 = wyscout_event(1, 0, "pass", **{"pass": wyscout_pass(1, 0)["pass"]})
    period_3 |= {"matchPeriod": "1E", "minute": 91, "second": 2, "matchTimestamp": "01:31:02.500"}
    content = labels(tmp_path, "wyscout", wyscout([wyscout_pass(1, 2), wyscout_pass(2, 1), period_3]))
    assert [event[:2] for event in events_of(content)] == [(1, 2000), (2, 1000), (3, 62_500)]


# Where kloppy's times or classes are not those of the feed.


def test_statsbombs_ball_goes_out_when_it_arrives(tmp_path: Path) -> None:
    out = statsbomb_pass(1, 20, duration=2.5, outcome={"id": 75, "name": "Out"})
    content = labels(tmp_path, "statsbomb", statsbomb([out, statsbomb_pass(2, 5)]))
    assert events_of(content)[:2] == [(1, 20_000, "PASS", "home"), (1, 22_500, "OUT", "home")]


def test_positions_of_wyscout_keep_their_milliseconds(tmp_path: Path) -> None:
    content = labels(tmp_path, "wyscout", wyscout([wyscout_pass(1, 2.875), wyscout_pass(2, 61.125)]))
    assert [event[:2] for event in events_of(content)] == [(1, 2875), (2, 61_125)]


def test_wyscouts_ball_goes_out(tmp_path: Path) -> None:
    out = wyscout_event(1, 4, "game_interruption", secondary=["ball_out"])
    content = labels(tmp_path, "wyscout", wyscout([wyscout_pass(1, 2), out, wyscout_pass(2, 1)]))
    assert [event[2] for event in events_of(content)] == ["PASS", "OUT", "PASS"]


def test_ball_that_opta_sends_out_for_each_team_goes_out_once(tmp_path: Path) -> None:
    actions = [(1, 5.0, "PASS", "home"), (1, 7.0, "OUT", "home"), (1, 7.0, "OUT", "away"), (1, 30.0, "OUT", "home")]
    converted = run(tmp_path, "opta", opta(actions))
    content = json.loads(converted.paths[0].read_text())
    assert [event[1:3] for event in events_of(content)] == [(5000, "PASS"), (7000, "OUT"), (30_000, "OUT")]
    assert "1 x second entry of one ball that goes out" in converted.dropped


# What is asked of the user.


def test_statsbombs_open_data_needs_no_second_file(tmp_path: Path) -> None:
    pytest.importorskip("kloppy", reason="event feeds need kloppy: pip install 'e2espot[feeds]'")
    for folder, data in zip(("lineups", "events"), statsbomb(), strict=True):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "7.json").write_bytes(data)
    conversion = Conversion(
        source=tmp_path / "events/7.json",
        target=tmp_path / "data",
        from_format="statsbomb",
        to_format="soccernet",
        predictions=False,
    )
    assert convert(conversion).paths == [tmp_path / "data/7/Labels-feed.json"]


def test_a_missing_second_file_is_named(tmp_path: Path) -> None:
    conversion = {"target": tmp_path, "from_format": "opta", "to_format": "soccernet", "predictions": False}
    (tmp_path / "f24.xml").write_bytes(opta()[1])
    with pytest.raises(ConfigurationError, match="opta needs the F7 feed of the match too") as caught:
        convert(Conversion(source=tmp_path / "f24.xml", **conversion))
    assert caught.value.option == "second_file"


def test_feeds_hold_no_predictions(tmp_path: Path) -> None:
    arguments = {"target": tmp_path, "from_format": "wyscout", "to_format": "soccernet", "predictions": True}
    with pytest.raises(ConfigurationError, match="event feeds hold labels"):
        convert(Conversion(**write(tmp_path, wyscout()), **arguments))


@pytest.mark.parametrize(
    ("provider", "files"),
    [
        ("statsbomb", (b"[]", b"[]")),
        ("statsbomb", (b"{", b"7")),
        ("wyscout", (b'{"events": []}',)),
        ("opta", (b"<a/>", b"<a/>")),
        ("sportec", sportec()[::-1]),
        ("wyscout", wyscout([wyscout_event(1, 3, "infraction")])),
    ],
)
def test_files_that_kloppy_cannot_read_are_one_line(provider: str, files: tuple[bytes, ...], tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"kloppy cannot read it as|no ball action in it") as caught:
        run(tmp_path, provider, files)
    assert "\n" not in str(caught.value)


def test_xml_with_entities_is_refused(tmp_path: Path) -> None:
    f7, f24 = opta()
    with pytest.raises(AnnotationError, match="XML with definitions of its own"):
        run(tmp_path, "opta", (b'<!DOCTYPE a [<!ENTITY b "c">]>' + f7, f24))


def test_without_kloppy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kloppy", None)  # as if it were not installed
    arguments = {"target": tmp_path, "from_format": "wyscout", "to_format": "soccernet", "predictions": False}
    with pytest.raises(ConfigurationError, match=r"pip install 'e2espot\[feeds\]'"):
        convert(Conversion(**write(tmp_path, wyscout()), **arguments))


# Classes.


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"kind": "PASS"}, "PASS"),
        ({"kind": "PASS", "set_piece": "KICK_OFF"}, "PASS"),
        ({"kind": "PASS", "set_piece": "THROW_IN", "subtypes": {"LONG_BALL"}}, "THROW IN"),
        ({"kind": "PASS", "set_piece": "FREE_KICK", "subtypes": {"CROSS"}}, "FREE KICK"),
        ({"kind": "PASS", "set_piece": "CORNER_KICK"}, "CROSS"),
        ({"kind": "PASS", "subtypes": {"CROSS", "HIGH_PASS"}}, "CROSS"),
        ({"kind": "PASS", "body_part": "HEAD", "subtypes": {"HIGH_PASS"}}, "HEADER"),
        ({"kind": "PASS", "subtypes": {"HEAD_PASS"}}, "HEADER"),
        ({"kind": "PASS", "subtypes": {"LONG_BALL"}}, "HIGH PASS"),
        ({"kind": "CARRY"}, "DRIVE"),
        ({"kind": "SHOT", "result": "GOAL", "body_part": "HEAD"}, "SHOT"),
        ({"kind": "SHOT", "result": "OWN_GOAL"}, UNSURE),
        ({"kind": "BALL_OUT"}, "OUT"),
        ({"kind": "CLEARANCE", "body_part": "HEAD"}, "HEADER"),
        ({"kind": "CLEARANCE"}, UNSURE),
        ({"kind": "DUEL", "result": "WON", "subtypes": {"GROUND"}}, "PLAYER SUCCESSFUL TACKLE"),
        ({"kind": "DUEL", "result": "LOST", "subtypes": {"GROUND"}}, UNSURE),
        ({"kind": "DUEL", "result": "WON", "subtypes": {"LOOSE_BALL", "AERIAL"}}, UNSURE),
        ({"kind": "GENERIC", "name": "Block"}, "BALL PLAYER BLOCK"),
        ({"kind": "GENERIC", "name": "ball touch"}, UNSURE),
        ({"kind": "GENERIC", "name": "Half Start"}, None),
        ({"kind": "GOALKEEPER"}, UNSURE),
        ({"kind": "CARD"}, None),
    ],
)
def test_class_of_gives_each_kind_of_entry_its_label(fields: dict[str, Any], label: str | None) -> None:
    entry = FeedEntry(**{**fields, "subtypes": frozenset(fields.get("subtypes", ()))})
    assert class_of(entry, "statsbomb") == label


def test_wyscouts_won_ground_duel_may_be_of_the_player_who_keeps_the_ball() -> None:
    won = FeedEntry(kind="DUEL", result="WON", subtypes=frozenset({"GROUND"}))
    assert class_of(won, "wyscout") == UNSURE
    sliding = FeedEntry(kind="DUEL", result="WON", subtypes=frozenset({"GROUND", "SLIDING_TACKLE"}))
    assert class_of(sliding, "wyscout") == "PLAYER SUCCESSFUL TACKLE"

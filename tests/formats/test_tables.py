"""Tables, SportsCode's XML and cut lists: what people type comes in, what coaches' tools read goes out."""

import csv
import json
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2espot.cli.main import main
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.formats.sportscode import InstanceTimes, parse_instance_times
from e2espot.formats.table_columns import parse_columns
from tests.support.conversions import GAME, read_json, run_conversion, write_json

Event = tuple[int, int, str, str]
"""Half, milliseconds, label, team."""


def events_of(folder: Path, file: str = "Labels-ball.json") -> dict[str, list[Event]]:
    """Game -> its events, of a folder in SoccerNet's layout."""
    games: dict[str, list[Event]] = {}
    for path in sorted(folder.rglob(file)):
        content = read_json(path)
        games[path.parent.relative_to(folder).as_posix()] = [
            (int(row["gameTime"][0]), int(row["position"]), row["label"], row.get("team", ""))
            for row in content["annotations" if "annotations" in content else "predictions"]
        ]
    return games


def read_text(
    tmp_path: Path, name: str, text: str | bytes, from_format: str = "table", **more: Any
) -> dict[str, list[Event]]:
    """Events that a file of this text is converted to."""
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    target = tmp_path / "out"
    run_conversion(tmp_path / name, target, from_format, "soccernet", label_file="Labels-ball.json", **more)
    return events_of(target)


TABLES = {
    "plain": "time,label\n307.48,PASS\n",
    "milliseconds": "position_ms,label\n307480,PASS\n",
    "clock": "Time,Event,Team\n5:07.480,PASS,\n",
    "hours": "time,label\n0:05:07.48,PASS\n",
    "semicolons and decimal commas": "\ufeffTime;Label\r\n307,48;PASS\r\n",
    "tabs": "label\ttime\nPASS\t307.48\n",
    "line ends of old Macs, as Excel still writes them": "time,label\r307.48,PASS\r",
    "a half of pandas": "half,time,label\n1.0,307.48,PASS\n",
    "frames": "frame,fps,label\n7687,25,PASS\n",
    "SoccerNet's clock": "gameTime,label,position\n1 - 05:07,PASS,307480\n",
    "BORIS with an offset": (
        "Observation id,Time offset (s),Behavior,Behavior type,Time,Media file name\nt,12.5,PASS,POINT,319.98,t.mp4\n"
    ),
    "BORIS with an offset in front": (
        "Observation id,derby\nTime offset (s),-1.5\n\nTime,Media file path,Behavior,Status\n305.98,t.mp4,PASS,POINT\n"
    ),
    "BORIS": (
        "Observation id,derby\nMedia file(s),,\n\nTime,Media file path,FPS,Subject,Behavior,Comment,Status\n"
        "307.480,C:\\videos\\t.mp4,25,No focal subject,PASS,,POINT\n"
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_read_as_people_write_them(name: str, tmp_path: Path) -> None:
    text = TABLES[name].replace("C:\\videos\\t.mp4", "t.mp4")
    expected = 307_500 if name == "frames" else 307_480  # the middle of frame 7687
    assert read_text(tmp_path, "t.csv", text) == {"t": [(1, expected, "PASS", "")]}


TABLES_OF_TOOLS = {
    "kloppy": "event_id,event_type,period_id,timestamp,team_id\na,PASS,2,0 days 00:05:07.480000,217\n",
    "SPADL": "game_id,period_id,time_seconds,team_id,type_id,type_name\nt,2,307.48,782,0,PASS\n",
    "StatsBomb": "id,index,period,timestamp,minute,second,type,possession,team\nb,2,2,00:05:07.480,50,7,PASS,1,\n",
    "Metrica": "Team,Type,Subtype,Period,Start Frame,Start Time [s],End Frame\n,PASS,,2,7687,307.48,9\n",
    "Wyscout": "eventId,eventName,matchPeriod,eventSec,teamId\n8,PASS,2H,307.48,1625\n",
    "LongoMatch": "Name;Start;Stop;Team;Half\nPASS;00:05:07.480;00:05:10;;Second Half\n",
    "Nacsport": '"Nr","Category","Half","Begin","End"\n1,"PASS","2nd half","5:07.48","5:10"\n',
    "Dartfish": "Name;Position;Duration;half\nPASS;307480;5000;2H\n",
    "SkillCorner": "event_id,frame_start,time_start,minute_start,period,event_type\n8,9,05:07.48,5,2,PASS\n",
    "Veo": "Type,Start time,End time,Title,Half\nPASS,0:05:07.48,0:05:33,Pass by 9,2\n",
}


@pytest.mark.parametrize("name", TABLES_OF_TOOLS)
def test_tables_of_other_tools_are_read_as_they_are(name: str, tmp_path: Path) -> None:
    assert read_text(tmp_path, "t.csv", TABLES_OF_TOOLS[name]) == {"t": [(2, 307_480, "PASS", "")]}


def test_a_list_of_objects_in_json_is_a_table(tmp_path: Path) -> None:
    rows = [
        {"eventName": "PASS", "matchPeriod": "1H", "eventSec": 0.00005, "matchId": 7, "tags": [{"id": 1}]},
        {"eventName": "SHOT", "matchPeriod": "2H", "eventSec": 2.75, "matchId": 7, "foot": None},
    ]
    text = json.dumps(rows)
    assert read_text(tmp_path, "t.json", text) == {"7": [(1, 0, "PASS", ""), (2, 2750, "SHOT", "")]}
    with pytest.raises(AnnotationError, match=r"version 2 of Wyscout's events, and version 3 is read; .* as a table"):
        read_text(tmp_path, "t.json", text, "wyscout")
    with pytest.raises(AnnotationError, match="a list of objects, one an event"):
        read_text(tmp_path, "u.json", '["PASS"]')


def test_spreadsheets_are_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(
        AnnotationError, match=r"t\.XLSX: is a spreadsheet; save the sheet with the events as CSV UTF-8"
    ):
        read_text(tmp_path, "t.XLSX", b"PK\x03\x04")


def test_convert_names_the_format_that_a_file_seems_to_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("time,label\n1,PASS\n")
    with pytest.raises(SystemExit):
        main(
            ["convert", "labels", str(tmp_path / "t.csv"), str(tmp_path / "o"), "--from", "sportscode", "--to", "elan"]
        )
    assert (
        "not XML (syntax error: line 1, column 0); the file looks like one of --from table\n" in capsys.readouterr().err
    )


def test_convert_takes_no_other_json_for_soccernets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "via.json").write_text('{"project": {"pid": "__VIA__"}, "metadata": {}}')
    with pytest.raises(SystemExit):
        main(["convert", "labels", str(tmp_path / "via.json"), str(tmp_path / "o"), "--from", "table", "--to", "table"])
    assert capsys.readouterr().err.endswith("must be a list of objects, one an event\n")


def test_names_that_may_mean_something_else_stay_where_better_ones_are_there(tmp_path: Path) -> None:
    text = "type,start time,time,label,period_id,half\nground,9,1.5,PASS,1,2\n"
    assert read_text(tmp_path, "t.csv", text) == {"t": [(2, 1500, "PASS", "")]}
    row = read_json(tmp_path / "out" / "t" / "Labels-ball.json")["annotations"][0]
    assert (row["type"], row["start time"], row["period_id"]) == ("ground", "9", "1")


def test_columns_that_are_stated_come_before_those_that_are_known(tmp_path: Path) -> None:
    text = "Ereignis;Zeit;time;label\nPASS;5:07,48;12;lang\n"
    columns = parse_columns("label=ereignis, time=Zeit")
    assert read_text(tmp_path, "t.csv", text, columns=columns) == {"t": [(1, 307_480, "PASS", "")]}
    with pytest.raises(AnnotationError, match="its first line is 'Ereignis', 'Zeit'") as raised:
        read_text(tmp_path, "t.csv", "Ereignis;Zeit\nPASS;5\n", columns={})
    assert raised.value.option == "columns"
    with pytest.raises(AnnotationError, match="no heading with the columns 'Typ'"):
        read_text(tmp_path, "t.csv", text, columns=parse_columns("label=Typ"))


@pytest.mark.parametrize("text", ["label", "label=", "class=Typ", "label=a,label=b"])
def test_columns_are_stated_once_and_by_a_known_meaning(text: str) -> None:
    with pytest.raises(ConfigurationError, match="with the name of its column"):
        parse_columns(text)


def test_columns_of_a_format_without_any_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="srt has none"):
        read_text(tmp_path, "t.srt", "", "srt", columns={"label": "a"})


def test_columns_name_game_half_and_team_and_others_stay(tmp_path: Path) -> None:
    text = "video,half,time,label,team,player\nl/a.mp4,1,1.5,PASS,left,10\nl/a.mp4,2,0.02,SHOT,right,\nb,1,7,PASS,,9\n"
    assert read_text(tmp_path, "t.csv", text) == {
        "l/a": [(1, 1500, "PASS", "left"), (2, 20, "SHOT", "right")],
        "b": [(1, 7000, "PASS", "")],
    }
    assert read_json(tmp_path / "out" / "b" / "Labels-ball.json")["annotations"][0]["player"] == "9"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no heading with a label and a time"),
        ("time,label\nsoon,PASS\n", r"line 2: time is 'soon'"),
        ('position_ms,label\n"307,480",PASS\n', r"line 2: position_ms is '307,480', whose comma .*; write 307480, or"),
        ("frame;fps;label\n7.687;25;PASS\n", r"line 2: frame is '7.687', whose comma .*; write 7687, or"),
        ("time,label\n1,\n", "line 2: the label is empty"),
        ("time,label\n1\n", "line 2: the label is empty"),
        ("time,label\n-1,PASS\n", "line 2: time is '-1'"),
        ("time,label\n1:12:500,PASS\n", "line 2: time is '1:12:500'; expected .* 1:15.5"),
        ("time,label\n0:75,PASS\n", "line 2: time is '0:75'"),
        ("time,label\n0:90:00,PASS\n", "line 2: time is '0:90:00'"),
        ("a;b\nlabel;time;label\nPASS;1;DRIVE\n", "line 2: two columns 'label'"),
        ("label;time\nPässe;1\n".encode("cp1252"), "not UTF-8 text .* in a spreadsheet, as CSV UTF-8"),
        ("frame,label\n1,PASS\n", "add a column fps"),
        ("time,label,half\n1,PASS,7\n", "half is '7'"),
        ("time,label,game\n1,PASS,C:D:x\n", "below the dataset"),
        ("", "no heading"),
        ('time,label\n1,"' + "x" * 200_000, "no heading"),
    ],
)
def test_broken_tables_are_refused_with_their_line(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_text(tmp_path, "t.csv", text)


def test_a_heading_alone_is_nothing_to_convert(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"t\.csv: no event and no game in it"):
        read_text(tmp_path, "t.csv", "time,label\n")


_NAMES = st.sampled_from(["PASS", "HIGH PASS", 'Tor, Kopfball; "x"', "GOAL|1", "Überzahl", "=SUM(A1)"])
_EVENTS = st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 3_600_000), _NAMES, st.sampled_from(["left", ""])))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(_EVENTS, st.sampled_from([".csv", ".tsv", ""]))
def test_events_survive_a_table_there_and_back(events: list[Event], ending: str) -> None:
    rows = [
        {"gameTime": f"{half} - 00:00", "position": ms, "label": label, "team": team}
        for half, ms, label, team in events
    ]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_json(root / "a" / GAME / "Labels-ball.json", {"annotations": rows})
        target = root / f"t{ending}"
        run_conversion(root / "a", target, "soccernet", "table", overwrite=True)
        if not events:
            return
        run_conversion(target, root / "b", "table", "soccernet", label_file="Labels-ball.json")
        assert {game: sorted(of_game) for game, of_game in events_of(root / "b").items()} == {GAME: sorted(events)}


def test_predictions_keep_their_scores(tmp_path: Path) -> None:
    row = {"gameTime": "1 - 00:01", "label": "PASS", "position": "1000", "half": "1", "confidence": "0.123456789"}
    write_json(tmp_path / "a" / "g" / "results_spotting.json", {"predictions": [row]})
    run_conversion(tmp_path / "a", tmp_path / "t.csv", "soccernet", "table", predictions=True)
    with (tmp_path / "t.csv").open(newline="") as file:
        assert [line["score"] for line in csv.DictReader(file)] == ["0.123456789"]
    run_conversion(tmp_path / "t.csv", tmp_path / "b", "table", "soccernet", predictions=True)
    assert read_json(tmp_path / "b" / "g" / "results_spotting.json")["predictions"][0]["confidence"] == "0.123456789"
    (tmp_path / "x.csv").write_text("time,label\n1,PASS\n")
    with pytest.raises(AnnotationError, match="every prediction has one"):
        run_conversion(tmp_path / "x.csv", tmp_path / "c", "table", "soccernet", predictions=True)


SPORTSCODE = """<?xml version="1.0" encoding="UTF-8"?>
<file><SORT_INFO><sort_type>sort order</sort_type></SORT_INFO><ALL_INSTANCES>
<instance><ID>1</ID><start>302.48</start><end>310.48</end><code>Pass</code>
 <label><group>Team</group><text>left</text></label><label><text>long</text></label></instance>
<instance><ID>2</ID><start>2840</start><end>2848</end><code>Shot</code></instance>
</ALL_INSTANCES><ROWS/></file>
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_sportscode_instances_become_events_of_their_half(encoding: str, tmp_path: Path) -> None:
    times = InstanceTimes(half_starts_ms=(0, 2_832_000))
    data = SPORTSCODE.replace("UTF-8", encoding).encode(encoding)
    events = read_text(tmp_path, "match.xml", data, "sportscode", times=times)
    assert events == {"match": [(1, 307_480, "Pass", "left"), (2, 13_000, "Shot", "")]}


ROWS_OF_A_TIMELINE = """<file><ALL_INSTANCES>
<instance><start>5</start><end>13</end><code>Home - Passes</code><label><group>Action</group><text>Pass</text></label>
 <label><group>Player</group><text>7</text></label><label><group>Player</group><text>9</text></label>
 <label><text>long</text></label></instance>
<instance><start>0</start><end>2700</end><code>1st half</code></instance>
</ALL_INSTANCES></file>
"""


def test_a_group_of_labels_may_hold_the_class_and_no_label_is_lost(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text(ROWS_OF_A_TIMELINE)
    converted = run_conversion(
        tmp_path / "m.xml", tmp_path / "a", "sportscode", "soccernet", columns={"label": "action"}
    )
    assert converted.dropped == ["1 x instance without a label of the group that states its class"]
    (row,) = read_json(next((tmp_path / "a").rglob("*.json")))["annotations"]
    assert (row["label"], row["code"], row["Player"], row["labels"]) == ("Pass", "Home - Passes", ["7", "9"], "long")
    run_conversion(tmp_path / "a", tmp_path / "b.xml", "soccernet", "sportscode")
    labels = [
        (label.findtext("group"), label.findtext("text"))
        for label in ElementTree.parse(tmp_path / "b.xml").iter("label")
    ]
    assert {("Player", "7"), ("Player", "9"), (None, "long")} <= {*labels}
    with pytest.raises(ConfigurationError, match="no instance has a label of a group 'Typ'"):
        run_conversion(tmp_path / "m.xml", tmp_path / "c", "sportscode", "soccernet", columns={"label": "Typ"})


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(_EVENTS.filter(bool))
def test_events_survive_sportscode_there_and_back(events: list[Event]) -> None:
    times = InstanceTimes(half_starts_ms=(0, 3_700_000))
    rows = [
        {"gameTime": f"{half} - 00:00", "position": ms, "label": label, "team": team}
        for half, ms, label, team in events
    ]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_json(root / "a" / "g" / "Labels-ball.json", {"annotations": rows})
        run_conversion(root / "a", root / "x", "soccernet", "sportscode", times=times)
        data = (root / "x" / "g.xml").read_bytes()
        assert data.isascii()
        run_conversion(root / "x", root / "b", "sportscode", "soccernet", times=times, label_file="Labels-ball.json")
        assert {game: sorted(of_game) for game, of_game in events_of(root / "b").items()} == {"g": sorted(events)}


def test_second_half_without_its_start_is_refused(tmp_path: Path) -> None:
    row = {"gameTime": "2 - 00:01", "label": "PASS", "position": "1000"}
    write_json(tmp_path / "a" / "g" / "Labels-ball.json", {"annotations": [row]})
    with pytest.raises(ConfigurationError, match="say where half 2 starts") as caught:
        run_conversion(tmp_path / "a", tmp_path / "x.xml", "soccernet", "sportscode")
    assert caught.value.option == "half_starts"


@pytest.mark.parametrize(
    "text", ["<!DOCTYPE file><file/>", "<file/>", "<file", "<file><ALL_INSTANCES><instance/></ALL_INSTANCES></file>"]
)
def test_other_xml_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"m\.xml"):
        read_text(tmp_path, "m.xml", text, "sportscode")


@pytest.mark.parametrize("starts", ["", "5:00,0:00", "0:00,1,2,3,4,5", "x"])
def test_starts_of_halves_are_times_in_order(starts: str) -> None:
    with pytest.raises(ConfigurationError, match="half_starts"):
        parse_instance_times(5, 3, starts)


CUT_LISTS = {
    "srt": "1\n00:05:07,480 --> 00:05:08,000\nPASS left\n\n2\n00:05:08,000 --> 00:05:09,500\nSHOT\n",
    "vtt": "WEBVTT\n\n00:05:07.480 --> 00:05:08.000\nPASS left\n\n00:05:08.000 --> 00:05:09.500\nSHOT\n",
    "chapters": (
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=307480\nEND=308000\ntitle=PASS left\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=308000\nEND=309500\ntitle=SHOT\n"
    ),
    "losslesscut": '302.480,310.480,"PASS left"\n303.000,311.000,"SHOT"\n',
    "edl": (
        "TITLE: g\nFCM: NON-DROP FRAME\n\n"
        "001  AX       V     C        00:05:02:12 00:05:10:12 00:00:00:00 00:00:08:00\n* FROM CLIP NAME: PASS left\n\n"
        "002  AX       V     C        00:05:03:00 00:05:11:00 00:00:08:00 00:00:16:00\n* FROM CLIP NAME: SHOT\n\n"
    ),
}


@pytest.mark.parametrize("name", CUT_LISTS)
def test_cut_lists_have_the_form_of_their_tools(name: str, tmp_path: Path) -> None:
    rows = [
        {"gameTime": "1 - 05:08", "label": "SHOT", "position": 308_000},
        {"gameTime": "1 - 05:07", "label": "PASS", "position": 307_480, "team": "left"},
    ]
    write_json(tmp_path / "a" / "g" / "Labels-ball.json", {"annotations": rows})
    run_conversion(tmp_path / "a", tmp_path / "out", "soccernet", name)
    (path,) = (tmp_path / "out").iterdir()
    text = path.read_text()
    assert text.rstrip("\n") == CUT_LISTS[name].rstrip("\n")

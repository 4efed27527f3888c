"""ELAN's annotation files and tab-delimited exports, and BORIS's tables, as their programs write them."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.formats.format_names import FormatName
from tests.support.conversions import read_json, run_conversion, write_json

EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T12:00:00+01:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
 <MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/videos/derby.mp4" MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL="./derby.mp4"/>
</HEADER>
<TIME_ORDER>
 <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1480"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2000"/>
 <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="900"/><TIME_SLOT TIME_SLOT_ID="ts4"/>
</TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default-lt" PARTICIPANT="left" TIER_ID="PASS">
 <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
  <ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
 <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
  <ANNOTATION_VALUE>HIGH PASS</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER>
<TIER LINGUISTIC_TYPE_REF="note" PARENT_REF="PASS" TIER_ID="note">
 <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1"><ANNOTATION_VALUE>good</ANNOTATION_VALUE>
 </REF_ANNOTATION></ANNOTATION>
</TIER>
</ANNOTATION_DOCUMENT>"""


def events_of(root: Path) -> dict[str, list[tuple[int, int, str, str]]]:
    """Game -> (half, milliseconds, label, team) of its label file."""
    return {
        path.parent.relative_to(root).as_posix(): [
            (int(row["gameTime"][0]), int(row["position"]), row["label"], row["team"])
            for row in read_json(path)["annotations"]
        ]
        for path in root.rglob("Labels-ball.json")
    }


def read(
    tmp_path: Path, name: str, text: str, source: FormatName = "elan"
) -> dict[str, list[tuple[int, int, str, str]]]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    run_conversion(tmp_path / name, tmp_path / "out", source, "soccernet", label_file="Labels-ball.json")
    return events_of(tmp_path / "out")


def test_annotation_file_is_read_with_its_tiers_and_video(tmp_path: Path) -> None:
    (tmp_path / "derby.mp4").write_bytes(b"pictures")
    (tmp_path / "m.eaf").write_text(EAF)
    done = run_conversion(tmp_path / "m.eaf", tmp_path / "out", "elan", "soccernet", label_file="Labels-ball.json")
    assert events_of(tmp_path / "out") == {"m": [(1, 900, "HIGH PASS", "left"), (1, 1480, "PASS", "left")]}
    assert "1 x annotation of tier 'note' without a time of its own" in done.dropped
    assert done.num_linked == 1
    assert (tmp_path / "out" / "m" / "224p.mp4").read_bytes() == b"pictures"
    # ELAN divides an annotation into parts whose slots have no times.
    part = '<ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="ts4" TIME_SLOT_REF2="ts2"/>'
    parts = f'<TIER PARENT_REF="PASS" TIER_ID="parts"><ANNOTATION>{part}</ANNOTATION></TIER></ANNOTATION_DOCUMENT>'
    assert len(read(tmp_path, "p.eaf", EAF.replace("</ANNOTATION_DOCUMENT>", parts))["p"]) == 2
    shifted = EAF.replace('MIME_TYPE="video/mp4"', 'MIME_TYPE="video/mp4" TIME_ORIGIN="100"')
    assert read(tmp_path, "s.eaf", shifted)["s"][0][1] == 1000


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (
            "PASS\t\t00:00:01.480\t00:00:02.000\t00:00:00.520\t\nSHOT\tright\t00:00:09.000\t00:00:09.500\tLONG SHOT\n",
            [(1, 1480, "PASS", ""), (1, 9000, "LONG SHOT", "right")],
        ),
        ("PASS\t\t1480\t2000\tPASS\n", [(1, 1480, "PASS", "")]),
        ("PASS\t\t1.48\t2.0\tPASS\n", [(1, 1480, "PASS", "")]),
        ("10\t\t1480\t2000\tPASS\n", [(1, 1480, "PASS", "")]),
        ("00:00:01.480\t1.48\t00:00:02.000\t2.0\tPASS\n", [(1, 1480, "PASS", "")]),
        (
            "1.480000\t2.000000\tPASS\n\\\t100.000000\t200.000000\n3.000000\t3.000000\tSHOT\n",  # Audacity
            [(1, 1480, "PASS", ""), (1, 3000, "SHOT", "")],
        ),
        (
            "Begin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\tPASS\tSHOT\n00:00:01.480\t00:00:02.000\tlow\t\n"
            "00:00:03.000\t00:00:04.000\t\tx\n",
            [(1, 1480, "low", ""), (1, 3000, "x", "")],
        ),
    ],
)
def test_tab_delimited_text_is_read_in_every_form(
    text: str, events: list[tuple[int, int, str, str]], tmp_path: Path
) -> None:
    assert read(tmp_path, "m.txt", text) == {"m": events}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.eaf", "<x/>", "not a file of ELAN"),
        ("m.eaf", '<!DOCTYPE x [<!ENTITY a "b">]><x/>', "definitions of its own"),
        ("m.eaf", "<!DOCTYPE x><x/>", "not a file of ELAN"),
        ("m.eaf", "<", "not XML"),
        ("m.eaf", EAF.replace("milliseconds", "PAL-frames"), "save it in milliseconds"),
        ("m.eaf", EAF.replace('"1480"', '"soon"'), "ts1: 'soon' is no time"),
        ("m.eaf", EAF.replace('TIME_SLOT_REF1="ts1"', 'TIME_SLOT_REF1="ts4"'), "a1: its start has no time"),
        ("m.eaf", EAF.replace('"1480"', '"-1480"'), "the time is -1480 ms"),
        ("m.txt", "one\ttwo\n", "line 1: expected a tier"),
        ("m.txt", "Begin Time - msec\tTier\nsoon\tPASS\n", "line 2: begin time is 'soon'"),
    ],
)
def test_broken_files_are_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path, name, text)


def test_predictions_are_not_read_from_elan(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="hold labels"):
        (tmp_path / "m.eaf").write_text(EAF)
        run_conversion(tmp_path / "m.eaf", tmp_path / "x", "elan", "soccernet", predictions=True)


def test_state_events_of_boris_are_one_event_each(tmp_path: Path) -> None:
    text = (
        "Observation id,Time,Media file path,FPS,Subject,Behavior,Comment,Status\n"
        "derby,1.48,/d/derby.mp4,25,left,PASS,low,POINT\nderby,3.0,/d/derby.mp4,25,No focal subject,PRESS,,START\n"
        "derby,5.0,/d/derby.mp4,25,No focal subject,PRESS,,STOP\n"
    )
    for source in ("boris", "table"):
        assert read(tmp_path, "t.csv", text, source) == {"derby": [(1, 1480, "PASS", "left"), (1, 3000, "PRESS", "")]}
    row = read_json(tmp_path / "out" / "derby" / "Labels-ball.json")["annotations"][0]
    assert row["Comment"] == "low"


_LABELS = st.sampled_from(["PASS", "HIGH PASS", 'Tor; "x"', "a & <b>", "Überzahl"])
_EVENTS = st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 3000), _LABELS, st.sampled_from(["left", ""])))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(_EVENTS, st.sampled_from(["elan", "boris"]))
def test_events_survive_there_and_back(events: list[tuple[int, int, str, str]], way: FormatName) -> None:
    rows = [
        {"gameTime": f"{half} - 00:00", "position": ms, "label": label, "team": team}
        for half, ms, label, team in events
    ]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_json(root / "a" / "l" / "game 1" / "Labels-ball.json", {"annotations": rows})
        run_conversion(root / "a", root / "x", "soccernet", way)
        if events:
            run_conversion(root / "x", root / "b", way, "soccernet", label_file="Labels-ball.json")
            assert {game: sorted(row) for game, row in events_of(root / "b").items()} == {"l/game 1": sorted(events)}

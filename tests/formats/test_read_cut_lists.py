"""Subtitles, chapters and cut lists: what is written is read back, and so are the forms of other programs."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import MAX_DURATION_MS
from e2espot.formats.cut_lists import cut_list_files
from e2espot.formats.format_names import CutListName, FormatName
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.read_cut_lists import read_cut_lists
from e2espot.formats.sportscode import InstanceTimes
from tests.support.conversions import run_conversion

TIMES = InstanceTimes()
LABELS = st.sampled_from(
    ["PASS", "HIGH PASS", "a=b;#c\\\\d", 'say "goal", twice', "<&>", "Flanke 2", "&lt;", "Tor für uns"]
)
TEAMS = st.sampled_from(["", "left", "right", "home", "away"])
POSITIONS = st.integers(0, 8_000_000) | st.integers(MAX_DURATION_MS - 6_000, MAX_DURATION_MS)


@st.composite
def datasets(draw: st.DrawFn) -> AnnotationSet:
    predictions = draw(st.booleans())
    videos = []
    for game in draw(st.lists(st.sampled_from(["a", "b/c d", "e_2", "f.g"]), unique=True, min_size=1)):
        for half in range(1, draw(st.integers(1, 3)) + 1):
            events = [
                Annotation(
                    label=draw(LABELS),
                    position_ms=position_ms,
                    team=draw(TEAMS),
                    confidence=draw(st.integers(0, 100)) / 100 if predictions else None,
                )
                for position_ms in sorted(draw(st.lists(POSITIONS, max_size=4)))
            ]
            videos.append(AnnotatedVideo(game=game, half=half, annotations=tuple(events)))
    return AnnotationSet(videos=tuple(videos), predictions=predictions)


def by_video(dataset: AnnotationSet) -> dict[tuple[str, int], tuple[Annotation, ...]]:
    return {(video.game, video.half): video.annotations for video in dataset.videos}


@pytest.mark.parametrize("name", ["srt", "vtt", "chapters", "losslesscut", "edl"])
@settings(max_examples=30, deadline=None)
@given(dataset=datasets())
def test_what_is_written_is_read_back(name: CutListName, dataset: AnnotationSet) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path, data in cut_list_files(dataset, Path(folder), name, TIMES, DroppedFields()).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        again = by_video(read_cut_lists(Path(folder), name, TIMES, predictions=dataset.predictions))
    before = by_video(dataset)
    if name != "edl":
        assert again == before
        return
    assert again.keys() == before.keys()
    for key, events in before.items():
        for event, other in zip(events, again[key], strict=True):
            assert abs(event.position_ms - other.position_ms) <= 40
            assert (event.label, event.team, event.confidence) == (other.label, other.team, other.confidence)


OTHERS = {
    "srt": "\ufeff1\r\n0:01:02,5 --> 0:01:03,0\r\n<i>PASS</i>\r\nlong left\r\n\r\n\r\n",
    "vtt": "WEBVTT - notes\n\nNOTE a --> b\n\nfirst\n01:02.500 --> 01:03.000 align:start\n<v Ann>PASS long left\n",
    "chapters": ";FFMETADATA1\ntitle=x\n[STREAM]\na=b\n[CHAPTER]\nSTART=62500000000\ntitle=PASS long left\n",
    "losslesscut": "57.5,,PASS long left\n",
    "edl": "1 AX AA/V C 00:00:57:13 00:01:05:13 01:00:00:00 01:00:08:00\n* FROM CLIP NAME:  PASS long left\n",
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("srt", "1\n00:00:01,5 --> 00:00:02,0\n{\\an8}{\\i1}PASS{\\i0} left\n2\n00:00:03,5 --> 00:00:04,0\nSHOT\n"),
        (
            "vtt",
            "WEBVTT\n\n00:01.500 --> 00:02.000\n<00:01.600><lang en>PASS</lang>&#x20;left\n00:03.5 --> 00:04.0\nSHOT\n",
        ),
    ],
)
def test_captions_lose_their_markup_and_need_no_empty_lines_between_them(
    name: CutListName, text: str, tmp_path: Path
) -> None:
    (tmp_path / f"m.{name}").write_text(text)
    ((_, events),) = by_video(read_cut_lists(tmp_path / f"m.{name}", name, TIMES, predictions=False)).items()
    assert [(e.label, e.team, e.position_ms) for e in events] == [("PASS", "left", 1500), ("SHOT", "", 3500)]


@pytest.mark.parametrize("name", OTHERS)
def test_forms_of_other_programs_are_read(name: CutListName, tmp_path: Path) -> None:
    path = tmp_path / f"m.{name}"
    path.write_bytes(OTHERS[name].encode())
    done = run_conversion(path, tmp_path / "t.csv", name, "table")
    assert done.num_annotations == 1
    ((key, (event,)),) = by_video(read_cut_lists(path, name, TIMES, predictions=False)).items()
    assert key == ("m", 1)
    assert (event.label, event.team) == ("PASS long", "left")
    assert event.position_ms == (62_520 if name == "edl" else 62_500)


def test_chapters_of_a_description_and_markers_of_resolve_are_moments(tmp_path: Path) -> None:
    listed = "\ufeff0:12 PASS left\r\n\r\n[1:02:05.5] - HIGH PASS\r\n62:06 \u2013 2:1\r\n"
    (tmp_path / "m.txt").write_text(listed, encoding="utf-8")
    ((_, events),) = by_video(read_cut_lists(tmp_path / "m.txt", "chapters", TIMES, predictions=False)).items()
    assert [(e.position_ms, e.label, e.team) for e in events] == [
        (12_000, "PASS", "left"),
        (3_725_500, "HIGH PASS", ""),
        (3_726_000, "2:1", ""),
    ]
    (tmp_path / "m.edl").write_text(
        "TITLE: t\nFCM: NON-DROP FRAME\n\n"
        "001  001      V     C        01:00:12:12 01:00:12:13 01:00:12:12 01:00:12:13  \n"
        "low and hard |C:ResolveColorBlue |M:PASS left |D:1\n\n"
        "002  001      V     C        01:01:00:00 01:01:00:01 01:01:00:00 01:01:00:01  \n"
        " |C:ResolveColorRed |M:SHOT |D:25\n"
    )
    ((_, events),) = by_video(read_cut_lists(tmp_path / "m.edl", "edl", TIMES, predictions=False)).items()
    assert [(e.position_ms, e.label, e.team) for e in events] == [(3_612_480, "PASS", "left"), (3_660_000, "SHOT", "")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("srt", "1\n00:99:99 --> x\nPASS\n", "entry 1: its times are not such as"),
        ("srt", "1\n00:00:01,0 --> 00:00:02,0\n\n", "entry 1: no text"),
        ("vtt", "WEBVTT\n\n1:2:3:4 --> 5\nPASS\n", "entry 1: its time is '1:2:3:4'"),
        ("chapters", "[CHAPTER]\n", "begins with ;FFMETADATA1"),
        ("chapters", ";FFMETADATA1\n[CHAPTER]\nSTART=x\n", "chapter 1: START or TIMEBASE is missing"),
        ("chapters", "0:12 PASS\nhalf-time\n", "chapter 2: 'half-time' is no time and label such as 12:34 PASS"),
        ("chapters", "0:12 PASS\n0:75 PASS\n", "chapter 2: its time is '0:75'"),
        ("losslesscut", "1,2\n", "row 1: 2 fields; expected start, end and label"),
        ("edl", "FCM: DROP FRAME\n", "drop-frame timecodes"),
        ("edl", "1 AX V C 00:00:01:00 00:00:02:00 0:0:0:0 0:0:0:0\n", "edit 1: no comment FROM CLIP NAME"),
        ("edl", "1 AX V C 00:00:01:30 00:00:02:00 0:0:0:0 0:0:0:0\n", "frames to 24"),
    ],
)
def test_broken_entries_are_named(name: CutListName, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_cut_lists(path, name, TIMES, predictions=False)


def test_predictions_need_confidences_and_a_folder_needs_files(tmp_path: Path) -> None:
    (tmp_path / "m.srt").write_text("1\n0:01 --> 0:02\nPASS\n")
    with pytest.raises(AnnotationError, match="'PASS' does not end in a confidence"):
        read_cut_lists(tmp_path, "srt", TIMES, predictions=True)
    with pytest.raises(ConfigurationError, match="no file there that ends in \\.vtt"):
        read_cut_lists(tmp_path, "vtt", TIMES, predictions=False)


FILES = {
    ("srt", "DERBY.SRT"): "1\n00:00:05,0 --> 00:00:06,0\nPASS\n",
    ("table", "DERBY.CSV"): "time,label\n5,PASS\n",
    (
        "sportscode",
        "DERBY.XML",
    ): "<file><ALL_INSTANCES><instance><start>0</start><end>8</end><code>PASS</code></instance></ALL_INSTANCES></file>",
    (
        "opensportslab",
        "DERBY.JSON",
    ): '{"version": "2.0", "task": "action_spotting", "data": [{"inputs": [{"type": "video",'
    ' "path": "DERBY.mp4"}], "events": [{"head": "action", "label": "PASS", "position_ms": 5000}]}]}',
}


@pytest.mark.parametrize(("name", "file"), FILES)
def test_folders_hold_files_of_windows_and_hidden_ones_of_macs(name: FormatName, file: str, tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / file).write_text(FILES[name, file])
    (folder / f"._{file}").write_bytes(b"\x00\x05\x16\x07")
    (folder / f"._{file.lower()}").write_bytes(b"\x00\x05\x16\x07")
    run_conversion(folder, tmp_path / "t.csv", name, "table")
    assert (tmp_path / "t.csv").read_text().splitlines()[1].startswith("DERBY,1,00:05.000,5000,PASS")


def test_what_a_caption_rounds_or_leaves_out_is_listed() -> None:
    events = [
        Annotation(label="PASS", position_ms=0, confidence=0.5, visibility="visible"),
        Annotation(label="PASS", position_ms=9000, confidence=0.123, visibility="not shown"),
    ]
    dataset = AnnotationSet(videos=(AnnotatedVideo(game="a", half=1, annotations=tuple(events)),), predictions=True)
    dropped = DroppedFields()
    cut_list_files(dataset, Path("out"), "srt", TIMES, dropped)
    assert dropped.lines() == ["1 x confidence, rounded to two decimals", "1 x event field 'visibility'"]

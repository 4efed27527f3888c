"""Times of a table's rows and of an EDL: minutes and seconds in two columns, timecodes, and rates that are stated."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.cli.main import main
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import position_ms_of_frame
from e2espot.formats.read_cut_lists import read_cut_lists
from e2espot.formats.sportscode import InstanceTimes
from e2espot.formats.table import read_table
from e2espot.formats.table_columns import parse_columns
from e2espot.formats.timecodes import frame_and_rate_of_timecode, is_timecode
from tests.support.conversions import run_conversion

NTSC = Fraction(30000, 1001)


def times_of(tmp_path: Path, text: str, columns: str = "", fps: Fraction | None = None) -> list[tuple[int, int]]:
    """Half and milliseconds of each event of a table of this text."""
    (tmp_path / "t.csv").write_text(text)
    dataset = read_table(tmp_path / "t.csv", predictions=False, columns=parse_columns(columns), fps=fps)
    return [(video.half, event.position_ms) for video in dataset.videos for event in video.annotations]


MINUTES = {
    "Opta's names": "period_id,min,sec,type_name\n2,50,7,PASS\n",
    "capitals and decimals": "Half;Minute;Second;Event\n2;50;7,0;PASS\n",
    "seconds, which alone are a time": "half,minute,seconds,label\n2,50,7,PASS\n",
    "seconds from the start, as before": "half,minute,seconds,label\n2,50,3007,PASS\n",
    "a time next to them, which counts": "half,timestamp,minute,second,type\n2,3007,95,7,PASS\n",
}


@pytest.mark.parametrize("name", MINUTES)
def test_minutes_and_seconds_in_two_columns_are_a_time(name: str, tmp_path: Path) -> None:
    assert times_of(tmp_path, MINUTES[name]) == [(2, 3_007_000)]


def test_columns_of_minutes_and_seconds_can_be_stated(tmp_path: Path) -> None:
    text = "Spielminute;Sekunde;Zeit;Ereignis\n5;7,48;20:15;PASS\n0;59,9996;;PASS\n"
    stated = "minute=Spielminute,second=Sekunde,label=Ereignis"
    assert times_of(tmp_path, text, stated) == [(1, 307_480), (1, 59_999)]
    with pytest.raises(AnnotationError, match="no heading with the columns 'Spielminute', 'Ereignis'"):
        times_of(tmp_path, text, "minute=Spielminute,label=Ereignis")


def test_a_time_that_is_stated_overrules_other_columns_of_times(tmp_path: Path) -> None:
    text = "time,minute,second,position,frame,label\n5:07.48,1,2,left back,9,PASS\n"
    assert times_of(tmp_path, text, "time=time") == [(1, 307_480)]
    assert times_of(tmp_path, text, "minute=minute,second=second") == [(1, 62_000)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("5,75,PASS", "second is '75' in minute 5; expected less than 60"),
        ("5,,PASS", "second is ''; expected a number"),
        (",7,PASS", "line 2: no time"),
        ("five,7,PASS", "minute is 'five'; expected a number"),
        ("2000,7,PASS", "the time is 120007000 ms"),
    ],
)
def test_minutes_that_are_no_time_are_refused(row: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=message):
        times_of(tmp_path, f"minute,second,label\n{row}\n")


TIMECODES = {
    # by hand: 61 minutes of 1800 numbers, less 2 in each but 00, 10, ..., 60
    ("01:01:00;02", "29.97"): (61 * 1800 + 2 - 2 * (61 - 6), NTSC),
    ("00:01:00;02", "30000/1001"): (1800, NTSC),
    ("00;00;59;29", "29.97"): (1799, NTSC),
    ("00:10:00;00", "29.97"): (17_982, NTSC),
    ("00:01:00:00", "29.97"): (1800, NTSC),
    ("00:01:00;04", "59.94"): (3600, 2 * NTSC),
    ("01:00:00:00", "25"): (90_000, Fraction(25)),
    ("00:00:01:23", "23.976"): (47, Fraction(24000, 1001)),
    ("00:00:01:49", "50"): (99, Fraction(50)),
}


@pytest.mark.parametrize("timecode", TIMECODES)
def test_timecodes_count_frames_of_their_rate(timecode: tuple[str, str]) -> None:
    text, fps = timecode
    assert frame_and_rate_of_timecode(text, Fraction(fps), "t") == TIMECODES[timecode]


@given(st.integers(0, 24 * 107_892 - 1))
def test_each_frame_has_one_drop_frame_timecode(frame: int) -> None:
    # Ten minutes have 17,982 numbers: 1,800 of the first minute and 1,798 of each other one.
    tens, rest = divmod(frame, 17_982)
    skipped = 0 if rest < 1800 else 2 * ((rest - 1800) // 1798 + 1)
    number = 18_000 * tens + rest + skipped
    seconds, frames = divmod(number, 30)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d};{frames:02d}"
    assert frame_and_rate_of_timecode(text, NTSC, "t") == (frame, NTSC)


@pytest.mark.parametrize(
    ("text", "fps", "message"),
    [
        ("00:00:01:25", "25", "at 25 frames per second, frames to 24; check the rate"),
        ("00:60:01:00", "25", "minutes and seconds run to 59"),
        ("00:01:00;00", "29.97", "which drop-frame timecodes leave out"),
        ("00:01:00;02", "25", "only 29.97 and 59.94"),
        ("00:01:00;02", "30", "only 29.97 and 59.94"),
        ("00:00:01:00", "12.5", r"no timecodes at 12\.5 frames per second"),
        ("00:00:01", "25", "expected one such as 00:05:07:12"),
    ],
)
def test_timecodes_that_do_not_exist_are_refused(text: str, fps: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        frame_and_rate_of_timecode(text, Fraction(fps), "t")
    assert is_timecode(text) == (text.count(":") + text.count(";") == 3)


def test_a_table_of_timecodes_needs_a_rate(tmp_path: Path) -> None:
    markers = "Marker Name\tDescription\tIn\tOut\nPASS\t\t00:05:07:12\t00:05:08:00\n"
    assert times_of(tmp_path, markers, fps=Fraction(25)) == [(1, 307_500)]
    assert times_of(tmp_path, "time,fps,label\n00:05:07:12,25,PASS\n", fps=Fraction(50)) == [(1, 307_500)]
    assert times_of(tmp_path, "time,fps,label\n00:01:00;02,30000/1001,PASS\n") == [
        (1, position_ms_of_frame(1800, NTSC))
    ]
    assert times_of(tmp_path, "frame,label\n7687,PASS\n", fps=Fraction(25)) == [(1, 307_500)]
    with pytest.raises(AnnotationError, match=r"line 2: a timecode without a rate .* a column fps, or state it when"):
        times_of(tmp_path, markers)
    with pytest.raises(AnnotationError, match="line 2: fps is '1/0'; expected 1 to 1000"):
        times_of(tmp_path, "time,fps,label\n00:01:00;02,1/0,PASS\n")


def test_an_edl_of_another_rate_is_read_once_the_rate_is_stated(tmp_path: Path) -> None:
    edl = "FCM: DROP FRAME\n001 AX V C 00:01:00:02 00:01:08:00 0:0:0:0 0:0:0:0\n* FROM CLIP NAME: PASS\n"
    (tmp_path / "m.edl").write_text(edl)
    with pytest.raises(AnnotationError, match=r"has drop-frame timecodes, and states no rate; .* fps=30000/1001"):
        read_cut_lists(tmp_path, "edl", InstanceTimes(), predictions=False)
    (video,) = read_cut_lists(tmp_path, "edl", InstanceTimes(), predictions=False, fps=NTSC).videos
    assert [event.position_ms for event in video.annotations] == [60_060 + 5000]


def test_convert_takes_the_rate_as_fps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("time,label\n00:05:07:12,PASS\n")
    words = ["convert", "labels", str(tmp_path / "t.csv"), str(tmp_path / "o.csv"), "--from", "table", "--to", "table"]
    with pytest.raises(SystemExit):
        main([*words, "--fps", "a"])
    assert "fps is 'a'; give a number such as 25, 12.5 or 30000/1001 (--fps)\n" in capsys.readouterr().err
    main([*words, "--fps", "25"])
    assert "307500,PASS" in (tmp_path / "o.csv").read_text()
    with pytest.raises(ConfigurationError, match="fps is stated, and srt needs none"):
        run_conversion(tmp_path / "t.csv", tmp_path / "o.csv", "srt", "table", fps=Fraction(25))

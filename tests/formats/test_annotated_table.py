"""Annotated stretches of each game in a table, as people and Kaggle's DFL data write them."""

from pathlib import Path

import pytest

from e2espot.core.annotated import AnnotatedRanges
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.formats.annotated_table import stated_stretches

DFL = "video_id,time,event,event_attributes\nderby,10.0,start,\nderby,11.0,play,\nderby,20.0,end,\n"


@pytest.mark.parametrize(
    ("table", "stretches"),
    [
        ("game,half,start,end\nderby,1,0:10,20\nderby,1,15,30\n", {1: ((10_000, 30_000),)}),
        ("video;start;end\nD:\\sn\\derby.mp4;10,5;20\n", {1: ((10_500, 20_000),)}),
        ("\ufeffvideo\tstart\tend\nderby/2_224p.mkv\t0\t60\n", {2: ((0, 60_000),)}),
        ("game,half,start,end\rderby,2.0,0,60\r", {2: ((0, 60_000),)}),
        (DFL, {1: ((10_000, 20_001),)}),
    ],
)
def test_a_table_states_the_stretches_of_its_games(table: str, stretches: dict[int, object], tmp_path: Path) -> None:
    path = tmp_path / "stretches.csv"
    path.write_text(table, encoding="utf-8")
    stated = stated_stretches(str(path))
    of_game = stated.of("league/season/derby")
    assert {half: ranges.ranges_ms for half, ranges in of_game.items() if ranges.ranges_ms} == stretches
    # A game that the table does not list was not annotated.
    assert set(stated.of("league/season/other").values()) == {AnnotatedRanges()}
    stated.check(["other", "league/season/derby"])
    with pytest.raises(ConfigurationError, match="lists derby, and the games are other"):
        stated.check(["other"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "its columns are ; expected game, start, end"),
        ("game,from,to\n", "its columns are game, from, to; expected"),
        ('game;start;"end\na;1;2\n', "its columns are game, start, end a;1;2; expected"),
        ("game,start,end\nderby,9,8\n", "line 2: is from '9' to '8'"),
        ("game,start,end\nderby,9\n", "line 2: is from '9' to ''"),
        ("game,half,start,end\nderby,6,1,2\n", "line 2: half is '6'"),
        ("game,start,end\n,1,2\n", "line 2: no game"),
    ],
)
def test_other_tables_are_refused_with_their_line(table: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(table)
    with pytest.raises(AnnotationError, match=message):
        stated_stretches(str(tmp_path / "x.csv"))


def test_a_table_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no such table") as caught:
        stated_stretches("none.csv")
    assert caught.value.option == "annotated"

"""Sides of teams that labels name otherwise."""

import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.core.teams import parse_team_map


def test_side_of_follows_the_map_and_the_half() -> None:
    teams = parse_team_map("home=left, away=right", "swap")
    assert [teams.side_of("home", half) for half in (1, 2)] == ["left", "right"]
    assert [teams.side_of("away", half) for half in (1, 2)] == ["right", "left"]
    assert [teams.side_of("left", half) for half in (1, 2)] == ["left", "left"]  # not mapped: a side of the screen
    assert parse_team_map("home=left").side_of("home", 2) == "left"
    assert parse_team_map("").side_of("home", 1) == "home"


@pytest.mark.parametrize("text", ["home", "home=up", "=left", "home=left,home=right"])
def test_parse_team_map_refuses_anything_else(text: str) -> None:
    with pytest.raises(ConfigurationError, match="such as home=left,away=right") as caught:
        parse_team_map(text)
    assert caught.value.option == "team_map"

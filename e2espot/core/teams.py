"""Names of teams in labels: SoccerNet's ``left`` and ``right`` are sides of the screen, other sources name clubs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from e2espot.core.errors import ConfigurationError

SIDES = ("left", "right")
"""The team that plays on the left of the screen, and the one on the right."""

SecondHalf = Literal["same", "swap"]
"""Whether the teams keep their sides after half-time, or change them as the rules have it."""

_OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True, kw_only=True)
class TeamMap:
    """Which side each named team plays on."""

    sides: Mapping[str, str] = field(default_factory=dict)
    """Name in the labels -> left or right in the first half."""
    second_half: SecondHalf = "same"
    """``swap``: the mapped teams have the other side in the second half."""

    def side_of(self, team: str, half: int) -> str:
        """Side of a team in a half; names that are not mapped, such as left itself, stay as they are.

        # home=left, away=right, swap: home in half 2 -> right
        """
        side = self.sides.get(team, team)
        swapped = self.second_half == "swap" and half == 2 and team in self.sides
        return _OTHER_SIDE[side] if swapped else side


NO_TEAM = ("not applicable", "")
"""Teams of events that no team makes, or of which it was not noted."""


def check_sides(teams: Iterable[str], what: str) -> int:
    """Number of events without a team, of events that should have left or right.

    Args:
        teams: Team of each event.
        what: What needs the sides, for the message.

    Raises:
        ConfigurationError: a team of another name, or no event with a side.
    """
    counts = Counter(teams)
    known = sum(counts[side] for side in SIDES)
    if not known or any(team not in (*SIDES, *NO_TEAM) for team in counts):
        names = ", ".join(f"{team or 'empty'} ({count})" for team, count in counts.most_common(8))
        raise ConfigurationError(
            f"{what} left and right, and the labels have: {names or 'none'}; map other names to left and right, such "
            "as home=left,away=right",
            option="team_map",
        )
    return counts.total() - known


def parse_team_map(text: str, second_half: SecondHalf = "same") -> TeamMap:
    """A map written as ``home=left,away=right``; the empty text maps nothing.

    Raises:
        ConfigurationError: not of that form.
    """
    sides: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        team, _, side = (part.strip() for part in pair.rpartition("="))
        if not team or side not in SIDES or team in sides:
            raise ConfigurationError(
                f"team_map is {text!r}; give each name once with left or right, such as home=left,away=right",
                option="team_map",
            )
        sides[team] = side
    return TeamMap(sides=sides, second_half=second_half)

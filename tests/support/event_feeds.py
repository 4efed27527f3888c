"""Event feeds of one short match in the five formats, written from their published structure.

Every feed has the same actions, as far as its format knows them::

    half 1   2.000 PASS (home)   3.500 CROSS (away)   5.250 SHOT (home)
    half 2   1.000 PASS (away)   4.750 THROW IN (home)
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

ACTIONS = (
    *((1, 2.0, "PASS", "home"), (1, 3.5, "CROSS", "away"), (1, 5.25, "SHOT", "home")),
    *((2, 1.0, "PASS", "away"), (2, 4.75, "THROW IN", "home")),
)
"""Half, seconds since its kick-off, class and team."""

KICK_OFFS = {1: datetime(2024, 1, 6, 15, 0, tzinfo=UTC), 2: datetime(2024, 1, 6, 16, 3, 20, tzinfo=UTC)}
"""Kick-off of each half; in winter, so that London's time is UTC."""

Row = dict[str, Any]


def _clock(seconds: float) -> str:
    return f"00:{int(seconds) // 60:02d}:{seconds % 60:06.3f}"


# StatsBomb: events and lineups, JSON.


def statsbomb_event(half: int, seconds: float, type_id: int, name: str, team: int = 1, **fields: Any) -> Row:
    """One event of StatsBomb; ``seconds`` count from the start of the half."""
    side = {"id": team, "name": f"Team {team}"}
    return {
        "id": f"{name}-{half}-{seconds}-{team}",
        "period": half,
        "timestamp": _clock(seconds),
        "minute": int(seconds) // 60 + 45 * (half - 1),
        "second": int(seconds) % 60,
        "type": {"id": type_id, "name": name},
        "possession_team": side,
        "play_pattern": {"id": 1, "name": "Regular Play"},
        "team": side,
        **fields,
    }


def statsbomb_pass(half: int, seconds: float, team: int = 1, duration: float = 1.5, **fields: Any) -> Row:
    """A pass of StatsBomb; ``fields`` are those within ``pass``."""
    height, recipient = {"id": 1, "name": "Ground Pass"}, {"id": 10 * team, "name": "Player"}
    fields = {"recipient": recipient, "end_location": [70.0, 40.0], "height": height, "length": 9.5, **fields}
    return statsbomb_event(
        half,
        seconds,
        30,
        "Pass",
        team,
        location=[60.5, 40.0],
        duration=duration,
        player={"id": 10 * team, "name": "Player"},
        **{"pass": fields},
    )


def _statsbomb_start(team: int) -> Row:
    player = {"id": 10 * team, "name": "Player"}
    lineup = [{"player": player, "position": {"id": 23, "name": "Center Forward"}, "jersey_number": 9}]
    return statsbomb_event(1, 0, 35, "Starting XI", team, tactics={"formation": 442, "lineup": lineup})


def statsbomb(events: list[Row] | None = None) -> tuple[bytes, bytes]:
    """Lineups and events."""
    throw_in = {"type": {"id": 67, "name": "Throw-in"}}
    shot = {"end_location": [120.0, 40.0], "outcome": {"id": 100, "name": "Saved"}, "type": {"id": 87, "name": "Open"}}
    player = {"id": 10, "name": "Player"}
    if events is None:
        events = [
            statsbomb_pass(1, 2.0),
            statsbomb_pass(1, 3.5, 2, cross=True),
            statsbomb_event(1, 5.25, 16, "Shot", location=[100.5, 40.0], player=player, shot=shot),
            statsbomb_pass(2, 1.0, 2),
            statsbomb_pass(2, 4.75, **throw_in),
        ]
    borders = [
        statsbomb_event(half, seconds, type_id, name, team)
        for half in (1, 2)
        for seconds, type_id, name in ((0, 18, "Half Start"), (2800, 34, "Half End"))
        for team in (1, 2)
    ]
    lineups = [
        {
            "team_id": team,
            "team_name": f"Team {team}",
            "lineup": [{"player_id": 10 * team, "player_name": "Player", "jersey_number": 9}],
        }
        for team in (1, 2)
    ]
    return json.dumps(lineups).encode(), json.dumps([*map(_statsbomb_start, (1, 2)), *borders, *events]).encode()


# Wyscout's third version: one file, JSON.


def wyscout_event(half: int, seconds: float, primary: str, team: int = 1, **fields: Any) -> Row:
    """One event of Wyscout; ``seconds`` count from the start of the half."""
    on_clock = seconds + 45 * 60 * (half - 1)
    return {
        "id": int(1000 * seconds) + half,
        "matchId": 7,
        "matchPeriod": f"{half}H",
        "minute": int(on_clock) // 60,
        "second": int(on_clock) % 60,
        "matchTimestamp": _clock(on_clock),
        "type": {"primary": primary, "secondary": fields.pop("secondary", [])},
        "location": {"x": 50, "y": 50},
        "team": {"id": team, "name": f"Team {team}", "formation": "4-4-2"},
        "opponentTeam": {"id": 3 - team, "name": f"Team {3 - team}", "formation": "4-4-2"},
        "player": {"id": 10 * team, "name": "Player"},
        "possession": None,
        **fields,
    }


def wyscout_pass(half: int, seconds: float, team: int = 1, primary: str = "pass", *secondary: str) -> Row:
    """A pass of Wyscout."""
    details = {"accurate": None, "angle": 0, "height": None, "length": 9.5, "endLocation": {"x": 60, "y": 50}}
    return wyscout_event(half, seconds, primary, team, secondary=list(secondary), **{"pass": details})


def wyscout(events: list[Row] | None = None) -> tuple[bytes, ...]:
    """The one file."""
    shot = {
        "isGoal": False,
        "onTarget": False,
        "goalZone": "or",
        "bodyPart": "right_foot",
        "xg": 0.1,
        "postShotXg": None,
    }
    if events is None:
        events = [
            wyscout_pass(1, 2.0),
            wyscout_pass(1, 3.5, 2, "pass", "cross"),
            wyscout_event(1, 5.25, "shot", shot=shot),
            wyscout_pass(2, 1.0, 2),
            wyscout_pass(2, 4.75, 1, "throw_in"),
        ]

    def per_team(value: Callable[[int], Any]) -> Row:
        return {str(team): value(team) for team in (1, 2)}

    def people(team: int) -> Row:
        return {"lineup": [{"playerId": 10 * team, "shirtNumber": 9}], "bench": []}

    content = {
        "events": events,
        "match": {"wyId": 7, "teamsData": per_team(lambda team: {"formation": people(team)})},
        "teams": per_team(lambda team: {"team": {"wyId": team, "officialName": f"Team {team}"}}),
        "players": per_team(lambda team: [{"player": {"wyId": 10 * team, "firstName": "A", "lastName": "B"}}]),
        "formations": per_team(lambda team: {"1H": {"0": {"4-4-2": {"players": []}}}}),
    }
    return (json.dumps(content).encode(),)


# Opta's F7 and F24 (XML), and Stats Perform's MA1 and MA3 (JSON), which share types and qualifiers.

_OPTA = {"PASS": (1, ()), "CROSS": (1, (2,)), "SHOT": (13, ()), "THROW IN": (1, (107,)), "OUT": (5, ())}
"""Class -> type of event and qualifiers."""


def _opta_rows(actions: Any) -> list[tuple[int, float, int, tuple[int, ...], int]]:
    """Half, seconds, type, qualifiers and team; with the starts and the ends of the halves."""
    rows: list[tuple[int, float, int, tuple[int, ...], int]] = []
    for half in (1, 2):
        rows += [(half, 0, 32, (), 1), (half, 0, 32, (), 2)]
        rows += [(half, at, *_OPTA[label], 1 + (team == "away")) for its, at, label, team in actions if its == half]
        rows += [(half, 2800, 30, (), 1)]
    return rows


def opta(actions: Any = ACTIONS) -> tuple[bytes, bytes]:
    """F7 and F24."""

    def side(team: int) -> str:
        player = f'<MatchPlayer PlayerRef="p{10 * team}" ShirtNumber="9" Status="Start" Formation_Place="9"/>'
        return (
            f'<TeamData Side="{"Home" if team == 1 else "Away"}" TeamRef="t{team}" Score="0" Formation="442">'
            f"<PlayerLineUp>{player}</PlayerLineUp></TeamData>"
        )

    def club(team: int) -> str:
        name = "<PersonName><First>A</First><Last>B</Last></PersonName>"
        return f'<Team uID="t{team}"><Name>Team {team}</Name><Player uID="p{10 * team}">{name}</Player></Team>'

    def stat(name: str, half: int, seconds: int) -> str:
        at = KICK_OFFS[half] + timedelta(seconds=seconds)
        return f'<Stat Type="{name}">{at:%Y%m%dT%H%M%S}+0000</Stat>'

    halves = "".join(
        stat(f"{name}_half_start", half, 0) + stat(f"{name}_half_end", half, 2800)
        for half, name in ((1, "first"), (2, "second"))
    )
    match = f"<MatchInfo><Result/></MatchInfo>{halves}{side(1)}{side(2)}"
    f7 = f"<SoccerFeed><SoccerDocument><MatchData>{match}</MatchData>{club(1)}{club(2)}</SoccerDocument></SoccerFeed>"
    events = []
    for number, (half, seconds, type_id, qualifiers, team) in enumerate(_opta_rows(actions)):
        at = KICK_OFFS[half] + timedelta(seconds=seconds)
        stamp = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}"
        marks = "".join(f'<Q qualifier_id="{qualifier}"/>' for qualifier in qualifiers)
        events.append(
            f'<Event id="{number}" event_id="{number}" type_id="{type_id}" period_id="{half}" min="0" sec="0" x="50" '
            f'y="50" timestamp="{stamp}" last_modified="{stamp}" team_id="{team}" outcome="1">{marks}</Event>'
        )
    f24 = f'<Games><Game id="1" game_date="2024-01-06T15:00:00">{"".join(events)}</Game></Games>'
    return f7.encode(), f24.encode()


def statsperform(actions: Any = ACTIONS) -> tuple[bytes, bytes]:
    """MA1 and MA3."""

    def stamp(half: int, seconds: float) -> str:
        at = KICK_OFFS[half] + timedelta(seconds=seconds)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"

    def player(team: int) -> Row:
        names = {"matchName": "Player", "firstName": "A", "lastName": "B"}
        return {"playerId": f"p{team}", "shirtNumber": 9, "position": "Striker", **names}

    halves = [{"id": half, "start": stamp(half, 0)[:-5] + "Z", "end": stamp(half, 2800)[:-5] + "Z"} for half in (1, 2)]
    ma1 = {
        "matchInfo": {
            "id": "m",
            "date": "2024-01-06Z",
            "contestant": [
                {"id": str(team), "name": f"Team {team}", "position": side} for team, side in ((1, "home"), (2, "away"))
            ],
        },
        "liveData": {
            "matchDetails": {"period": halves, "scores": {"total": {"home": 0, "away": 0}}},
            "lineUp": [
                {"contestantId": str(team), "formationUsed": "442", "player": [player(team)]} for team in (1, 2)
            ],
        },
    }
    events = [
        {
            "id": number,
            "eventId": number,
            "typeId": type_id,
            "periodId": half,
            "timeMin": 0,
            "timeSec": 0,
            "x": 50,
            "y": 50,
            "timeStamp": stamp(half, seconds),
            "lastModified": stamp(half, seconds),
            "contestantId": str(team),
            "outcome": 1,
            "qualifier": [{"qualifierId": qualifier} for qualifier in qualifiers],
        }
        for number, (half, seconds, type_id, qualifiers, team) in enumerate(_opta_rows(actions))
    ]
    return json.dumps(ma1).encode(), json.dumps({"liveData": {"event": events}}).encode()


# Sportec's match information and events (XML).

_SPORTEC = {
    "PASS": "<Play {team} Evaluation='successfullyCompleted'><Pass/></Play>",
    "CROSS": "<Play {team} Evaluation='unsuccessful'><Cross/></Play>",
    "SHOT": "<ShotAtGoal {team}><ShotWide/></ShotAtGoal>",
    "THROW IN": "<ThrowIn {team} DecisionTimestamp='{decision}'>"
    "<Play {team} Evaluation='successfullyCompleted'><Pass/></Play></ThrowIn>",
}


def sportec(actions: Any = ACTIONS) -> tuple[bytes, bytes]:
    """Match information and events."""

    def event(half: int, seconds: float, inner: str) -> str:
        at = KICK_OFFS[half] + timedelta(seconds=seconds)
        return f"<Event EventId='{half}{int(1000 * seconds)}' EventTime='{at.isoformat()}'>{inner}</Event>"

    events = []
    for half, section in ((1, "firstHalf"), (2, "secondHalf")):
        events.append(event(half, 0, f"<KickOff TeamLeft='1' TeamRight='2' GameSection='{section}'/>"))
        for its_half, seconds, label, team in actions:
            if its_half == half:
                decision = (KICK_OFFS[half] + timedelta(seconds=seconds - 1)).isoformat()
                inner = _SPORTEC[label].format(team=f"Team='{1 + (team == 'away')}'", decision=decision)
                events.append(event(half, seconds, inner))
        events.append(event(half, 2800, f"<FinalWhistle GameSection='{section}'/>"))

    def club(team: int, role: str) -> str:
        player = (
            f"<Player PersonId='p{team}' ShirtNumber='9' Shortname='P' FirstName='A' LastName='B' Starting='true'/>"
        )
        return (
            f"<Team TeamId='{team}' TeamName='Team {team}' Role='{role}' LineUp='4-4-2'><Players>{player}</Players>"
            f"<TrainerStaff><Trainer PersonId='c{team}' Shortname='C' FirstName='C' LastName='D' Role='headcoach'/>"
            "</TrainerStaff></Team>"
        )

    match = (
        "<PutDataRequest><MatchInformation>"
        "<General KickoffTime='2024-01-06T15:00:00+00:00' MatchDay='1' MatchId='m' Result='0:0'/>"
        "<Environment PitchX='105.0' PitchY='68.0'/>"
        "<OtherGameInformation TotalTimeFirstHalf='2800000' TotalTimeSecondHalf='2800000'/>"
        f"<Teams>{club(1, 'home')}{club(2, 'guest')}</Teams></MatchInformation></PutDataRequest>"
    )
    return match.encode(), f"<PutDataRequest>{''.join(events)}</PutDataRequest>".encode()


FEEDS: Mapping[str, Callable[[], tuple[bytes, ...]]] = {
    "statsbomb": statsbomb,
    "wyscout": wyscout,
    "opta": opta,
    "statsperform": statsperform,
    "sportec": sportec,
}
"""Name of the format -> its files, the events last."""

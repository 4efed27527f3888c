#!/usr/bin/env bash
# kloppy 3.19.1: Wyscout's events lose their milliseconds, and a ball that StatsBomb sends out is out when it is kicked.
#
# Every event of Wyscout's third version has matchTimestamp with milliseconds, and kloppy's timestamps are timedeltas, so
# an engineer expects them there. kloppy reads minute and second instead: half a second early on average. StatsBomb's pass
# has a duration, and kloppy adds it for the moment of receipt; the event of the ball going out that kloppy makes of a
# pass with outcome Out has the time of the pass.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet kloppy==3.19.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import json
import sys
from importlib.metadata import version
from io import BytesIO

from kloppy import statsbomb, wyscout

TEAMS = ("1", "2")
side = {"id": 1, "name": "A", "formation": "4-4-2"}
shot = {"isGoal": False, "onTarget": False, "goalZone": "or", "bodyPart": "right_foot", "xg": 0.1, "postShotXg": None}
event = {
    "id": 1, "matchId": 7, "matchPeriod": "1H", "minute": 3, "second": 7, "matchTimestamp": "00:03:07.960",
    "type": {"primary": "shot", "secondary": []}, "location": {"x": 90, "y": 50}, "possession": None, "team": side,
    "opponentTeam": {**side, "id": 2}, "player": {"id": 10, "name": "P"}, "shot": shot,
}
people = {"lineup": [{"playerId": 10, "shirtNumber": 9}], "bench": []}
feed = {
    "events": [event],
    "match": {"wyId": 7, "teamsData": {team: {"formation": people} for team in TEAMS}},
    "teams": {team: {"team": {"wyId": int(team), "officialName": team}} for team in TEAMS},
    "players": {team: [{"player": {"wyId": 10, "firstName": "A", "lastName": "B"}}] for team in TEAMS},
    "formations": {team: {"1H": {"0": {"4-4-2": {"players": []}}}} for team in TEAMS},
}
(read,) = wyscout.load(BytesIO(json.dumps(feed).encode()), data_version="V3").records
of_wyscout = read.timestamp.total_seconds()


def entry(name, type_id, team, timestamp, **fields):
    club = {"id": team, "name": str(team)}
    return {
        "id": f"{name}{team}", "period": 1, "timestamp": timestamp, "type": {"id": type_id, "name": name},
        "possession_team": club, "team": club, "play_pattern": {"id": 1, "name": "Regular Play"}, **fields,
    }


def start(team):
    lineup = [{"player": {"id": 10 * team}, "position": {"id": 23}, "jersey_number": 9}]
    return entry("Starting XI", 35, team, "00:00:00.000", tactics={"formation": 442, "lineup": lineup})


kick = {"end_location": [60.5, 80.0], "outcome": {"id": 75, "name": "Out"}, "height": {"id": 1}, "length": 40.0}
events = [
    start(1), start(2), entry("Half Start", 18, 1, "00:00:00.000"), entry("Half End", 34, 1, "00:45:00.000"),
    entry("Pass", 30, 1, "00:00:10.000", duration=2.5, location=[60.5, 40.0], player={"id": 10}, **{"pass": kick}),
]
lineups = [
    {"team_id": team, "team_name": "T", "lineup": [{"player_id": 10 * team, "player_name": "P", "jersey_number": 9}]}
    for team in (1, 2)
]
records = statsbomb.load(BytesIO(json.dumps(events).encode()), BytesIO(json.dumps(lineups).encode())).records
(of_statsbomb,) = (event.timestamp.total_seconds() for event in records if event.event_name == "ball_out")
observed = [of_wyscout, of_statsbomb]
print("kloppy", version("kloppy"))
print("expected", [187.96, 12.5])
print("observed", observed)
sys.exit(0 if observed == [187.0, 10.0] else 1)
PY

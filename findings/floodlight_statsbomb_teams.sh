#!/usr/bin/env bash
# floodlight 1.2.0: an event of StatsBomb is listed with the team in possession, and second halves begin at 2700 s.
#
# Guess: `events["HT1"]["Away"]` holds what the away team did, and `gameclock` counts from the kick-off of its segment, as
# it does in floodlight's reader of Opta. A tackle or a pressure of the away team is in the list of the home team while
# that has the ball, without a message; only the column `tID` has the right team. In the second half `gameclock` goes on
# from 45 minutes, so it fits no video or positions of that half, and the first half's added time has the same numbers.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet floodlight==1.2.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import json
import sys
from importlib.metadata import version
from pathlib import Path

from floodlight.io.opta import read_event_data_xml
from floodlight.io.statsbomb import read_open_event_data_json

HOME, AWAY = {"id": 1, "name": "home"}, {"id": 2, "name": "away"}


def event(number, kind, team, owner, period, minute, second):
    since = 60 * (minute - 45 * (period - 1)) + second
    return {
        "id": str(number), "index": number, "period": period, "minute": minute, "second": second,
        "timestamp": f"00:{since // 60:02d}:{since % 60:02d}.000", "type": {"id": number, "name": kind},
        "possession": 1, "possession_team": owner, "play_pattern": {"id": 1, "name": "Regular Play"}, "team": team,
    }


def start(number, team):
    player = {"player": {"id": 10 * team["id"], "name": "P"}, "position": {"id": 1, "name": "Goalkeeper"}, "jersey_number": 1}
    return {**event(number, "Starting XI", team, HOME, 1, 0, 0), "tactics": {"formation": 442, "lineup": [player]}}


match = {
    "match_id": 7,
    "home_team": {"home_team_id": 1, "home_team_name": "home"},
    "away_team": {"away_team_id": 2, "away_team_name": "away"},
}
events = [
    start(1, HOME), start(2, AWAY),
    event(3, "Pass", HOME, HOME, 1, 0, 10), event(4, "Pressure", AWAY, HOME, 1, 0, 11),
    event(5, "Pass", HOME, HOME, 2, 45, 10),
]
Path("7.json").write_text(json.dumps(events))
Path("matches.json").write_text(json.dumps([match]))
read, _ = read_open_event_data_json("7.json", "matches.json")
lists = {
    team: [name for name in read["HT1"][team].events["event_name"] if name != "Starting XI"] for team in ("Home", "Away")
}
(clock_s,) = read["HT2"]["Home"].events["gameclock"]

opta = [(32, team, half, 45 * (half - 1), 0, f"{11 + half}:00:00") for team in (1, 2) for half in (1, 2)]
opta.append((1, 1, 2, 45, 10, "13:00:10"))
rows = "".join(
    f'<Event type_id="{kind}" outcome="1" team_id="{team}" period_id="{period}" min="{minute}" sec="{second}" '
    f'timestamp="2026-11-30T{at}.000" player_id="5" x="50" y="50"/>'
    for kind, team, period, minute, second, at in opta
)
header = "\n\n<!-- PRODUCTION HEADER\n\n\n\nproduction module: Opta::Feed::XML::Soccer::F24\n-->\n"
facts = 'home_team_id="1" away_team_id="2" period_1_start="2026-11-30T12:00:00" period_2_start="2026-11-30T13:00:00"'
Path("f24.xml").write_text(f'<?xml version="1.0"?>{header}<Games><Game id="7" {facts}>{rows}</Game></Games>')
opta_read = read_event_data_xml("f24.xml")[0]
opta_clock_s = list(opta_read["HT2"]["Home"].events["gameclock"])[-1]
print("floodlight", version("floodlight"))
print("a pass of the home team and a pressure of the away team")
print("expected", {"Home": ["Pass"], "Away": ["Pressure"]})
print("observed", lists)
print(f"ten seconds after half-time: expected 10.0 s, as of Opta, {opta_clock_s} s; observed {clock_s} s")
as_recorded = (lists, clock_s, opta_clock_s) == ({"Home": ["Pass", "Pressure"], "Away": []}, 2710.0, 10.0)
sys.exit(0 if as_recorded else 1)
PY

#!/usr/bin/env bash
# socceraction 1.5.3: a dribble is halfway between two kicks, also while the ball is still on its way.
#
# SPADL has dribbles where a feed such as Opta's has none: wherever the next action of the team begins elsewhere than the
# one before ended. Guess: `time_seconds` of such a dribble is when the player sets off with the ball, so not before the pass to
# him can have arrived, as a later kick of his does not change when that was. It is the mean of the times of the two
# kicks: after a pass at 10 s the same dribble is at 11, 12 or 14 s, by when the player passes the ball on. Where both
# kicks are in one second, as Opta's times are whole seconds, it is at the time of the pass itself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==1.26.4 pandas==2.3.3 pandera==0.17.2 multimethod==1.12 socceraction==1.5.3
"$work/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import pandas as pd
from socceraction.spadl import add_names, opta

KICK_OFF = pd.Timestamp("2024-01-01 15:00:00")


def kick(number, second, player, start_x, end_x):  # a pass along the middle of the pitch, which is 105 m for 0 to 100
    return {
        **{"game_id": 1, "event_id": number, "period_id": 1, "team_id": 1, "player_id": player, "type_id": 1},
        **{"type_name": "pass", "timestamp": KICK_OFF + pd.Timedelta(seconds=second), "minute": 0, "second": second},
        **{"outcome": True, "start_x": start_x, "start_y": 50.0, "end_x": end_x, "end_y": 50.0},
        **{"assist": False, "keypass": False, "qualifiers": {}},
    }


def dribble(next_kick_s):
    events = pd.DataFrame([kick(1, 10, 7, 20.0, 70.0), kick(2, next_kick_s, 9, 75.0, 80.0)])
    actions = add_names(opta.convert_to_actions(events, home_team_id=1))
    (row,) = actions[actions.type_name == "dribble"].itertuples()
    assert (row.player_id, row.start_x, row.end_x) == (9, 73.5, 78.75), "from where the pass ends to the next kick"
    return float(row.time_seconds)


NEXT_S = (10, 12, 14, 18)
times_s = [dribble(second) for second in NEXT_S]
print("socceraction", version("socceraction"))
print(f"a pass of 52 m at 10 s, the receiver's own kick at {NEXT_S} s, 5 m further on")
print(f"his dribble: expected when the pass has arrived, whenever he kicks; observed {times_s}")
sys.exit(0 if times_s == [10.0, 11.0, 12.0, 14.0] else 1)
PY

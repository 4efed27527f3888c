#!/usr/bin/env bash
# pandas 3.1.1: a clock of StatsBomb's events is read as that time of the day on which the program runs.
#
# StatsBomb's JSON gives `"timestamp": "00:05:07.480"`, the time since the kick-off of a half. Guess: read_json() leaves it
# as text, as it does the same value in a field `time`, or makes it a duration. It makes it a date, because of the name of the
# field: 00:05:07.480 of today. So a file that is read on two days gives two results, events that were stored yesterday
# are a day before the same ones of today, and the differences within one file are right, so nothing looks wrong.
# Labels that are text of digits, such as the jersey "07", become numbers as well.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 pandas==3.1.1
"$work/venv/bin/python" -W ignore - <<'PY'
import datetime
import io
import json
import sys

import pandas as pd

CLOCK = "00:05:07.480"
EVENTS = [{"period": 1, "timestamp": CLOCK, "time": CLOCK, "jersey": "07"}]

before = datetime.date.today()
row = pd.read_json(io.StringIO(json.dumps(EVENTS))).iloc[0]
after = datetime.date.today()
stated = pd.read_json(io.StringIO(json.dumps(EVENTS)), convert_dates=False, dtype=False).iloc[0]
print("pandas", pd.__version__)
print(f"field timestamp, {CLOCK!r}: expected text or 307.48 s; observed {row['timestamp']!r}")
print(f"field time, the same value: observed {row['time']!r}")
print(f"field jersey, '07': expected text; observed {row['jersey']!r}")
print(f"with convert_dates=False, dtype=False: {stated['timestamp']!r} and {stated['jersey']!r}")
is_today = isinstance(row["timestamp"], pd.Timestamp) and before <= row["timestamp"].date() <= after
is_clock = is_today and row["timestamp"].time() == datetime.time(0, 5, 7, 480_000)
others = (row["time"], int(row["jersey"]), stated["timestamp"], stated["jersey"])
sys.exit(0 if is_clock and others == (CLOCK, 7, CLOCK, "07") else 1)
PY

#!/usr/bin/env bash
# timecode 1.5.1: 01:00:00:00 is one frame later than 3600 s, in both directions.
#
# Guess: float of a time code gives the seconds since 00:00:00:00, and start_seconds is the inverse. The package
# numbers frames from 1, and seconds are the frame number divided by the rate: at 25 frames a second 00:00:00:00 is at
# 0.04 s and 01:00:00:00 at 3600.04 s, and start_seconds=3600 gives 00:59:59:24. Both errors cancel in a round trip, so a
# test of that shows nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet timecode==1.5.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import math
import sys
from importlib.metadata import version

from timecode import Timecode

RATE = 25

print("timecode", version("timecode"))
seconds = {text: float(Timecode(RATE, text).float) for text in ("00:00:00:00", "01:00:00:00")}
for text, expected in (("00:00:00:00", 0), ("01:00:00:00", 3600)):
    print(f"seconds of {text}: expected {expected}, observed {seconds[text]:.2f}")
text = str(Timecode(RATE, start_seconds=3600))
print(f"time code of 3600 s: expected 01:00:00:00, observed {text}")
again = str(Timecode(RATE, start_seconds=seconds["01:00:00:00"]))
print(f"time code of the seconds of 01:00:00:00: {again}")
as_recorded = (
    math.isclose(seconds["00:00:00:00"], 0.04)
    and math.isclose(seconds["01:00:00:00"], 3600.04)
    and text == "00:59:59:24"
    and again == "01:00:00:00"
)
print("observed: one frame late" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

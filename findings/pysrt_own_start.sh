#!/usr/bin/env bash
# pysrt 1.1.2: at the very time at which a caption begins, it is not there.
#
# Guess: `file.at(t)` gives the captions that are on screen at t, so one from 5.0 s to 6.5 s is there at 5.0 s, as in
# players, which show a caption from its start to just before its end. It is not: the start is left out as well as the
# end. A caption that marks an event is therefore missed at the event's own time, and found a millisecond later; where
# one caption follows another without a gap, there is a moment without any.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pysrt==1.1.2
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import pysrt

captions = pysrt.from_string(
    "1\n00:00:05,000 --> 00:00:06,500\nPASS\n\n2\n00:00:06,500 --> 00:00:08,000\nDRIVE\n"
)


def shown(position_ms):
    return captions.at(seconds=position_ms // 1000, milliseconds=position_ms % 1000).text


expected = {5000: "PASS", 5001: "PASS", 6499: "PASS", 6500: "DRIVE", 6501: "DRIVE", 8000: ""}
observed = {position_ms: shown(position_ms) for position_ms in expected}
print("pysrt", version("pysrt"))
for position_ms, label in expected.items():
    print(f"at {position_ms} ms: expected {label or 'nothing'}; observed {observed[position_ms] or 'nothing'}")
as_recorded = observed == {**expected, 5000: "", 6500: ""}
print("observed: no caption at its own start" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

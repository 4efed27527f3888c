#!/usr/bin/env bash
# webvtt-py 0.6.0: the seconds of a caption are whole ones, cut down.
#
# Guess: `caption.start_in_seconds` of a caption from 00:07.960 on is 7.96. It is 7, with type int, and so are
# `end_in_seconds` and a caption's length made of them. So each event read that way is up to a second early, and 0.48 s on
# average, where actions are scored within half a second. `caption.start`, a text, keeps the milliseconds, and so does
# `caption.start_time`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet webvtt-py==0.6.0
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import webvtt


def clock(position_ms):
    return f"{position_ms // 60_000:02d}:{position_ms // 1000 % 60:02d}.{position_ms % 1000:03d}"


positions_ms = [7960, *range(60_000, 61_000, 40)]  # the pictures of a second at 25 a second, and one more
text = "WEBVTT\n\n" + "".join(f"{clock(ms)} --> {clock(ms + 500)}\nPASS\n\n" for ms in positions_ms)
captions = list(webvtt.from_string(text))
late_ms = [ms - 1000 * caption.start_in_seconds for ms, caption in zip(positions_ms, captions, strict=True)]
mean_ms = sum(late_ms[1:]) / len(late_ms[1:])
print("webvtt-py", version("webvtt-py"))
print(f"a caption from {captions[0].start} on: expected 7.96 s; observed {captions[0].start_in_seconds!r}")
print(f"25 captions, one for each picture of a second: expected to be exact; observed {mean_ms:.0f} ms early on average")
exact = [caption.start_time.milliseconds == ms % 1000 for ms, caption in zip(positions_ms, captions, strict=True)]
as_recorded = captions[0].start_in_seconds == 7 and mean_ms == 480 and all(exact)
print("observed: the milliseconds are dropped" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

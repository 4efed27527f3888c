#!/usr/bin/env bash
# pysubs2 1.8.1: a WebVTT caption takes in the identifier and the comments before the next one.
#
# In WebVTT a cue may have a line of any text before its times, its identifier, and comments (NOTE) may lie between cues;
# < and & are written &lt; and &amp;. Guess: the texts of captions are those on screen. They end in the identifier and
# the comment that precede the next caption, since only identifiers of digits are taken away, and &amp; stays as it is.
# Where captions are the classes of events, all but the last class are names that nobody wrote. webvtt-py reads the
# same text rightly.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pysubs2==1.8.1 webvtt-py==0.6.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import html
import sys
from importlib.metadata import version

import pysubs2
import webvtt

TEXT = """WEBVTT

first pass
05:07.480 --> 05:08.000
PASS

NOTE seen twice

the goal
06:07.480 --> 06:09.000
SHOT &amp; GOAL
"""
NUMBERED = TEXT.replace("first pass", "1").replace("NOTE seen twice\n\nthe goal", "2")
EXPECTED = ["PASS", "SHOT & GOAL"]


def by_pysubs2(text):
    return [event.plaintext for event in pysubs2.SSAFile.from_string(text, format_="vtt")]


print("pysubs2", version("pysubs2"), "webvtt-py", version("webvtt-py"))
others = [html.unescape(caption.text) for caption in webvtt.from_string(TEXT)]
named, numbered = by_pysubs2(TEXT), by_pysubs2(NUMBERED)
print(f"expected {EXPECTED}; webvtt-py {others}")
print(f"observed with names: {named}; with numbers: {numbered}")
as_recorded = (
    others == EXPECTED
    and named == ["PASS\n\nNOTE seen twice\n\nthe goal", "SHOT &amp; GOAL"]
    and numbered == ["PASS", "SHOT &amp; GOAL"]
)
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

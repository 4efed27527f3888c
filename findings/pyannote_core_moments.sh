#!/usr/bin/env bash
# pyannote.core 6.1.0: a label of a moment is not stored in an Annotation or a Timeline, without a message.
#
# Guess: Annotation holds what is assigned to it, or refuses it. A segment that ends when it begins counts as empty, and
# an empty segment is not stored: after `annotation[Segment(5, 5)] = "PASS"` the annotation has no PASS, and len() is 0.
# Nothing is raised or logged. Segment(5, 5) itself is made without complaint. A microsecond of length is enough.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pyannote.core==6.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
import warnings
from importlib.metadata import version

from pyannote.core import Annotation, Segment, Timeline

print("pyannote.core", version("pyannote.core"))
warnings.simplefilter("error")
moment, stretch, short = Segment(5, 5), Segment(9, 10), Segment(12, 12.00001)
annotation = Annotation()
for segment, label in ((moment, "PASS"), (stretch, "SHOT"), (short, "GOAL")):
    annotation[segment] = label
labels, length = sorted(annotation.labels()), len(Timeline([moment, stretch, short]))
print(f"labels of the annotation: expected ['GOAL', 'PASS', 'SHOT'], observed {labels}")
print(f"segments of the timeline: expected 3, observed {length}")
as_recorded = labels == ["GOAL", "SHOT"] and length == 2
print("observed: the moment is not stored" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

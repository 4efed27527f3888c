#!/usr/bin/env bash
# FFmpeg's fps filter (through PyAV 18.1.0): at 2 frames a second each picture is a quarter of a second late.
#
# The filter moves each time stamp to the nearest output tick and emits the last picture of each tick. From 25 to
# 2 frames a second, the picture stamped 1.0 s is the one shown at 1.24 s, and the first picture of the file is
# never returned. Halving 50 to 25 is exact, so a test at half rate does not show it. With round=up, the last
# picture of an interval is the one on the tick: the stamps are right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from fractions import Fraction

import av
import numpy as np


def sample(rate, options, count=101):
    """Returns (time stamp in s, number of the source picture) for each picture that the filter emits."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=16, height=16, format="gray", time_base=Fraction(1, rate))
    fps, sink = graph.add("fps", options), graph.add("buffersink")
    source.link_to(fps)
    fps.link_to(sink)
    graph.configure()
    emitted = []
    for number in [*range(count), None]:
        picture = None
        if number is not None:
            picture = av.VideoFrame.from_ndarray(np.full((16, 16), number, np.uint8), format="gray")
            picture.pts, picture.time_base = number, Fraction(1, rate)
        source.push(picture)
        while True:
            try:
                out = sink.pull()
            except (av.BlockingIOError, av.EOFError):
                break
            emitted.append((float(out.pts * out.time_base), int(out.to_ndarray()[0, 0])))
    return emitted


def lateness(rate, options):
    pairs = sample(rate, options)
    late = [round(number / rate - stamp, 3) for stamp, number in pairs]
    print(f"{rate} -> {options}: (stamp, source picture) {pairs[:4]}, late by {min(late)} to {max(late)} s")
    return min(late), max(late)


print("PyAV", av.__version__, "libavfilter", av.library_versions["libavfilter"])
print("expected: each emitted picture is the one shown at its stamp, at most one source picture (0.04 s) away")
half = lateness(50, "25")
fifth = lateness(25, "5")
two = lateness(25, "2")
one = lateness(25, "1")
up = lateness(25, "2:round=up")
as_recorded = half == (0, 0) and fifth == (0.08, 0.08) and two == (0.22, 0.24) and one == (0.48, 0.48)
as_recorded = as_recorded and up == (-0.02, 0)
print("observed: late by almost half an output step" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

#!/usr/bin/env bash
# pysubs2 1.8.1: half of the times in the middle of a frame become the frame after it.
#
# Guess: at 25 frames a second the times 20, 60, 100 and 140 ms, each in the middle of a frame, are frames 0 to 3, or all
# of them one later. ms_to_frames() rounds to the nearest frame as round() does, a half to the even number: they are
# frames 0, 2, 2 and 4. So two events one frame apart are in one frame or two frames apart, nearly half of all
# frames are never returned, and a file in MicroDVD's format, whose times are frames, has the same errors.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pysubs2==1.8.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from pysubs2 import SSAEvent, SSAFile
from pysubs2.time import ms_to_frames

RATE, FRAMES = 25, 1000

print("pysubs2", version("pysubs2"))
middles_ms = [20 + 40 * frame for frame in range(FRAMES)]
frames = [ms_to_frames(ms, RATE) for ms in middles_ms]
one_late = sum(observed == frame + 1 for frame, observed in enumerate(frames))
print(f"frames of {middles_ms[:6]} ms: expected {list(range(6))}, observed {frames[:6]}")
print(f"of {FRAMES} frames, {one_late} are the frame after; {len(set(frames))} different numbers are returned")
file = SSAFile()
file.events = [SSAEvent(start=ms, end=ms + 400, text="PASS") for ms in middles_ms[:4]]
lines = [line for line in file.to_string("microdvd", fps=RATE).splitlines() if "PASS" in line]
starts = [int(line[1 : line.index("}")]) for line in lines]
print(f"frames in a file of MicroDVD: expected [0, 1, 2, 3], observed {starts}")
as_recorded = frames[:4] == starts == [0, 2, 2, 4] and one_late == FRAMES // 2 and len(set(frames)) < 0.6 * FRAMES
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

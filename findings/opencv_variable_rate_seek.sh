#!/usr/bin/env bash
# OpenCV 5.0.0: a jump to a time lands on another time in a video of variable rate, by seconds.
#
# Guess: as `get(CAP_PROP_POS_MSEC)` is the exact time of each picture that is read, `set(CAP_PROP_POS_MSEC, t)` goes to
# the picture shown at t; and `set(CAP_PROP_POS_FRAMES, n)` to the picture that is the n-th when read in order. Here a
# camera gives 25 pictures a second, and 5 for four seconds, as phones do in poor light. Times and numbers become each
# other by the average rate, and the picture at that time on a clock of constant rate is searched: asked for 3 s, OpenCV
# returns the picture at 5.28 s, without a sign. At a constant rate all are exact, so a test with such a file hides it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0 opencv-python-headless==5.0.0.93
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from fractions import Fraction

import av
import cv2
import numpy as np

TICK = Fraction(1, 25)
VARIABLE = [*range(25), *range(25, 125, 5), *range(125, 175)]  # times in 1/25 s: 25 a second, 5 a second, 25 a second
CONSTANT = list(range(175))
STRIPES = 8


def write(path, times):
    """The number of each picture is drawn as eight stripes, black or white."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12"})
        stream.width, stream.height, stream.pix_fmt = 16 * STRIPES, 64, "yuv420p"
        stream.codec_context.time_base = TICK
        for number, time in enumerate(times):
            bits = [255 * (number >> bit & 1) for bit in range(STRIPES)]
            pixels = np.tile(np.repeat(np.array(bits, np.uint8), 16)[None, :, None], (64, 1, 3))
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = time, TICK
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def read(capture):
    """Number drawn into the next picture."""
    there, pixels = capture.read()
    assert there
    return sum(1 << bit for bit in range(STRIPES) if pixels[32, 16 * bit + 8, 1] > 127)


def in_order(path, times):
    """Whether every picture is returned in order and with its exact time."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    got = [(read(capture), round(capture.get(cv2.CAP_PROP_POS_MSEC))) for _ in times]
    return got == [(number, 40 * time) for number, time in enumerate(times)]


def jump(path, what, value):
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    capture.set(what, value)
    return read(capture)


def shown_at(times, seconds):
    return max(number for number, time in enumerate(times) if time * TICK <= seconds)


print("OpenCV", cv2.__version__)
observed = {}
for path, times in (("constant.mp4", CONSTANT), ("variable.mp4", VARIABLE)):
    write(path, times)
    print(f"{path}: all pictures and their times right when read in order: {in_order(path, times)}")
    by_time = [(shown_at(times, second), jump(path, cv2.CAP_PROP_POS_MSEC, 1000 * second)) for second in range(1, 7)]
    by_number = [(number, jump(path, cv2.CAP_PROP_POS_FRAMES, number)) for number in range(len(times))]
    off_s = [float((times[got] - times[asked]) * TICK) for asked, got in by_time]
    wrong = sum(asked != got for asked, got in by_number)
    print(f"  jumps to 1, 2, ... 6 s: expected pictures {[asked for asked, _ in by_time]}")
    print(f"  observed {[got for _, got in by_time]}, {off_s} s away")
    print(f"  jumps to each number: expected 0 wrong pictures; observed {wrong} of {len(times)}")
    observed[path] = in_order(path, times), off_s, wrong
constant, variable = observed["constant.mp4"], observed["variable.mp4"]
as_recorded = constant == (True, [0.0] * 6, 0) and variable[0] and max(variable[1]) >= 2 and variable[2] > 50
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

#!/usr/bin/env bash
# PyAV 18.1.0: a backward seek in an MPEG transport stream lands on the key picture after the target.
#
# Container.seek() is documented to go back to a key picture at or before the time asked for, and in MP4 it does.
# In a transport stream the same call gives the next group, so "seek, then decode up to the target" never meets
# the target, and past the last key picture nothing is left to decode. Asking for a time two groups earlier and
# decoding forward is reliable. decord 0.6.0 loses the first group of such a file (one with B pictures): its index
# 0 is the first picture of the second group.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0 decord==0.6.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys

import av
import decord
import numpy as np

PICTURES, GROUP = 120, 20


def draw(number):  # the number as seven black or white bars
    bars = [235 if number >> bit & 1 else 16 for bit in range(7)]
    return np.repeat(np.array(bars, np.uint8), 16)[None, :, None].repeat(64, 0).repeat(3, 2)


def read(picture):
    return sum(int(picture[32, 16 * bit + 8, 1] > 125) << bit for bit in range(7))


def examine(path):
    with av.open(path, "w") as file:
        options = {"g": str(GROUP), "x264-params": "scenecut=0:bframes=2"}
        stream = file.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 112, 64, "yuv420p"
        for number in range(PICTURES):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(draw(number), format="rgb24")))
        file.mux(stream.encode(None))
    with av.open(path) as file:
        shown = list(file.decode(video=0))
        assert [read(p.to_ndarray(format="rgb24")) for p in shown] == list(range(PICTURES))
    two_groups = int(2 * GROUP / 25 / shown[0].time_base)
    after = nothing = 0
    for picture in shown:
        with av.open(path) as file:
            stream = file.streams.video[0]
            file.seek(picture.pts, stream=stream, backward=True)
            first = next(file.decode(stream), None)
            nothing += first is None
            after += first is not None and first.pts > picture.pts
        with av.open(path) as file:  # the remedy
            stream = file.streams.video[0]
            file.seek(picture.pts - two_groups, stream=stream, backward=True)
            assert next(file.decode(stream)).pts <= picture.pts
    zero = read(decord.VideoReader(path, num_threads=1)[0].asnumpy())
    print(f"{path}: of {PICTURES} seeks, expected 0 to land after the target and 0 to find nothing to decode;")
    print(f"  observed {after} and {nothing}; expected decord's reader[0] to be picture 0, observed {zero}")
    return after, nothing, zero


decord.logging.set_level(decord.logging.QUIET)
print("PyAV", av.__version__, "libavformat", av.library_versions["libavformat"], "decord", decord.__version__)
mp4, ts = examine("match.mp4"), examine("match.ts")
as_recorded = mp4 == (0, 0, 0) and ts[0] + ts[1] == PICTURES and ts[1] >= GROUP and ts[2] == GROUP
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

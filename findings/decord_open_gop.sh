#!/usr/bin/env bash
# decord 0.6.0: random access into H.264 with open groups of pictures returns another picture.
#
# In an open group, B pictures shown before the I picture are stored after it. decord takes the position of the I
# picture in storage order (19) for its index, although it is shown as picture 20. After a jump there, the first
# three indices of the group return other pictures: one late in MP4, a whole group early in Matroska. Reading in
# order is right, and so are closed groups with as many B pictures.
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


def write(path, open_gop):
    with av.open(path, "w") as file:
        options = {"g": str(GROUP), "x264-params": f"open-gop={open_gop}:scenecut=0:bframes=3"}
        stream = file.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 112, 64, "yuv420p"
        for number in range(PICTURES):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(draw(number), format="rgb24")))
        file.mux(stream.encode(None))


def wrong(path):
    with av.open(path) as file:  # the file itself is valid: every picture, in order
        assert [read(p.to_ndarray(format="rgb24")) for p in file.decode(video=0)] == list(range(PICTURES))
    in_order = decord.VideoReader(path, num_threads=1)
    assert [read(in_order[i].asnumpy()) for i in range(PICTURES)] == list(range(PICTURES))
    # A new reader for each index: the first access is a jump.
    got = {i: read(decord.VideoReader(path, num_threads=1)[i].asnumpy()) for i in range(PICTURES)}
    return {i: number for i, number in got.items() if number != i}


decord.logging.set_level(decord.logging.QUIET)  # the jumps print many warnings of the decoder
print("decord", decord.__version__)
found = {}
for name, open_gop in (("closed.mkv", 0), ("open.mkv", 1), ("open.mp4", 1)):
    write(name, open_gop)
    found[name] = wrong(name)
    print(f"{name}: expected reader[i] is picture i; observed {len(found[name])} wrong, index: picture {found[name]}")
early = [i - number for i, number in found["open.mkv"].items()]
late = [number - i for i, number in found["open.mp4"].items()]
as_recorded = not found["closed.mkv"] and early and set(early) == {GROUP - 1} and late and set(late) == {1}
print("observed: a group early in Matroska, one picture late in MP4" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

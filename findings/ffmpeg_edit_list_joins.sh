#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg's MP4 demuxer): where an edit list has several entries, each entry begins early or late.
#
# By ISO/IEC 14496-12, section 8.6.6, an edit begins where the durations of the edits before it end. FFmpeg counts the
# time of an edit from its picture that is stored first. With B pictures that is not the one displayed first, so the
# edit begins up to some pictures early or late, and two edits may overlap. Without B pictures it is exact. An empty edit
# between two others, which shows nothing, is filled with the first pictures of the file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import struct
import sys

import av
import numpy as np

PICTURES, RATE = 150, 25


def draw(number):  # the number as eight black or white bars
    bars = [235 if number >> bit & 1 else 16 for bit in range(8)]
    return np.repeat(np.array(bars, np.uint8), 16)[None, :, None].repeat(64, 0).repeat(3, 2)


def read(picture):
    return sum(int(picture[32, 16 * bit + 8, 1] > 125) << bit for bit in range(8))


def write(path, b_pictures):
    with av.open(path, "w") as file:
        options = {"g": "25", "x264-params": f"scenecut=0:b-adapt=0:bframes={b_pictures}"}
        stream = file.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for number in range(PICTURES):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(draw(number), format="rgb24")))
        file.mux(stream.encode(None))


def with_edits(source, target, edits, first):
    """Replace the edit list; ``edits`` in pictures, None for nothing; ``first`` is the first picture's time."""
    data = open(source, "rb").read()
    assert data.find(b"moov") > data.find(b"mdat")  # so no offset of a picture changes
    movie_scale, track_scale = (
        struct.unpack_from(">I", data, data.find(name) + 16)[0] for name in (b"mvhd", b"mdhd")
    )
    rows = b"".join(
        struct.pack(
            ">Iii",
            (end - start) * movie_scale // RATE,
            -1 if is_empty else (start + first) * track_scale // RATE,
            0x10000,
        )
        for start, end, is_empty in edits
    )
    table = struct.pack(">I4sII", 16 + len(rows), b"elst", 0, len(edits)) + rows
    box = struct.pack(">I4s", 8 + len(table), b"edts") + table
    start = data.find(b"edts") - 4
    (old,) = struct.unpack_from(">I", data, start)
    changed = bytearray(data[:start] + box + data[start + old :])
    for name in (b"moov", b"trak"):
        at = data.find(name) - 4
        struct.pack_into(">I", changed, at, struct.unpack_from(">I", data, at)[0] + len(box) - old)
    open(target, "wb").write(changed)


def shown(path):
    with av.open(path) as file:
        return [
            (round(picture.pts * picture.time_base * RATE), read(picture.to_ndarray(format="rgb24")))
            for picture in file.decode(video=0)
        ]


print("PyAV", av.__version__, "libavformat", av.library_versions["libavformat"])
CASES = {"forward": [(10, 40, False), (90, 135, False)], "backward": [(90, 135, False), (10, 40, False)]}
observed = {}
for b_pictures in (0, 2):
    write("plain.mp4", b_pictures)
    for name, edits in CASES.items():
        with_edits("plain.mp4", "edited.mp4", edits, b_pictures)
        pictures = shown("edited.mp4")
        assert [number for _, number in pictures] == [n for start, end, _ in edits for n in range(start, end)]
        expected, second = edits[0][1] - edits[0][0], edits[1][0]
        observed[b_pictures, name] = dict((n, at) for at, n in pictures)[second] - expected
        print(
            f"{b_pictures} B pictures, edits {edits[0][:2]} and {edits[1][:2]}: expected picture {second} at {expected}, "
            f"observed {observed[b_pictures, name]:+d}"
        )
with_edits("plain.mp4", "edited.mp4", [(10, 40, False), (0, 10, True), (90, 135, False)], 2)
filled = [number for at, number in shown("edited.mp4") if 30 <= at < 40]
print(f"an empty edit of 10 pictures: expected no picture, observed {filled}")
as_recorded = (
    observed == {(0, "forward"): 0, (0, "backward"): 0, (2, "forward"): 2, (2, "backward"): -2} and filled[:3] == [0, 1, 2]
)
print("observed: edits begin two pictures late and early" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

#!/usr/bin/env bash
# FFmpeg's AVI demuxer in PyAV 18.1.0: a picture of H.264 before dropped ones is late by their number.
#
# AVI has no times: chunk n is shown at n / rate, and capture programs write an empty chunk for a picture they dropped.
# Guess: without B pictures each picture has the time of its chunk. In MPEG-4 and Motion JPEG it has. In H.264 each has
# the pts of the next chunk that holds a picture, which is one more for all but the picture before dropped ones: after
# three it comes three later, so what it shows seems to have happened that much later, and the picture before it is held
# for too long. The dts is that of the chunk.
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

PICTURES, RATE, DROPPED = 40, 25, (10, 11, 12)


def draw(number):  # the number as seven black or white bars
    bars = [235 if number >> bit & 1 else 16 for bit in range(7)]
    return np.repeat(np.array(bars, np.uint8), 16)[None, :, None].repeat(64, 0).repeat(3, 2)


def read(picture):
    return sum(int(picture[32, 16 * bit + 8, 1] > 125) << bit for bit in range(7))


def capture(path, codec, pixels):
    with av.open(path, "w") as file:
        stream = file.add_stream(codec, rate=RATE, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 112, 64, pixels
        for number in range(PICTURES):
            picture = av.VideoFrame.from_ndarray(draw(number), "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            if number not in DROPPED:
                file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path


def chunks(path):
    """Sizes of the chunks of the video: 4 bytes of name, 4 of length, an even number of bytes."""
    data, sizes = open(path, "rb").read(), []
    at = data.index(b"movi") + 4
    while data[at : at + 4] == b"00dc":
        sizes.append(int.from_bytes(data[at + 4 : at + 8], "little"))
        at += 8 + sizes[-1] + sizes[-1] % 2
    return sizes


def examine(path):
    sizes = chunks(path)
    assert len(sizes) == PICTURES and [at for at, size in enumerate(sizes) if size == 0] == list(DROPPED)
    with av.open(path) as file:
        pictures = [(read(p.to_ndarray(format="rgb24")), p.pts, p.dts) for p in file.decode(video=0)]
    assert [number for number, _, _ in pictures] == [n for n in range(PICTURES) if n not in DROPPED]
    _, first_pts, first_dts = pictures[0]
    late = [(number, pts - first_pts) for number, pts, _ in pictures if pts - first_pts != number]
    assert all(dts - first_dts == number for number, _, dts in pictures)
    print(f"{path}: pictures {list(DROPPED)} dropped; expected every other at its number,")
    print(f"  observed otherwise (picture, its pts from that of the first one on): {late}")
    return late


print("PyAV", av.__version__, "libavformat", av.library_versions["libavformat"])
h264 = examine(capture("h264.avi", "libx264", "yuv420p"))
others = [examine(capture("mpeg4.avi", "mpeg4", "yuv420p")), examine(capture("mjpeg.avi", "mjpeg", "yuvj420p"))]
as_recorded = h264 == [(9, 12)] and others == [[], []]
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

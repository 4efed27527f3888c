#!/usr/bin/env bash
# FFmpeg's MPEG program stream demuxer in PyAV 18.1.0: a picture of a .vob has another time after a seek than in order.
#
# Guess: a program stream that stamps every picture gives each the time of its stamp, wherever reading begins, and a
# backward seek goes to a key picture at or before the time that is asked for. All seeks go to one after it, and at some
# of them the first picture, decoded without a fault, has the stamp of the next reference picture: with two B pictures
# it is three pictures late. Reading begins within a packet that holds the end of the picture before, which takes the
# stamp of that packet. The times of pictures that are read in order are those of the stamps.
#
# With one exception, in a stream at a low bit rate that stamps few of its pictures: a stamp belongs to the first picture
# that begins in its packet, and a picture begins with its sequence header. Where the end of a packet parts the sequence
# header of a key picture from the picture, that key picture takes the stamp of the B picture after it, and all
# pictures up to the next stamp are two early.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import re
import sys
from collections import Counter

import av
import numpy as np

STEP = 3600  # 1 / 25 s in units of 1 / 90,000 s


def draw(number, height, moving):  # the number as ten black or white bars, above a still or a moving pattern
    picture = np.full((height, 320), 60, np.uint8)
    if moving:
        picture = np.random.default_rng(number).integers(110, 130, (height, 80), np.uint8).repeat(4, 1)
    picture[:48] = np.array([235 if number >> bit & 1 else 16 for bit in range(10)], np.uint8).repeat(32)
    return picture


def read(picture):
    return sum(int(picture.to_ndarray(format="gray")[24, 32 * bit + 16] > 125) << bit for bit in range(10))


def write(path, pictures, height, moving):
    with av.open(path, "w", format="vob") as file:
        stream = file.add_stream("mpeg2video", rate=25, options={"g": "12", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 320, height, "yuv420p", 5_000_000
        stream.codec_context.thread_count = 1
        for number in range(pictures):
            frame = av.VideoFrame.from_ndarray(draw(number, height, moving), format="gray").reformat(format="yuv420p")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def stamped(path):
    """Number and stamp of each stamped picture: the first whose sequence, group or picture header is in the packet."""
    data, at, elementary, stamps = open(path, "rb").read(), 0, b"", []
    while at < len(data):
        if data[at + 3] == 0xBA:  # pack header
            at += 14 + (data[at + 13] & 7)
            continue
        end = at + 6 + int.from_bytes(data[at + 4 : at + 6])
        if data[at + 3] == 0xE0:  # video
            if data[at + 7] & 0x80:
                a, b, c, d, e = data[at + 9 : at + 14]
                stamps.append((len(elementary), (a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1))
            elementary += data[at + 9 + data[at + 8] : end]
        at = end
    begins, start, group, count = [], None, 0, 0
    for header in re.finditer(rb"\x00\x00\x01([\x00\xb3\xb8])", elementary):
        start = header.start() if start is None else start
        if header[1] == b"\xb8":
            group = count
        elif header[1] == b"\x00":
            begins.append((start, group + (int.from_bytes(elementary[header.end() : header.end() + 2]) >> 6)))
            start, count = None, count + 1
    return [(next(number for begin, number in begins if begin >= at), stamp) for at, stamp in stamps]


def in_order(path, pictures):
    """Time of the first picture, and how many pictures late each is when all are read in order."""
    with av.open(path) as file:
        shown = {read(picture): picture.pts for picture in file.decode(video=0)}
    assert sorted(shown) == list(range(pictures))
    assert all(stamp == shown[0] + STEP * number for number, stamp in stamped(path)), "the file is not valid"
    return shown[0], Counter((time - shown[0]) / STEP - number for number, time in shown.items())


print("PyAV", av.__version__, "libavformat", av.library_versions["libavformat"])
write("match.vob", 400, 240, moving=True)
assert len(stamped("match.vob")) == 400
first, late = in_order("match.vob", 400)
seeks, after, late_after = 0, 0, Counter()
for number in range(0, 380):
    with av.open("match.vob") as file:
        stream = file.streams.video[0]
        file.seek(first + STEP * number, stream=stream, backward=True)
        picture = next(file.decode(stream))
        after += read(picture) > number
        late_after[(picture.pts - first) / STEP - read(picture)] += 1
print(f"400 pictures with a stamp each, read in order: pictures late, expected {{0.0: 400}}, observed {dict(late)}")
print(f"380 seeks: expected 0 to land after the target, observed {after}")
print(f"  the picture there is late by, expected {{0.0: 380}}, observed {dict(late_after)} pictures")
write("still.vob", 400, 128, moving=False)
_, late_still = in_order("still.vob", 400)
print(f"400 pictures with {len(stamped('still.vob'))} stamps, in order: expected {{0.0: 400}}, observed {dict(late_still)}")
as_recorded = late == {0.0: 400} and after == 380 and late_after.keys() == {0.0, 3.0} and late_still.keys() == {0.0, -2.0}
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

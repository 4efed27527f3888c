#!/usr/bin/env bash
# decord 0.6.0: two-pass VP8 gets a wrong length and wrong pictures, because hidden pictures are counted.
#
# libvpx in two passes stores alternate reference pictures in packets of their own: they are decoded but never
# shown. decord's length is the number of packets, and a jump into a later group returns an earlier picture.
# Indices past the last picture return one too, without an error. The same settings in VP9 are read correctly: VP9
# stores a hidden picture in the packet of a visible one.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0 decord==0.6.0 imageio-ffmpeg==0.8.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import subprocess
import sys

import av
import decord
import imageio_ffmpeg
import numpy as np

PICTURES = 150
ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()


def draw(number):  # the number as eight black or white bars
    bars = [235 if number >> bit & 1 else 16 for bit in range(8)]
    return np.repeat(np.array(bars, np.uint8), 16)[None].repeat(64, 0)


def read(picture):
    return sum(int(picture[32, 16 * bit + 8, 1] > 125) << bit for bit in range(8))


def examine(codec):
    path = f"{codec}.webm"
    common = [ffmpeg, "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "128x64", "-r", "25", "-i", "-"]
    common += ["-pix_fmt", "yuv420p", "-c:v", codec, "-b:v", "200k", "-g", "60", "-auto-alt-ref", "1"]
    common += ["-lag-in-frames", "25", "-cpu-used", "2", "-passlogfile", codec]
    raw = b"".join(draw(number).tobytes() for number in range(PICTURES))
    subprocess.run([*common, "-pass", "1", "-f", "null", "-"], input=raw, check=True)
    subprocess.run([*common, "-pass", "2", path], input=raw, check=True)
    with av.open(path) as file:
        assert [read(p.to_ndarray(format="rgb24")) for p in file.decode(video=0)] == list(range(PICTURES))
    length = len(decord.VideoReader(path, num_threads=1))
    got = {i: read(decord.VideoReader(path, num_threads=1)[i].asnumpy()) for i in range(0, length, 5)}
    wrong = {i: number for i, number in got.items() if number != i}
    print(f"{codec}: expected {PICTURES} pictures and reader[i] to be picture i; observed length {length},", end=" ")
    print(f"wrong at {len(wrong)} of {len(got)} indices (index: picture) {wrong}")
    return length, wrong


print("decord", decord.__version__, "ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
vp8_length, vp8_wrong = examine("libvpx")
vp9_length, vp9_wrong = examine("libvpx-vp9")
as_recorded = vp8_length > PICTURES and any(i < PICTURES and n < i for i, n in vp8_wrong.items())
as_recorded = as_recorded and vp9_length == PICTURES and not vp9_wrong
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

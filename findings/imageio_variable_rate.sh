#!/usr/bin/env bash
# imageio 2.38.1 (plugin ffmpeg, imageio-ffmpeg 0.8.1): a video of variable rate is read as other pictures than it holds.
#
# Phones and screen recorders write videos of variable rate: here 100 pictures, 50 of 33 ms and 50 of 66 ms. Guess: a
# loop over the reader gives each picture once, count_frames() of them, in MP4 as in Matroska. It gives pictures at a
# constant rate that the container declares: repeated ones, and in Matroska others are left out. So the n-th is neither
# picture n nor the one at n / fps, where fps is what get_meta_data() states, and count_frames() counts something else.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0 imageio==2.38.1 imageio-ffmpeg==0.8.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import bisect
import sys
from fractions import Fraction

import av
import imageio
import imageio.v2
import numpy as np

STARTS_MS = [33 * n if n < 50 else 33 * 50 + 66 * (n - 50) for n in range(100)]


def draw(number):  # the number as eight black or white bars
    bars = [235 if number >> bit & 1 else 16 for bit in range(8)]
    return np.repeat(np.array(bars, np.uint8), 16)[None, :, None].repeat(64, 0).repeat(3, 2)


def read(picture):
    return sum(int(np.asarray(picture)[32, 16 * bit + 8, 1] > 125) << bit for bit in range(8))


def write(path):
    with av.open(path, "w") as file:
        video = file.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 128, 64, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        for number, start_ms in enumerate(STARTS_MS):
            picture = av.VideoFrame.from_ndarray(draw(number), "rgb24")
            picture.pts, picture.time_base = start_ms, Fraction(1, 1000)
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
    with av.open(path) as file:
        shown = [(read(p.to_ndarray(format="rgb24")), round(1000 * p.time)) for p in file.decode(video=0)]
    assert shown == list(enumerate(STARTS_MS)), "the file holds each picture once, at its time"
    return path


def examine(path):
    with imageio.v2.get_reader(path, "ffmpeg") as reader:
        counted, fps = reader.count_frames(), reader.get_meta_data()["fps"]
        numbers = [read(picture) for picture in reader]
    missing = sorted(set(range(100)) - set(numbers))
    at_fps = [bisect.bisect_right(STARTS_MS, 1000 * n / fps) - 1 for n in range(len(numbers))]
    wrong = sum(number != expected for number, expected in zip(numbers, at_fps))
    print(f"{path}: count_frames() {counted}, fps {fps}; expected 100 pictures, 0 to 99; observed {len(numbers)}")
    print(f"  {len(missing)} are left out, picture 60 is number {numbers.index(60)}, {wrong} are not those of n / fps")
    return counted, len(numbers), len(missing)


print("imageio", imageio.__version__, "PyAV", av.__version__)
mp4, mkv = examine(write("match.mp4")), examine(write("match.mkv"))
sys.exit(0 if mp4 == (100, 150, 0) and mkv[:2] == (100, 123) and mkv[2] > 0 else 1)
PY

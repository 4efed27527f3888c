#!/usr/bin/env bash
# imageio 2.38.1 (plugins pyav and ffmpeg): in a video whose first picture is late, index i is not picture i.
#
# Many recordings begin with sound: here the first of 100 pictures is shown at 2 s. Guess: imread(path, index=i) and
# get_data(i) give picture i, counted from 0 as imiter() gives them and as they do where the first picture is at 0 s.
# Both go to time i / rate of the file's clock instead. So indices 0 to 50 are all the first picture, i is picture
# i - 50 from then on, and the last 50 pictures have no index below the number of pictures. No warning is given.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0 imageio==2.38.1 imageio-ffmpeg==0.8.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from fractions import Fraction

import av
import imageio
import imageio.v2
import imageio.v3
import numpy as np

PICTURES, RATE = 100, 25
ASKED = (0, 10, 49, 50, 60, 99)


def draw(number):  # the number as seven black or white bars
    bars = [235 if number >> bit & 1 else 16 for bit in range(7)]
    return np.repeat(np.array(bars, np.uint8), 16)[None, :, None].repeat(64, 0).repeat(3, 2)


def read(picture):
    return sum(int(picture[32, 16 * bit + 8, 1] > 125) << bit for bit in range(7))


def write(path, first_s):
    with av.open(path, "w") as file:
        video = file.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 112, 64, "yuv420p"
        sound = file.add_stream("aac", rate=48000, layout="mono")
        for number in range(PICTURES):
            picture = av.VideoFrame.from_ndarray(draw(number), "rgb24")
            picture.pts, picture.time_base = number + first_s * RATE, Fraction(1, RATE)
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
        for start in range(0, 48000 * (PICTURES // RATE + first_s), 1024):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            silence.sample_rate, silence.pts, silence.time_base = 48000, start, Fraction(1, 48000)
            file.mux(sound.encode(silence))
        file.mux(sound.encode(None))
    return path


def examine(path):
    with av.open(path) as file:
        shown = [(read(p.to_ndarray(format="rgb24")), p.time) for p in file.decode(video=0)]
    assert [number for number, _ in shown] == list(range(PICTURES))
    assert [read(picture) for picture in imageio.v3.imiter(path, plugin="pyav")] == list(range(PICTURES))
    by_pyav = [read(imageio.v3.imread(path, index=i, plugin="pyav")) for i in ASKED]
    with imageio.v2.get_reader(path, "ffmpeg") as reader:
        assert reader.count_frames() == PICTURES
        by_ffmpeg = [read(np.asarray(reader.get_data(i))) for i in ASKED]
    print(f"{path}: first picture at {shown[0][1]:.2f} s; asked for {list(ASKED)}")
    print(f"  plugin pyav gives {by_pyav}, plugin ffmpeg {by_ffmpeg}")
    return by_pyav, by_ffmpeg


print("imageio", imageio.__version__, "PyAV", av.__version__)
at_once, late = examine(write("at_once.mp4", 0)), examine(write("late.mp4", 2))
as_recorded = at_once == (list(ASKED),) * 2 and late == ([0, 0, 0, 0, 10, 49],) * 2
print("observed: indices count from the start of the clock" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

#!/usr/bin/env bash
# PyAV 18.1.0 and OpenCV 5.0.0: a mirrored MP4 comes out upside down.
#
# Front cameras and editors mirror a video by the display matrix in its header. Guess: OpenCV, which turns pictures by
# that matrix, shows it as a player does, and so does PyAV's picture with its `rotation` applied. Both know the rotation
# alone: of a matrix that changes left for right they make a turn by 180 degrees, of one that changes top for bottom
# nothing, and of one that does either with a quarter turn the turn alone. The picture here is dark but for its upper
# left quarter; FFmpeg's own program says where a player shows that. The matrix itself can be read from the side data of
# the picture in PyAV: a mirrored one has a negative determinant.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0 opencv-python-headless==5.0.0.93 imageio-ffmpeg==0.8.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import subprocess
import sys

import av
import cv2
import imageio_ffmpeg
import numpy as np

HEIGHT, WIDTH = 96, 160
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
QUARTERS = ("upper left", "upper right", "lower left", "lower right")


def bright_quarter(picture):
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    means = [picture[y : y + height, x : x + width].mean() for y in (0, height) for x in (0, width)]
    return QUARTERS[int(np.argmax(means))]


def ffmpeg(*arguments):
    return subprocess.run([FFMPEG, "-y", "-v", "error", *arguments], check=True, capture_output=True).stdout


picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
picture[: HEIGHT // 2, : WIDTH // 2] = 255
with av.open("plain.mp4", "w") as file:
    stream = file.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    for _ in range(5):
        file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
    file.mux(stream.encode(None))

print("PyAV", av.__version__, "OpenCV", cv2.__version__, "FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
seen = {}
for name, flags in {
    "turned by 90 degrees": ["-display_rotation", "90"],
    "left for right": ["-display_hflip"],
    "top for bottom": ["-display_vflip"],
    "turned and mirrored": ["-display_rotation", "90", "-display_hflip"],
}.items():
    ffmpeg(*flags, "-i", "plain.mp4", "-c", "copy", "shown.mp4")
    player = cv2.imdecode(np.frombuffer(ffmpeg("-i", "shown.mp4", "-frames:v", "1", "-c:v", "bmp", "-f", "image2pipe", "-"), np.uint8), 1)
    ok, by_opencv = cv2.VideoCapture("shown.mp4").read()
    with av.open("shown.mp4") as file:
        decoded = next(file.decode(video=0))
        by_pyav = np.rot90(decoded.to_ndarray(format="rgb24"), round(decoded.rotation / 90))
    assert ok and player.shape == by_opencv.shape == by_pyav.shape
    seen[name] = [bright_quarter(shown) for shown in (player, by_opencv, by_pyav)]
    print(f"{name}: a player shows the bright quarter {seen[name][0]}; OpenCV {seen[name][1]}; "
          f"PyAV, turned by its rotation of {decoded.rotation}: {seen[name][2]}")
as_recorded = (
    seen["turned by 90 degrees"] == ["lower left"] * 3
    and seen["left for right"] == ["upper right", "lower right", "lower right"]
    and seen["top for bottom"] == ["lower left", "upper left", "upper left"]
    and seen["turned and mirrored"] == ["lower right", "lower left", "lower left"]
)
print("observed: mirrored videos are shown otherwise" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

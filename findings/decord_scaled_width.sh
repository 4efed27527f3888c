#!/usr/bin/env bash
# decord 0.6.0: scaled pictures of eleven widths, such as 48 and 72, cannot be read; all other widths can.
#
# Rows of a scaled picture are padded to a multiple of 32 pixels. decord divides the bytes of a padded row by the width
# to get the number of channels, and removes the padding only where the division leaves a remainder. At width 48 a row
# takes 64 * 3 = 192 bytes, 4 times 48, so the picture is taken for one of four channels, and its copy fails. Width 72
# (96 * 3 = 4 * 72) is the largest of these.
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

decord.logging.set_level(decord.logging.FATAL)
with av.open("plain.mp4", "w") as file:
    stream = file.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
    for number in range(12):
        picture = av.VideoFrame.from_ndarray(np.full((96, 128), 60 + 10 * number, np.uint8), "yuv420p")
        picture.pts = number
        file.mux(stream.encode(picture))
    file.mux(stream.encode(None))

failed, message = [], ""
for width in range(1, 640):
    try:
        shape = decord.VideoReader("plain.mp4", width=width, height=40, num_threads=1).get_batch([0, 3]).shape
        assert tuple(shape) == (2, 40, width, 3), shape
    except decord.DECORDError as error:
        failed.append(width)
        if width == 48:
            message = next(line for line in str(error).splitlines() if "from_size" in line).strip()
by_rule = [w for w in range(1, 640) if w % 32 and -(-w // 32) * 32 * 3 % w == 0]
print("decord", decord.__version__)
print("expected: a file of 128x64 can be read at any width")
print(f"observed: fails at {failed}")
print(f"by the rule of padded rows: {by_rule}")
print(f"at width 48: {message}")
as_recorded = failed == by_rule == [1, 2, 3, 4, 6, 8, 12, 16, 24, 48, 72]
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

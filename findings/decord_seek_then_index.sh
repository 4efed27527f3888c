#!/usr/bin/env bash
# decord 0.6.0: after seek(), which may land inexactly, reader[i] returns other pictures, though indexing is exact.
#
# seek() is documented as fast and inexact, seek_accurate() and indexing as exact. Guess: after a seek to 10 the reader
# may be at another picture, and reader[10] is picture 10. In fact the seek goes on to the key picture 20, the reader
# believes that it is at 10, and from there it counts: reader[10] is picture 20 and reader[15] picture 25, without an
# error, and so are get_batch() and seek_accurate(). An index beyond the next key picture is right, since it jumps again.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0 decord==0.6.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from fractions import Fraction

import av
import decord
import numpy as np

PICTURES, GROUP = 100, 20


def draw(number):  # the number as eight black or white bars
    bars = [235 if number >> bit & 1 else 16 for bit in range(8)]
    return np.repeat(np.array(bars, np.uint8), 16)[None].repeat(64, 0)


def number_in(picture):
    return sum(int(picture[32, 16 * bit + 8, 1] > 125) << bit for bit in range(8))


with av.open("numbers.mp4", "w") as file:
    # Closed groups without B pictures: nothing is shown in another order than it is stored.
    stream = file.add_stream("libx264", rate=25, options={"g": str(GROUP), "bf": "0", "sc_threshold": "0"})
    stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
    for number in range(PICTURES):
        picture = av.VideoFrame.from_ndarray(draw(number), format="gray8").reformat(format="yuv420p")
        picture.pts, picture.time_base = number, Fraction(1, 25)
        file.mux(stream.encode(picture))
    file.mux(stream.encode())


def reader_after_seek(target):
    reader = decord.VideoReader("numbers.mp4", num_threads=1)
    if target is not None:
        reader.seek(target)
    return reader


def read(target, index):
    """The picture at an index by each of the three exact ways, after a seek to the target."""
    accurate = reader_after_seek(target)
    accurate.seek_accurate(index)
    return (
        number_in(reader_after_seek(target)[index].asnumpy()),
        number_in(reader_after_seek(target).get_batch([index]).asnumpy()[0]),
        number_in(accurate.next().asnumpy()),
    )


print("decord", decord.__version__)
observed = {}
for target in (None, 10, 45):
    for index in (10, 15, 45, 50, 90):
        observed[target, index] = read(target, index)
        before = "without a seek" if target is None else f"after seek({target})"
        print(f"{before}: expected picture {index}, observed {observed[target, index]} by [i], get_batch, seek_accurate")
recorded = {(None, index): index for index in (10, 15, 45, 50, 90)}
recorded |= {(10, 10): 20, (10, 15): 25, (10, 45): 45, (10, 50): 50, (10, 90): 90}
recorded |= {(45, 45): 60, (45, 50): 65, (45, 90): 90}
as_recorded = all(observed[key] == (number,) * 3 for key, number in recorded.items())
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

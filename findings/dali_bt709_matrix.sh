#!/usr/bin/env bash
# DALI 2.4.0, CPU backend: a stream that declares BT.709 is converted with BT.601, though its declared range is followed.
#
# Guess: decoders.video follows what the stream says of its colours, as PyAV does, or nothing of it. It follows the range
# (limited or full) but not the matrix: the same codes give the same RGB whether the file says BT.709, as all HD
# television does, or BT.601. Grass green is 17 levels off, enough for a network trained on pictures of another reader
# to answer differently.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0 nvidia-dali-cuda130==2.4.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from fractions import Fraction

import av
import numpy as np
import nvidia.dali as dali
from av.video.reformatter import ColorRange, Colorspace

GREEN_YUV = (110, 90, 90)  # a pitch in limited range
KR_KB = {"BT.601": (0.299, 0.114), "BT.709": (0.2126, 0.0722)}


def by_standard(matrix, full):
    """The equations of ITU-R BT.601 and BT.709: 8-bit Y, Cb, Cr to R, G, B."""
    kr, kb = KR_KB[matrix]
    y = GREEN_YUV[0] if full else (GREEN_YUV[0] - 16) * 255 / 219
    cb, cr = ((code - 128) * (1 if full else 255 / 224) for code in GREEN_YUV[1:])
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return np.array([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue])


def write(path, matrix, full):
    space = {"BT.601": Colorspace.ITU601, "BT.709": Colorspace.ITU709}[matrix]
    colour_range = ColorRange.JPEG if full else ColorRange.MPEG
    with av.open(path, "w") as file:
        stream = file.add_stream("libvpx-vp9", rate=25, options={"lossless": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, colour_range
        for number in range(5):
            picture = av.VideoFrame(64, 64, "yuv420p")
            for plane, code in zip(picture.planes, GREEN_YUV):
                plane.update(bytes([code]) * plane.buffer_size)
            picture.colorspace, picture.color_range = space, colour_range
            picture.pts, picture.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(picture))
        file.mux(stream.encode())


@dali.pipeline_def(batch_size=1, num_threads=1, device_id=None)
def decoding(path):
    encoded = dali.fn.external_source(lambda: [np.fromfile(path, np.uint8)], batch=True)
    return dali.fn.decoders.video(encoded, device="cpu")


def pixel_dali(path):
    pipeline = decoding(path)
    pipeline.build()
    return np.asarray(pipeline.run()[0][0])[0, 32, 32].astype(int)


def pixel_pyav(path):
    with av.open(path) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24")[32, 32].astype(int)


print("dali", dali.__version__, "av", av.__version__)
nearest = {}
for matrix in KR_KB:
    for full in (False, True):
        path = f"{matrix}-{full}.mp4"
        write(path, matrix, full)
        for reader, pixel in (("PyAV", pixel_pyav(path)), ("DALI", pixel_dali(path))):
            found = min(
                ((m, f) for m in KR_KB for f in (False, True)), key=lambda mf: np.abs(by_standard(*mf) - pixel).max()
            )
            assert np.abs(by_standard(*found) - pixel).max() < 3, (reader, pixel)
            nearest[reader, matrix, full] = found
            expected = by_standard(matrix, full).round().astype(int)
            print(f"{matrix}, full range {full}: expected RGB {expected}, observed from {reader} {pixel}: {found[0]}")
as_recorded = all(
    found == ((matrix, full) if reader == "PyAV" else ("BT.601", full))
    for (reader, matrix, full), found in nearest.items()
)
print("observed: DALI follows the range, not the matrix" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

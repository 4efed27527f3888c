#!/usr/bin/env bash
# PyAV 18.1.0: setting the encoder's colour space to BT.709 tags the file, but RGB is still converted with BT.601.
#
# Stream.encode() converts an RGB frame to the stream's pixel format. It does not look at
# codec_context.colorspace, which only goes into the file. A reader that follows the tag then inverts another
# matrix: grass green loses 13 levels. An explicit reformat() with dst_colorspace before encode() makes the pixels
# agree with the tag.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys

import av
import numpy as np
from av.video.reformatter import Colorspace

GRASS = (60, 140, 50)


def round_trip(tag, convert_first=False):
    """Encodes a plain RGB picture without loss and returns the largest change of a channel after decoding."""
    with av.open("grass.mp4", "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        if tag:
            stream.codec_context.colorspace = Colorspace.ITU709.value
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), GRASS, np.uint8), format="rgb24")
        if convert_first:
            picture = picture.reformat(format="yuv444p", dst_colorspace=Colorspace.ITU709)
        file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    with av.open("grass.mp4") as file:
        picture = next(file.decode(video=0))
        colour = picture.to_ndarray(format="rgb24")[32, 32].astype(int)
    change = int(np.abs(colour - GRASS).max())
    print(f"BT.709 tag {tag}, converted before encode() {convert_first}: tag {int(picture.colorspace)},", end=" ")
    print(f"{GRASS} -> {tuple(map(int, colour))}, change {change}")
    return change


print("PyAV", av.__version__)
print("expected: the same colour within 2 levels in each case")
untagged, tagged, explicit = round_trip(False), round_trip(True), round_trip(True, convert_first=True)
as_recorded = untagged <= 2 and tagged >= 10 and explicit <= 2
print("observed: only the tag changes, not the conversion" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

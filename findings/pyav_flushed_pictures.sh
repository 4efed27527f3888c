#!/usr/bin/env bash
# PyAV 18.1.0: pictures that CodecContext.decode(None) returns have no time base, and their time is not a number.
#
# Guess: a picture knows its time however it left the decoder. In fact decode(packet) copies the packet's time base to
# its pictures, and decode(None), which ends a stream and releases what B-frames hold back, has no packet to copy from.
# pts is there, time_base is None, and time is nan: `time >= start` is False without a word, so the last pictures of
# a file are lost to anyone who compares times. Packet.decode() on the empty packet that demux() ends with has both.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import math
import sys

import av
import numpy as np

with av.open("grey.mp4", "w") as file:
    stream = file.add_stream("libx264", rate=25, options={"bf": "2"})
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    for number in range(20):
        levels = np.full((64, 64, 3), 10 * number, np.uint8)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(levels, format="rgb24")))
    file.mux(stream.encode(None))

with av.open("grey.mp4") as file:
    stream = file.streams.video[0]
    decoder = stream.codec_context
    by_packet = [picture for packet in file.demux(stream) if packet.size for picture in decoder.decode(packet)]
    flushed = decoder.decode(None)
with av.open("grey.mp4") as file:
    by_empty_packet = [picture for packet in file.demux(file.streams.video[0]) for picture in packet.decode()]

print("PyAV", av.__version__)
print("expected: 20 pictures with a time each, by either way to decode")
for name, pictures in (("decode(packet)", by_packet), ("decode(None)", flushed), ("Packet.decode()", by_empty_packet)):
    last = pictures[-1]
    print(f"{name}: {len(pictures)} pictures; the last one: pts {last.pts}, base {last.time_base}, time {last.time}")
as_recorded = (
    len(flushed) > 0
    and len(by_packet) + len(flushed) == len(by_empty_packet) == 20
    and all(not math.isnan(picture.time) for picture in by_packet + by_empty_packet)
    and all(picture.pts is not None and picture.time_base is None and math.isnan(picture.time) for picture in flushed)
)
print("observed: flushed pictures have pts only" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

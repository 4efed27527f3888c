#!/usr/bin/env bash
# FFmpeg's MP4 muxer and demuxer in PyAV 18.1.0: the first chapter of a file begins at 0, wherever it was set.
#
# Guess: chapters at 12.48 s and 20.2 s, each half a second long, are read from MP4 as they are from Matroska. In MP4 the
# first begins at 0 and lasts until the second, so the first event of a match that is marked by chapters is seconds or
# minutes early; each other one has its start, and lasts until the next. The muxer writes the chapters twice: in a list
# (chpl), where the first is at 12.48 s, and in a track of texts, whose samples follow each other from 0 on. The demuxer
# believes the track. A chapter from 0 to the first event keeps all starts.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from fractions import Fraction

import av
import numpy as np

STARTS_MS, LENGTH_MS = [12_480, 20_200, 25_000], 500


def chapters_of(path, starts_ms):
    """Start and end in milliseconds of the chapters of a file of 30 s, as they are read back."""
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        times = [(start, start + LENGTH_MS) for start in starts_ms]
        file.set_chapters(
            [
                {"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": "PASS"}}
                for number, (start, end) in enumerate(times, 1)
            ]
        )
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        for number in range(30 * 25):
            picture.pts, picture.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    with av.open(path) as file:
        return [
            tuple(round(1000 * chapter[end] * chapter["time_base"]) for end in ("start", "end"))
            for chapter in file.chapters()
        ]


print("PyAV", av.__version__, "libavformat", av.library_versions["libavformat"])
mkv, mp4 = chapters_of("match.mkv", STARTS_MS), chapters_of("match.mp4", STARTS_MS)
data = open("match.mp4", "rb").read()
listed = data.index(b"chpl") + 13  # after version, flags, four reserved bytes and the number of chapters
first_ms = int.from_bytes(data[listed : listed + 8]) / 10_000
from_zero = [start for start, _ in chapters_of("zero.mp4", [0, *STARTS_MS])]
expected = [(start, start + LENGTH_MS) for start in STARTS_MS]
print(f"Matroska: expected {expected}, observed {mkv}")
print(f"MP4: expected {expected}, observed {mp4}; its list of chapters has the first at {first_ms:.0f} ms")
print(f"MP4 with a chapter at 0: starts {from_zero}")
as_recorded = (
    mkv == expected
    and [start for start, _ in mp4] == [0, *STARTS_MS[1:]]
    and [end for _, end in mp4[:-1]] == STARTS_MS[1:]
    and first_ms == STARTS_MS[0]
    and from_zero == [0, *STARTS_MS]
)
print("observed: the first chapter of MP4 begins at 0" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

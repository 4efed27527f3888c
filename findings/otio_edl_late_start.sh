#!/usr/bin/env bash
# OpenTimelineIO 0.18.1 with otio-cmx3600-adapter 1.0.0: an EDL whose first cut is not at 00:00:00:00 loses its end.
#
# Guess: a track that is read from an EDL of two cuts, recorded at 5 to 7 s and at 9 to 11 s, shows both, 4 s apart. Its
# clips and the gap between them are as expected, but the range that the track shows of them begins 5 s before the first
# clip and is as long as they are: it ends in the middle, so half of the first cut is shown and nothing of the second,
# and asking for the second one's shown range raises ValueError. With the same cuts recorded from 00:00:00:00 on,
# everything is shown. A first cut at 01:00:00:00, as most programs write it, is as bad: nothing is left.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet opentimelineio==0.18.1 otio-cmx3600-adapter==1.0.0
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import opentimelineio as otio

FPS = 25


def timecode(seconds):
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:00"


def shown(first_record_s):
    """Frames of each of two cuts of 2 s that a timeline shows, the second 4 s after the first."""
    lines = ["TITLE: cuts", "FCM: NON-DROP FRAME", ""]
    for number, (name, source_s, record_s) in enumerate((("PASS", 10, 0), ("DRIVE", 20, 4)), 1):
        record_s += first_record_s
        codes = (source_s, source_s + 2, record_s, record_s + 2)
        lines += [f"{number:03d}  AX       V     C        {' '.join(map(timecode, codes))}", f"* FROM CLIP NAME: {name}"]
    timeline = otio.adapters.read_from_string("\n".join(lines) + "\n", "cmx_3600", rate=FPS)
    (track,) = timeline.tracks
    frames = {}
    for clip in track.find_clips():
        assert clip.source_range.duration.value == 2 * FPS
        try:
            frames[clip.name] = int(clip.trimmed_range_in_parent().duration.value)
        except ValueError:
            frames[clip.name] = None
    print(f"first cut at {timecode(first_record_s)}: expected 50 and 50 frames; observed {frames}; the track shows",
          f"{track.source_range.duration.value:.0f} frames from {track.source_range.start_time.value:.0f} on"
          if track.source_range else "everything")
    return frames


print("opentimelineio", version("opentimelineio"), "otio-cmx3600-adapter", version("otio-cmx3600-adapter"))
all_of_both = {"PASS": 50, "DRIVE": 50}
as_recorded = shown(0) == all_of_both and shown(5) == {"PASS": 25, "DRIVE": None} and shown(3600) != all_of_both
print("observed: the end of a late track is cut off" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

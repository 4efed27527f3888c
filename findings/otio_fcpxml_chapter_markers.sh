#!/usr/bin/env bash
# OpenTimelineIO 0.18.1 with otio-fcpx-xml-adapter 1.0.0: chapter markers of FCPXML are left out.
#
# Guess: a clip that is read from FCPXML has its markers of both kinds that Final Cut Pro offers for a moment, <marker>
# and <chapter-marker>, which have the same attributes start, duration and value. Only the first kind is there; the
# second is left out without a message.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet opentimelineio==0.18.1 otio-fcpx-xml-adapter==1.0.0
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import opentimelineio as otio

FILE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE fcpxml>
<fcpxml version="1.8">
 <resources>
  <format id="r1" frameDuration="1/25s" width="1920" height="1080"/>
  <asset id="r2" name="derby" start="0s" duration="60s" hasVideo="1" format="r1" src="file:///derby.mp4"/>
 </resources>
 <library><event name="e"><project name="p"><sequence format="r1" duration="10s" tcStart="0s"><spine>
  <asset-clip name="derby" ref="r2" offset="0s" start="5s" duration="10s" format="r1">
   <marker start="7s" duration="1/25s" value="PASS"/>
   <chapter-marker start="8s" duration="1/25s" value="SHOT" posterOffset="0s"/>
   <marker start="9s" duration="1/25s" value="DRIVE"/>
  </asset-clip>
 </spine></sequence></project></event></library>
</fcpxml>
"""
collection = otio.adapters.read_from_string(FILE, "fcpx_xml")
clips = [clip for timeline in collection for clip in timeline.find_clips()]
names = [marker.name for clip in clips for marker in clip.markers]
print("opentimelineio", version("opentimelineio"), "otio-fcpx-xml-adapter", version("otio-fcpx-xml-adapter"))
print(f"expected the markers ['PASS', 'SHOT', 'DRIVE']; observed {names} of {len(clips)} clip")
as_recorded = len(clips) == 1 and names == ["PASS", "DRIVE"]
print("observed: the chapter marker is left out" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

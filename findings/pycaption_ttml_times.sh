#!/usr/bin/env bash
# pycaption 2.3.14: TTML captions are minutes late, or lost, where a document has valid times and parts of other kinds.
#
# Guess: DFXPReader, which reads frames, ticks, offsets and clocks of TTML, gives each caption the time at which players
# show it. The digits after the point of a clock are taken for a number of milliseconds unless there are three or fewer of
# them: 00:00:12.480000 is 492 s instead of 12.48 s. The begin of a div is ignored, to which its captions are relative. Of
# several divs in one language, such as one for each half, the last alone is read. The W3C's TTML allows all three;
# ttconv 1.2.3 reads them as it says.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pycaption==2.3.14 ttconv==1.2.3
"$work/venv/bin/python" - <<'PY'
import sys
import warnings
import xml.etree.ElementTree as ET
from importlib.metadata import version

import ttconv.imsc.reader
from pycaption import DFXPReader
from ttconv.isd import ISD

warnings.simplefilter("ignore")
BODIES = {
    "six digits": '<div><p begin="00:00:12.480000" end="00:00:13.480000">PASS</p></div>',
    "a div from 200 s on": '<div begin="200s" end="300s"><p begin="1s" end="2s">PASS</p></div>',
    "two divs": '<div><p begin="1s" end="2s">PASS</p></div><div><p begin="3s" end="4s">SHOT</p></div>',
}
EXPECTED = {"six digits": [12.48], "a div from 200 s on": [201.0], "two divs": [1.0, 3.0]}
OBSERVED = {"six digits": [492.0], "a div from 200 s on": [1.0], "two divs": [3.0]}


def document(body):
    return f'<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="en"><body>{body}</body></tt>'


def by_pycaption(body):
    captions = DFXPReader().read('<?xml version="1.0" encoding="UTF-8"?>' + document(body))
    return [caption.start / 1e6 for caption in captions.get_captions("en")]


def by_ttconv(body):
    model = ttconv.imsc.reader.to_model(ET.ElementTree(ET.fromstring(document(body))))
    return [float(at) for at, shown in ISD.generate_isd_sequence(model) if any(True for _ in shown.iter_regions())]


observed = {name: by_pycaption(body) for name, body in BODIES.items()}
print("pycaption", version("pycaption"), "and ttconv", version("ttconv"), "; starts in seconds")
for name, body in BODIES.items():
    print(f"{name}: expected {EXPECTED[name]}; observed {observed[name]}; by ttconv {by_ttconv(body)}")
sys.exit(0 if observed == OBSERVED else 1)
PY

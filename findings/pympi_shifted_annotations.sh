#!/usr/bin/env bash
# pympi-ling 1.71: shifting the annotations of an ELAN file moves shared time slots twice, and leaves some ends behind.
#
# Guess: after `shift_annotations(2000)` every annotation is 2 s later, with its length. Annotations that meet share a time
# slot in ELAN's format, and each of them moves it: where one possession ends and the next begins, both are 4 s later and
# their lengths change. A shift to the left past the start of the video cuts an annotation off at 0, as documented, but
# its end stays where it was: 1 s to 5 s, 2 s earlier, is 0 s to 5 s. Nothing is reported of the first; the list of
# squashed annotations names the second.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pympi-ling==1.71
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version
from pathlib import Path

from pympi.Elan import Eaf


def document(slots_ms, annotations):
    slots = "".join(f'<TIME_SLOT TIME_SLOT_ID="ts{n}" TIME_VALUE="{ms}"/>' for n, ms in enumerate(slots_ms, 1))
    tier = "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{n}" TIME_SLOT_REF1="ts{first}" TIME_SLOT_REF2="ts{last}">'
        f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
        for n, (first, last, value) in enumerate(annotations, 1)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-11-30T12:00:00+00:00" FORMAT="3.0" VERSION="3.0" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">'
        '<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>'
        f'<TIME_ORDER>{slots}</TIME_ORDER><TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="play">{tier}</TIER>'
        '<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>'
        "</ANNOTATION_DOCUMENT>"
    )


def shifted(name, text, shift_ms):
    Path(name).write_text(text)
    eaf = Eaf(name)
    eaf.shift_annotations(shift_ms)
    return [(start, end) for start, end, _ in eaf.get_annotation_data_for_tier("play")]


meeting = document([10_000, 12_000, 15_000], [(1, 2, "home"), (2, 3, "away")])
early = document([1_000, 5_000], [(1, 2, "home")])
observed = [shifted("meeting.eaf", meeting, 2_000), shifted("early.eaf", early, -2_000)]
print("pympi-ling", version("pympi-ling"))
print("10 to 12 s and 12 to 15 s, 2 s later; 1 to 5 s, 2 s earlier; in ms")
print("expected", [[(12_000, 14_000), (14_000, 17_000)], [(0, 3_000)]])
print("observed", observed)
sys.exit(0 if observed == [[(12_000, 16_000), (16_000, 17_000)], [(0, 5_000)]] else 1)
PY

#!/usr/bin/env bash
# pyarrow 26.0.1: a column of match clocks is hours and minutes, as long as no half lasts 24 minutes.
#
# Guess: `05:30` in a CSV is text, or five and a half minutes. pyarrow takes minutes:seconds for hours:minutes, so the
# first minutes of a match become times of day: 05:30 is 19,800 s, sixty times as late. One row from 24:00 on turns the whole
# column into text, so the type of a column depends on how long play was labelled: the files of two games of one dataset
# differ in it, and a reader of blocks, which takes the type from the first of them, fails later in the file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pyarrow==26.0.1
"$work/venv/bin/python" - <<'PY'
import io
import sys
from importlib.metadata import version

import pyarrow as pa
from pyarrow import csv


def table(clocks):
    return io.BytesIO(("time,label\n" + "".join(f"{clock},PASS\n" for clock in clocks)).encode())


def seconds(column):
    return column.cast(pa.int32()).to_pylist() if pa.types.is_time32(column.type) else column.to_pylist()


early, late = (csv.read_csv(table(clocks)).column("time") for clocks in (["00:07", "05:30"], ["05:30", "24:00"]))
whole_half = [f"{second // 60:02d}:{second % 60:02d}" for second in range(0, 2700, 3)]
try:
    csv.open_csv(table(whole_half), csv.ReadOptions(block_size=4096)).read_all()
    in_blocks = "read"
except pa.ArrowInvalid as error:
    in_blocks = str(error)
print("pyarrow", version("pyarrow"))
print("00:07 and 05:30: expected text, or 7 and 330 s; observed", early.type, seconds(early))
print("05:30 and 24:00: observed", late.type, seconds(late))
print("a half of 45 minutes in blocks: expected to be read; observed", in_blocks)
as_recorded = (str(early.type), seconds(early)) == ("time32[s]", [420, 19_800]) and pa.types.is_string(late.type)
sys.exit(0 if as_recorded and "24:0" in in_blocks else 1)
PY

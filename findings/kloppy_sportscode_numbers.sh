#!/usr/bin/env bash
# kloppy 3.19.1: SportsCode's texts that look like numbers come back as other texts, and some cannot be saved again.
#
# Guess: sportscode.load() and save() keep codes and labels, which are free text in the file. Everything that looks like
# a number becomes one on the way: ID 007 is 7, code 0010 is '10', shirt 07 is 7, zone 4.10 is 4.1. A label may lack a
# group, and then its text is the key: with the text 7 the key is a number, load() is content, and save() raises.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet kloppy==3.19.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import re
import sys
from importlib.metadata import version
from pathlib import Path

from kloppy import sportscode

INSTANCE = (
    "<instance><ID>007</ID><start>3.6</start><end>9.7</end><code>0010</code>"
    "<label><group>Shirt</group><text>07</text></label><label><group>Zone</group><text>4.10</text></label>"
    "<label><group>Foot</group><text>left</text></label></instance>"
)


def texts(xml):
    return re.findall(r"<(?:ID|code|text)>([^<]*)<", xml)


def saved_again(instance):
    given = f"<file><ALL_INSTANCES>{instance}</ALL_INSTANCES></file>"
    Path("given.xml").write_text(given)
    sportscode.save(sportscode.load("given.xml"), "saved.xml")
    return texts(given), texts(Path("saved.xml").read_text())


print("kloppy", version("kloppy"))
given, saved = saved_again(INSTANCE)
print(f"expected {given}; observed {saved}")
print("label without a group, text 7: expected to be saved again;", end=" ")
try:
    saved_again("<instance><ID>1</ID><start>1</start><end>2</end><code>PASS</code><label><text>7</text></label></instance>")
    error = None
except TypeError as raised:
    error = raised
print(f"observed {error!r}")
as_recorded = saved == ["7", "10", "7", "4.1", "left"] and error is not None
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

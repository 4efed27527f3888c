#!/usr/bin/env bash
# PyYAML 6.0.4: 5:30 is 330 seconds, but 0:30 and 05:30 stay text, and 0:30.5 is a number again.
#
# YAML 1.1 has integers in base 60, so an engineer who knows this writes clock times without quotes and expects
# seconds. An integer in base 60 must not start with a zero, but a float may. A list of times then mixes int,
# float and str: times of the first minute and times padded to two digits are text, later ones are numbers.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet PyYAML==6.0.4
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys

import yaml

TEXT = """
events:
  - {label: PASS, time: 0:30}
  - {label: PASS, time: 0:30.5}
  - {label: PASS, time: 05:30}
  - {label: PASS, time: 5:30}
  - {label: PASS, time: 45:00}
  - {label: PASS, time: 105:07}
"""
guess = [30, 30.5, 330, 330, 2700, 6307]
recorded = ["0:30", 30.5, "05:30", 330, 2700, 6307]
observed = [event["time"] for event in yaml.safe_load(TEXT)["events"]]
print("PyYAML", yaml.__version__)
print("expected", guess)
print("observed", observed)
sys.exit(0 if observed == recorded else 1)
PY

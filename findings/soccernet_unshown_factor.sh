#!/usr/bin/env bash
# SoccerNet 0.2.0: with other classes than SoccerNet-v2's, the average mAP of unshown events is not a share of 1.
#
# Guess: perfect predictions score 1. evaluate() takes a dictionary of classes, but multiplies the average over unshown
# events (not that of one tolerance alone) by 17/13: in SoccerNet-v2, four of 17 classes have none, and count as 0. With
# ball actions of which all have some, perfect predictions score 131 %; with two such classes of four, 65 %.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 tqdm==4.70.1
"$work/venv/bin/pip" install --quiet --no-deps SoccerNet==0.2.0
cd "$work"
TQDM_DISABLE=1 "$work/venv/bin/python" - <<'PY'
import json
import math
import sys
from importlib.metadata import version
from pathlib import Path

from SoccerNet.Evaluation.ActionSpotting import evaluate

GAME = "league/season/game"
UNSHOWN = [("PASS", 10), ("DRIVE", 20), ("PASS", 30), ("DRIVE", 40)]


def score(classes, metric):
    """Averages over all and over unshown events, for predictions at every label."""
    events = [{"gameTime": f"1 - 00:{s}", "label": label, "position": str(1000 * s)} for label, s in UNSHOWN]
    files = {
        "labels": {"annotations": [event | {"visibility": "not shown"} for event in events]},
        "predictions": {"predictions": [event | {"half": "1", "confidence": "0.9"} for event in events]},
    }
    for root, content in files.items():
        Path(root, GAME).mkdir(parents=True, exist_ok=True)
        Path(root, GAME, "events.json").write_text(json.dumps(content))
    result = evaluate(
        "labels", "predictions", split=None, dataset=None, version=2, framerate=25, metric=metric,
        label_files="events.json", prediction_file="events.json",
        EVENT_DICTIONARY={name: number for number, name in enumerate(classes)},
    )
    return float(result["a_mAP"]), float(result["a_mAP_unshown"])


print("SoccerNet", version("SoccerNet"))
two, four = ["PASS", "DRIVE"], ["PASS", "DRIVE", "SHOT", "CROSS"]
as_recorded = True
for classes, metric, recorded in ((two, "at1", (1, 1)), (two, "tight", (1, 17 / 13)), (four, "tight", (0.5, 0.5 * 17 / 13))):
    everything, unshown = score(classes, metric)
    print(f"{len(classes)} classes, two of them labelled, all unshown, metric {metric}:", end=" ")
    print(f"expected equal averages; observed {everything:.3f} over all events, {unshown:.3f} over unshown ones")
    as_recorded &= math.isclose(everything, recorded[0]) and math.isclose(unshown, recorded[1])
print("observed: 17/13 of the average" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

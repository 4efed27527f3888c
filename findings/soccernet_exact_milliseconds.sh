#!/usr/bin/env bash
# SoccerNet 0.1.62: a prediction on the exact time of a frame can be scored as the frame before.
#
# The evaluator turns milliseconds into a frame with int(framerate * (ms / 1000)). At 25 frames a second each
# frame time is a whole multiple of 40 ms, so nothing seems to be rounded, but ms / 1000 is inexact: 1160 ms is
# frame 28, not 29. A label and a prediction 12 frames apart (mAP@1 allows 12.5) are then 13 apart, and the label
# is missed. Writing the time of the middle of the frame (1180 ms) avoids it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 tqdm==4.70.1
"$work/venv/bin/pip" install --quiet --no-deps SoccerNet==0.1.62
cd "$work"
TQDM_DISABLE=1 "$work/venv/bin/python" - <<'PY'
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from SoccerNet.Evaluation.ActionSpotting import evaluate, predictions2vector

FPS, FRAMES = 25, 75_000  # the first 50 minutes
CLASSES = {"PASS": 0}


def event(frame):
    ms = frame * 1000 // FPS  # exact: 40 ms a frame
    clock = f"1 - {ms // 60_000:02d}:{ms // 1000 % 60:02d}"
    times = {"gameTime": clock, "position": str(ms), "half": "1"}
    return {**times, "label": "PASS", "confidence": "0.9", "visibility": "visible"}


def frames_read(frames):
    document = {"predictions": [event(frame) for frame in frames]}
    half, _ = predictions2vector(document, num_classes=1, version=2, framerate=FPS, EVENT_DICTIONARY=CLASSES)
    return np.flatnonzero(half[:, 0] >= 0)


def map_at_1(label, prediction):
    for root, key, frame in (("labels", "annotations", label), ("predictions", "predictions", prediction)):
        path = Path(root, "game", f"{key}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({key: [event(frame)]}))
    options = {"split": None, "dataset": None, "version": 2, "framerate": FPS, "EVENT_DICTIONARY": CLASSES}
    files = {"label_files": "annotations.json", "prediction_file": "predictions.json"}
    return float(evaluate("labels", "predictions", metric="at1", **options, **files)["a_mAP"])


print("SoccerNet", version("SoccerNet"))
low = 0
for first in (0, 1):  # every second frame at a time, so that two neighbours never meet
    asked = np.arange(first, FRAMES, 2)
    low += int((frames_read(asked) == asked - 1).sum())
print(f"expected: 0 of the first {FRAMES} frames read as another one; observed: {low} read as the frame before")
scores = {label: map_at_1(label, label + 12) for label in (28, 29, 30)}
print(f"label on a frame, prediction 12 frames later; expected mAP@1 of 1 for each; observed {scores}")
sys.exit(0 if low == 4586 and scores == {28: 1.0, 29: 0.0, 30: 1.0} else 1)
PY

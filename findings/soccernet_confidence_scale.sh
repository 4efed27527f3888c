#!/usr/bin/env bash
# SoccerNet 0.2.0: multiplying all confidences by a constant, which keeps their order, changes the mAP.
#
# Guess: average precision depends on the order of predictions only. This evaluator compares confidences with 200 fixed
# thresholds from 0 to 1, which are 0.005 apart, and does not look between them. Predictions with confidences below the
# second threshold, as a product of probabilities or a softmax over many classes gives them, all count at once: false
# positives at the bottom of the ranking are counted with the hits at its top. So do confidences above 1, such as logits.
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
HITS_S = range(10, 110, 10)
MISSES_S = range(15, 115, 10)


def clock(second):
    return f"1 - {second // 60:02d}:{second % 60:02d}"


def mean_average_precision(confidence_of_rank):
    """mAP@1 of ten hits, which rank before ten false positives."""
    predictions = [
        {
            "gameTime": clock(second),
            "label": "PASS",
            "position": str(1000 * second),
            "half": "1",
            "confidence": str(confidence_of_rank(rank)),
        }
        for rank, second in enumerate([*HITS_S, *MISSES_S])
    ]
    Path("predictions", GAME).mkdir(parents=True, exist_ok=True)
    Path("predictions", GAME, "results_spotting.json").write_text(json.dumps({"predictions": predictions}))
    result = evaluate(
        "labels", "predictions", split=None, dataset=None, version=2, framerate=25, metric="at1",
        label_files="Labels-ball.json", prediction_file="results_spotting.json", EVENT_DICTIONARY={"PASS": 0},
    )
    return float(result["a_mAP"])


Path("labels", GAME).mkdir(parents=True)
labels = [
    {"gameTime": clock(second), "label": "PASS", "position": str(1000 * second), "visibility": "visible"}
    for second in HITS_S
]
Path("labels", GAME, "Labels-ball.json").write_text(json.dumps({"annotations": labels}))
print("SoccerNet", version("SoccerNet"))
print("ten hits, each more confident than all ten false positives: expected mAP 1, whatever the scale")
observed = {
    name: mean_average_precision(confidence)
    for name, confidence in {
        "0.98 to 0.03": lambda rank: 0.98 - 0.05 * rank,
        "a two-hundredth of that": lambda rank: (0.98 - 0.05 * rank) / 200,
        "the first and 2 more": lambda rank: 2.98 - 0.05 * rank,
    }.items()
}
for name, value in observed.items():
    print(f"confidences {name}: observed {value:.3f}")
expected = dict(zip(observed, (1.0, 0.5, 0.5)))
as_recorded = all(math.isclose(observed[name], expected[name]) for name in observed)
print("observed: the scale decides" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

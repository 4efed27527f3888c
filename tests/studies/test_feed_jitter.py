"""The study of event feeds: what it makes wrong, what align sets right, and what it counts."""

import json
from pathlib import Path

import numpy as np
import pytest

from e2espot.cli.main import dispatch
from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Event
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.filenames import RESULTS_FILE
from e2espot.formats.soccernet import write_labels, write_predictions
from e2espot.studies.feed_jitter import ALIGNED, EXACT, JITTERED, moved, run_feed_study, table
from e2espot.studies.plans import FeedPlan

NAMES = {"train": ["a", "b"], "valid": ["c"], "test": ["d"]}


@pytest.fixture(scope="module")
def matches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Games of five minutes with random events; only their labels are read."""
    root = tmp_path_factory.mktemp("matches")
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c", "d"):
        (root / name).mkdir()
        (root / name / "224p.mp4").write_bytes(b"pictures")
        frames = sorted(rng.choice(7400, 90, replace=False).tolist())
        events = [Event(frame=frame, label=("PASS", "DRIVE")[k % 2], half=1) for k, frame in enumerate(frames)]
        write_labels(root / name / "Labels-ball.json", url_local=name, events=events, fps=DEFAULT_FPS)
    (root / "splits.json").write_text(json.dumps(NAMES))
    return root


class PerfectSpotter:
    """Predicts exact labels; a training is worth the share of its labels within 0.3 s of the truth."""

    def __init__(self, root: Path, out: Path) -> None:
        self.root, self.out, self.trained = root, out, dict[str, float]()

    def predict(self, run: str, split: str) -> Path:
        for name in NAMES[split]:
            events = [Event(frame=frame, label=label, half=1) for frame, label in positions(self.root, name)]
            file = self.out / run / name / RESULTS_FILE
            write_predictions(file, url_local=name, events=events, fps=DEFAULT_FPS)
        return self.out / run

    def align(self, predictions: Path, data: Path) -> None:
        dispatch(["align", str(predictions), "-l", str(data)])

    def train(self, run: str, data: Path) -> None:
        near = []
        for name in NAMES["train"]:
            truth = np.array([frame for frame, _ in positions(self.root, name)])
            near += [bool(np.abs(truth - frame).min() <= 7) for frame, _ in positions(data, name)]
        self.trained[run] = float(np.mean(near))

    def score(self, predictions: Path, run: str) -> dict[str, float]:
        return dict.fromkeys(("at1", "at2", "at3"), self.trained.get(run, 0.1))


def positions(root: Path, name: str) -> list[tuple[int, str]]:
    rows = json.loads((root / name / "Labels-ball.json").read_text())["annotations"]
    return [(int(row["position"]) // 40, row["label"]) for row in rows]


def test_aligning_wins_back_what_late_labels_lose(matches: Path, tmp_path: Path) -> None:
    plan = FeedPlan(out=tmp_path / "out", data=matches)
    results = run_feed_study(plan, PerfectSpotter(matches, tmp_path / "predictions"))
    at1 = {variant: scores["at1"] for variant, scores in results["scores"].items()}
    assert at1[EXACT] == 1
    assert at1[JITTERED] < 0.75
    assert at1[ALIGNED] > 0.85
    assert results["won_back"] == pytest.approx((at1[ALIGNED] - at1[JITTERED]) / (1 - at1[JITTERED]))
    assert json.loads((tmp_path / "out" / "jitter.json").read_text()) == results
    assert f"aligning wins back {100 * results['won_back']:.0f} % of the loss of mAP@1" in table(results)
    assert sorted(path.name for path in (tmp_path / "out" / "data" / "aligned" / "a").iterdir()) == [
        "224p.mp4",
        "Labels-ball.json",
        "Labels-feed.json",
    ]
    nothing = {"scores": dict.fromkeys((EXACT, JITTERED, ALIGNED), results["scores"][EXACT]), "won_back": None}
    assert table(nothing).endswith("train longer, or score more minutes")


def test_moved_labels_are_in_order_and_their_clock_agrees() -> None:
    rows = [{"gameTime": "1 - 00:01", "position": "1000", "label": "PASS", "x": 1}]
    rows.append({"gameTime": "1 - 00:02", "position": "2000", "label": "DRIVE", "x": 2})
    text = moved(json.dumps({"UrlLocal": "g", "annotations": rows}).encode(), [70_000, -5000])
    assert json.loads(text)["annotations"] == [
        {"gameTime": "1 - 00:00", "position": "0", "label": "DRIVE", "x": 2},
        {"gameTime": "1 - 01:11", "position": "71000", "label": "PASS", "x": 1},
    ]


@pytest.mark.parametrize("wrong", [{"late": float("nan")}, {"spread": -1}, {"matches": 0}, {"seed": -1}])
def test_values_out_of_range_are_refused(wrong: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))} is"):
        FeedPlan(out=tmp_path, **wrong).check()  # type: ignore[arg-type]

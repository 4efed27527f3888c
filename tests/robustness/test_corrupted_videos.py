"""A damaged video gives the frames that PyAV decodes or is refused in one line; nothing hangs or crashes."""

import json
import os
import random
import select
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.budget import LONG, print_figure, sized
from tests.support.corrupted_videos import damage, write_undamaged

AWKWARD = Path(__file__).parents[2].parent / "shared" / "clips" / "awkward"
LONGEST_S = 60
ROOT = Path(__file__).parents[2]

BROKEN = ", with allow_truncated"
"""Ends the verdict on a truncated file, which is refused without ``allow_truncated``."""
RIGHT = ("same", "same, training is warned", "refused")
RIGHT_IN_ORDER = "same in order only"
"""A decoder conceals damage with pixels of earlier pictures, so the result depends on where reading began.

Most decoders report it, and training skips these frames; some do not.
"""

pytestmark = pytest.mark.timeout(sized(600, 7200))


class DifferentialWorker:
    """The process of ``differential_worker.py``; started again when a file has killed or hung it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, path: Path, *, child: bool = False) -> dict[str, Any]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.differential_worker"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "E2ESPOT_INDEX_CACHE": ""},
            )
        process = self._process
        process.stdin.write(json.dumps({"path": str(path), "child": child}) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], LONGEST_S)[0]:
            self.close()
            return {"verdict": "wrong", "why": f"hangs for {LONGEST_S} s"}
        line = process.stdout.readline()
        if line:
            return dict(json.loads(line))
        code = process.wait()
        self._process = None
        return {"verdict": "wrong", "why": f"the interpreter died: {code}"}

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def summary(answers: dict[str, dict[str, Any]]) -> str:
    counts = Counter(answer["verdict"] for answer in answers.values())
    slowest = max(answer.get("spent_s", 0) for answer in answers.values())
    peak = max(answer.get("peak_mb", 0) for answer in answers.values())
    return f"{len(answers)} files: {dict(counts)}; slowest {slowest:.1f} s, largest process {peak} MB"


def check(answers: dict[str, dict[str, Any]]) -> None:
    print_figure(summary(answers))
    bad = {}
    for name, answer in answers.items():
        if not is_right(answer):
            print_figure(f"  {name}: {answer['verdict']}: {answer['why'][:230]}")
            if answer["verdict"].removesuffix(BROKEN) != RIGHT_IN_ORDER:
                bad[name] = answer
    in_order = sum(answer["verdict"].removesuffix(BROKEN) == RIGHT_IN_ORDER for answer in answers.values())
    assert not bad
    assert in_order <= max(3, 0.02 * len(answers))
    check_refusals(list(answers.values()))
    assert all(answer.get("peak_mb", 0) < 2048 for answer in answers.values())


def is_right(answer: dict[str, Any]) -> bool:
    return answer["verdict"].removesuffix(BROKEN) in RIGHT


def check_refusals(answers: list[dict[str, Any]]) -> None:
    """At most 5 per cent of the files that PyAV reads without an error are refused; print the counts."""
    refused = Counter(answer["pyav"] for answer in answers if answer["verdict"] == "refused")
    broken = Counter(answer["pyav"] for answer in answers if answer["verdict"].endswith(BROKEN))
    for title, counts in (("refused", refused), ("refused as truncated, read with allow_truncated", broken)):
        print_figure(f"  {title}: {sum(counts.values())} of {len(answers)}; by PyAV's result: {dict(counts)}")
    assert sum(refused.values()) - refused["error"] < 0.05 * len(answers)
    # PyAV reports no error for a truncated file; what counts is whether it holds all that its header declares.
    complete = sum(counts["clean"] + counts["odd times"] for counts in (refused, broken))
    assert complete < 0.05 * len(answers)


def test_undamaged_videos_equal_pyav(tmp_path: Path) -> None:
    worker = DifferentialWorker()
    answers = {name: worker.ask(path) for name, path in write_undamaged(tmp_path).items()}
    worker.close()
    assert {answer["verdict"] for answer in answers.values()} == {"same"}, answers


def test_damaged_videos_equal_pyav_or_are_refused(tmp_path: Path) -> None:
    undamaged = {name: path.read_bytes() for name, path in write_undamaged(tmp_path / "undamaged").items()}
    suffixes = {path.stem: path.suffix for path in (tmp_path / "undamaged").iterdir()}
    rng, worker, answers = random.Random(0), DifferentialWorker(), {}
    for number in range(sized(48, 1200)):
        name, other = list(undamaged)[number % len(undamaged)], rng.choice(list(undamaged))
        how, data = damage(undamaged[name], undamaged[other], rng)
        path = tmp_path / f"{number}_{name}_{how}{suffixes[name]}"
        path.write_bytes(data)
        answers[path.name] = worker.ask(path, child=number % 40 == 0)
        if is_right(answers[path.name]):
            path.unlink()
    worker.close()
    check(answers)


@pytest.mark.skipif(not (LONG and AWKWARD.is_dir()), reason="needs the awkward clips, and time")
def test_awkward_videos_equal_pyav_or_are_refused() -> None:
    worker = DifferentialWorker()
    answers = {path.name: worker.ask(path) for path in sorted(AWKWARD.iterdir()) if path.is_file()}
    worker.close()
    check(answers)

"""Damaged videos are shown as PyAV decodes them or refused in one line; nothing hangs, nothing crashes."""

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

from tests.support.budget import LONG, sized, tell
from tests.support.corrupted_videos import damage, write_sound

AWKWARD = Path(__file__).parents[2].parent / "shared" / "clips" / "awkward"
LONGEST_S = 60

BROKEN = ", with --allow_truncated"
"""Ends the verdict on a file that is refused without the flag, as breaking off."""
RIGHT = ("same", "same, training is warned", "refused")
RIGHT_IN_ORDER = "same in order only"
"""A decoder that meets damage makes up pixels from what it saw last: others where reading began elsewhere. Most tell of
it, and training leaves those out; some do not."""

pytestmark = pytest.mark.timeout(sized(600, 7200))


class Judge:
    """The process of ``judge.py``, started anew where a file has killed or hung it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, path: Path, *, child: bool = False) -> dict[str, Any]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("judge.py"))],
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


def summed_up(answers: dict[str, dict[str, Any]]) -> str:
    counts = Counter(answer["verdict"] for answer in answers.values())
    slowest = max(answer.get("spent_s", 0) for answer in answers.values())
    peak = max(answer.get("peak_mb", 0) for answer in answers.values())
    return f"{len(answers)} files: {dict(counts)}; slowest {slowest:.1f} s, largest process {peak} MB"


def check(answers: dict[str, dict[str, Any]]) -> None:
    tell(summed_up(answers))
    bad = {}
    for name, answer in answers.items():
        if not is_right(answer):
            tell(f"  {name}: {answer['verdict']}: {answer['why'][:230]}")
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
    """Count apart what is refused of the files that PyAV reads without an error, and keep it below 5 per cent."""
    refused = Counter(answer["pyav"] for answer in answers if answer["verdict"] == "refused")
    broken = Counter(answer["pyav"] for answer in answers if answer["verdict"].endswith(BROKEN))
    for words, counts in (("refused", refused), ("refused as broken off, taken with the flag", broken)):
        tell(f"  {words}: {sum(counts.values())} of {len(answers)}; what PyAV says of them: {dict(counts)}")
    assert sum(refused.values()) - refused["error"] < 0.05 * len(answers)
    # Of files that break off PyAV says nothing, either: what counts is whether all is there that the header promises.
    complete = sum(counts["clean"] + counts["odd times"] for counts in (refused, broken))
    assert complete < 0.05 * len(answers)


def test_sound_files(tmp_path: Path) -> None:
    judge = Judge()
    answers = {name: judge.ask(path) for name, path in write_sound(tmp_path).items()}
    judge.close()
    assert {answer["verdict"] for answer in answers.values()} == {"same"}, answers


def test_damaged_files(tmp_path: Path) -> None:
    sound = {name: path.read_bytes() for name, path in write_sound(tmp_path / "sound").items()}
    suffixes = {path.stem: path.suffix for path in (tmp_path / "sound").iterdir()}
    rng, judge, answers = random.Random(0), Judge(), {}
    for number in range(sized(48, 1200)):
        name, other = list(sound)[number % len(sound)], rng.choice(list(sound))
        how, data = damage(sound[name], sound[other], rng)
        path = tmp_path / f"{number}_{name}_{how}{suffixes[name]}"
        path.write_bytes(data)
        answers[path.name] = judge.ask(path, child=number % 40 == 0)
        if is_right(answers[path.name]):
            path.unlink()
    judge.close()
    check(answers)


@pytest.mark.skipif(not (LONG and AWKWARD.is_dir()), reason="needs the awkward clips, and time")
def test_awkward_files() -> None:
    judge = Judge()
    answers = {path.name: judge.ask(path) for path in sorted(AWKWARD.iterdir()) if path.is_file()}
    judge.close()
    check(answers)

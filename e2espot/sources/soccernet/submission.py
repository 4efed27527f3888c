"""Results as SoccerNet's servers take them: checked as they check them, and packed the same every time.

The servers have no validator: they score, and what their code trips over fails a submission with a
stack trace. What it skips in silence is counted here and said.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import Entry
from e2espot.core.label_sets import LABEL_SETS
from e2espot.files.atomic import write_atomically
from e2espot.files.bundle import Bundle
from e2espot.formats.soccernet import entries_for_scoring, entries_in
from e2espot.formats.splits import BALL_SPLITS
from e2espot.sources.soccernet.tasks import TASKS, Task, games_of

RESULTS = "results_spotting.json"
_TWO_HOURS_MS = 7_200_000


@dataclass(kw_only=True)
class Submission:
    """Results of one split, and what is to be said of them."""

    task: Task
    """The task they were checked for."""
    split: str
    """The split."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Name in the zip -> content."""
    counts: Counter[str] = field(default_factory=Counter)
    """Class -> number of predictions."""
    faults: list[str] = field(default_factory=list)
    """What the server would fail on; nothing may be packed while there are any."""
    notes: list[str] = field(default_factory=list)
    """What the server would pass over in silence."""


def check(path: Path, task_name: str | None = None, split: str | None = None) -> Submission:
    """Check a folder or zip of ``<league>/<season>/<game>/results_spotting.json``.

    Args:
        path: The folder or zip; the games may lie below a folder of their own.
        task_name: ball-2023, ball-2024, ball-2025 or v2; told from the games and the predictions without it.
        split: test or challenge; told from the games without it.

    Raises:
        ConfigurationError: nothing that can be read, or games that tell no single split.
    """
    bundle = Bundle(path)
    found = {name.removesuffix(f"/{RESULTS}"): name for name in bundle.names if name.endswith(f"/{RESULTS}")}
    if not found:
        raise ConfigurationError(f"{path}: no <league>/<season>/<game>/{RESULTS} in it")
    games = {"/".join(name.split("/")[-3:]): name for name in found}
    if len(games) < len(found):
        raise ConfigurationError(f"{path}: it holds games twice, in different folders; give one of the folders")
    rows = {game: _rows(bundle, found[name]) for game, name in games.items()}
    task = TASKS[task_name] if task_name is not None else _task_of(rows)
    split = split if split is not None else _split_of(path, task, set(games))
    submission = Submission(task=task, split=split)
    for game in games_of(task, split):
        if game not in games:
            submission.faults.append(f"missing: {game}/{RESULTS}")
        else:
            submission.files[f"{game}/{RESULTS}"] = bundle.data(found[games[game]])
            _check_game(submission, rows[game], f"{path}: {found[games[game]]}", game)
    extra = len(games) - len(submission.files)
    if extra:
        submission.notes.append(f"{extra} games are not of {task.name}'s {split} split and are left out")
    return submission


def _rows(bundle: Bundle, name: str) -> list[Any] | AnnotationError:
    try:
        return entries_in(bundle.text(name), "predictions", f"{bundle.path}: {name}")
    except AnnotationError as error:
        return error


def _task_of(rows: dict[str, list[Any] | AnnotationError]) -> Task:
    """The task that predictions look like: by games, then teams, then classes."""
    if not any(game in games for games in BALL_SPLITS.values() for game in rows):
        return TASKS["v2"]
    entries = [row for found in rows.values() if isinstance(found, list) for row in found if isinstance(row, dict)]
    if entries and all(row.get("team") in ("left", "right") for row in entries):
        return TASKS["ball-2025"]
    only_two = all(row.get("label") in LABEL_SETS["ball-2"].names for row in entries)
    return TASKS["ball-2023" if only_two else "ball-2024"]


def _split_of(path: Path, task: Task, games: set[str]) -> str:
    begun = [split for split in ("test", "challenge") if games & set(games_of(task, split))]
    if len(begun) == 1:
        return begun[0]
    where = "of both the test and the challenge split" if begun else "of neither the test nor the challenge split"
    raise ConfigurationError(f"{path}: it holds games {where} of {task.name}; say which with -s (and --task)")


def _check_game(submission: Submission, rows: list[Any] | AnnotationError, where: str, game: str) -> None:
    """Read one game as the server does; add what it trips over and what it passes over."""
    try:
        if isinstance(rows, AnnotationError):
            raise rows
        entries = entries_for_scoring(rows, where, labels=False)
        if submission.task.teams:
            _check_teams(submission.task, rows, where)
    except AnnotationError as error:
        submission.faults.append(str(error))
        return
    submission.counts.update(entry.label for entry in entries)
    if not entries:
        submission.notes.append(f"{game}: no predictions at all")
    submission.notes += [f"{game}: {note}" for note in _passed_over(submission.task, entries)]


def _check_teams(task: Task, rows: Sequence[Any], where: str) -> None:
    """The server of 2025 looks every class and team up and trips over what it does not find."""
    for number, row in enumerate(rows):
        if row.get("team") not in ("left", "right"):
            raise AnnotationError(
                f"{where}: predictions[{number}]: field 'team' is {row.get('team')!r}; expected 'left' or 'right'"
            )
        if row["label"] not in LABEL_SETS[task.label_set]:
            raise AnnotationError(
                f"{where}: predictions[{number}]: field 'label' is {row['label']!r}, no class of {task.label_set}"
            )


def _passed_over(task: Task, entries: Sequence[Entry]) -> list[str]:
    """What scores nothing without a word."""
    unknown = Counter(entry.label for entry in entries if entry.label not in LABEL_SETS[task.label_set])
    one_file = len(task.video_files) == 1
    counted = {
        "are of a half other than 1 and 2 and are ignored": [e for e in entries if e.half not in (1, 2)],
        "are of half 2, where no labels are: a game is one file, all of it half 1": [
            e for e in entries if one_file and e.half == 2
        ],
        "lie past two hours and all count as the last moment": [e for e in entries if e.position_ms >= _TWO_HOURS_MS],
        "lie before the start": [e for e in entries if e.position_ms < 0],
        "have a confidence below 0, or none, and are ignored": [e for e in entries if not e.value >= 0],
        "have a confidence above 1, which ranks them as 1": [e for e in entries if e.value > 1],
    }
    notes = [f"{count} predictions of class {label!r} are ignored" for label, count in unknown.most_common()]
    notes += [f"{len(some)} predictions {what}" for what, some in counted.items() if some]
    if entries and max(entry.value for entry in entries) < 1 / 199:
        notes.append("all confidences are below 1/199, which ranks them all alike: spread them over 0 to 1")
    return notes


def pack(submission: Submission, path: Path) -> None:
    """Write the zip, whole or not at all; the same results give the same bytes.

    Raises:
        ConfigurationError: the results have faults.
        E2ESpotError: the file cannot be written.
    """
    if submission.faults:
        raise ConfigurationError(f"the server would fail on this: {submission.faults[0]}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(submission.files.items()):
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(info, content)
    write_atomically(path, buffer.getvalue())

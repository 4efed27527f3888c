"""Submissions to SoccerNet's servers: checked as the servers' own code reads them, and packed reproducibly.

The servers have no validator. They score at once, and anything that crashes their code fails the
submission with a stack trace: those are ``errors`` here. What they silently ignore is reported as ``warnings``.
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
from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.wording import counted
from e2espot.files.atomic import write_atomically
from e2espot.files.bundle import Bundle
from e2espot.files.json_fields import decode_text
from e2espot.formats.filenames import RESULTS_FILE
from e2espot.formats.soccernet_json import parse_document, read_rows
from e2espot.formats.splits import BALL_SPLITS
from e2espot.sources.soccernet.tasks import TASKS, Task, games_of

_TWO_HOURS_MS = 7_200_000


@dataclass(kw_only=True)
class Submission:
    """Results of one split, and the outcome of checking them."""

    task: Task
    """The task they were checked for."""
    split: str
    """test or challenge."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Path in the zip -> content."""
    counts: Counter[str] = field(default_factory=Counter)
    """Class -> number of predictions."""
    errors: list[str] = field(default_factory=list)
    """What the server would fail on; nothing is packed while there are any."""
    warnings: list[str] = field(default_factory=list)
    """What the server would silently ignore."""


def check(path: Path, task_name: str | None = None, split: str | None = None) -> Submission:
    """Check a folder or zip of ``<league>/<season>/<game>/results_spotting.json``.

    Args:
        path: The folder or zip; the games may be below a folder of their own.
        task_name: ball-2023, ball-2024, ball-2025 or v2; inferred from the games and the predictions without it.
        split: test or challenge; inferred from the games without it.

    Raises:
        ConfigurationError: There is nothing that can be read, or the split cannot be inferred.
    """
    bundle = Bundle(path)
    result_files = [name for name in bundle.names if name.endswith(f"/{RESULTS_FILE}")]
    if not result_files:
        raise ConfigurationError(f"{path}: no <league>/<season>/<game>/{RESULTS_FILE} in it")
    # "my/results/league/season/game/results_spotting.json" -> "league/season/game"
    games = {"/".join(name.split("/")[:-1][-3:]): name for name in result_files}
    if len(games) < len(result_files):
        raise ConfigurationError(f"{path}: it holds games twice, in different folders; give one of the folders")
    rows = {game: _read_rows(bundle, name) for game, name in games.items()}
    task = TASKS[task_name] if task_name is not None else _infer_task(rows)
    split = split if split is not None else _infer_split(path, task, set(games))
    submission = Submission(task=task, split=split)
    for game in games_of(task, split):
        if game not in games:
            submission.errors.append(f"missing: {game}/{RESULTS_FILE}")
        else:
            submission.files[f"{game}/{RESULTS_FILE}"] = _as_plain_utf8(bundle.data(games[game]))
            _check_game(submission, rows[game], f"{path}: {games[game]}", game)
    num_others = len(games) - len(submission.files)
    if num_others:
        submission.warnings.append(f"left out {counted(num_others, 'game')} not of {task.name}'s {split} split")
    return submission


def _read_rows(bundle: Bundle, name: str) -> list[Any] | AnnotationError:
    try:
        return parse_document(bundle.data(name), "prediction", f"{bundle.path}: {name}")[1]
    except AnnotationError as error:
        return error


def _as_plain_utf8(data: bytes) -> bytes:
    """The file in UTF-8 without a byte order mark: the server decodes no other encoding and refuses the mark."""
    try:
        return decode_text(data, "").encode()
    except (AnnotationError, UnicodeEncodeError):  # reported as an error of the game
        return data


def _infer_task(rows: dict[str, list[Any] | AnnotationError]) -> Task:
    """The task that predictions look like: by their games, then by teams, then by classes."""
    if not any(game in games for games in BALL_SPLITS.values() for game in rows):
        return TASKS["v2"]
    entries = [row for game in rows.values() if isinstance(game, list) for row in game if isinstance(row, dict)]
    if entries and all(row.get("team") in ("left", "right") for row in entries):
        return TASKS["ball-2025"]
    only_two = all(row.get("label") in LABEL_SETS["ball-2"].names for row in entries)
    return TASKS["ball-2023" if only_two else "ball-2024"]


def _infer_split(path: Path, task: Task, games: set[str]) -> str:
    candidates = [split for split in ("test", "challenge") if games & set(games_of(task, split))]
    if len(candidates) == 1:
        return candidates[0]
    which = "both the test and the challenge split" if candidates else "neither the test nor the challenge split"
    raise ConfigurationError(
        f"{path}: it holds games of {which} of {task.name}; name the split, and the task if it is another one",
        option="split",
    )


def _check_game(submission: Submission, rows: list[Any] | AnnotationError, context: str, game: str) -> None:
    """Read one game as the server does; add its errors and warnings to the submission."""
    try:
        if isinstance(rows, AnnotationError):
            raise rows
        entries = read_rows(rows, context, kind="prediction", mode="official")
        if submission.task.teams:
            _check_teams(submission.task, rows, context)
    except AnnotationError as error:
        submission.errors.append(str(error))
        return
    submission.counts.update(entry.label for entry in entries)
    if not entries:
        submission.warnings.append(f"{game}: no predictions at all")
    submission.warnings += [f"{game}: {line}" for line in _ignored(submission.task, entries)]


def _check_teams(task: Task, rows: Sequence[Any], context: str) -> None:
    """The server of 2025 looks up every class and team and crashes on unknown ones."""
    for number, row in enumerate(rows):
        if row.get("team") not in ("left", "right"):
            raise AnnotationError(
                f"{context}: predictions[{number}]: field 'team' is {row.get('team')!r}; expected 'left' or 'right'"
            )
        if row["label"] not in LABEL_SETS[task.label_set]:
            raise AnnotationError(
                f"{context}: predictions[{number}]: field 'label' is {row['label']!r}, not a class of {task.label_set}"
            )


def _ignored(task: Task, events: Sequence[ScoredEvent]) -> list[str]:
    """What the server silently ignores or changes, one line for each kind."""
    unknown = Counter(event.label for event in events if event.label not in LABEL_SETS[task.label_set])
    one_file = len(task.video_files) == 1
    affected = {
        "of a half other than 1 and 2, ignored": [event for event in events if event.half not in (1, 2)],
        "of half 2, which has no labels: a game is one file, all of it half 1": [
            event for event in events if one_file and event.half == 2
        ],
        "later than two hours, which count as the last frame": [
            event for event in events if event.position_ms >= _TWO_HOURS_MS
        ],
        "before the start": [event for event in events if event.position_ms < 0],
        "with a confidence below 0, or none, ignored": [event for event in events if not event.value >= 0],
        "with a confidence above 1, which ranks as 1": [event for event in events if event.value > 1],
    }
    lines = [f"{counted(count, 'prediction')} of class {label!r}, ignored" for label, count in unknown.most_common()]
    lines += [f"{counted(len(which), 'prediction')} {problem}" for problem, which in affected.items() if which]
    # The metric ranks by 200 thresholds from 0 to 1; the lowest above 0 is 1/199.
    if events and max(event.value for event in events) < 1 / 199:
        lines.append("all confidences are below 1/199, which ranks them all alike: spread them over 0 to 1")
    return lines


def pack(submission: Submission, path: Path) -> None:
    """Write the zip, whole or not at all; the same results give the same bytes.

    Args:
        submission: Checked results without errors.
        path: The zip.

    Raises:
        ConfigurationError: The results have errors.
        E2ESpotError: The file cannot be written.
    """
    if submission.errors:
        raise ConfigurationError(f"the server would fail on this: {submission.errors[0]}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(submission.files.items()):
            # A fixed date, system (3 is Unix) and mode: everything that could differ between two machines.
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(info, content)
    write_atomically(path, buffer.getvalue())

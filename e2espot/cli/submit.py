"""Pack results for SoccerNet's servers: e2espot submit PREDICTIONS -o results.zip -s challenge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from e2espot.cli.parsing import parse
from e2espot.core.errors import ConfigurationError
from e2espot.core.wording import counted


@dataclass(frozen=True, kw_only=True)
class Submit:
    """Check results as SoccerNet's servers do, and pack them into a zip for upload.

    Example: e2espot submit out/ -o results.zip
    """

    predictions: tyro.conf.Positional[Path]
    """Folder or zip of <league>/<season>/<game>/results_spotting.json, as e2espot infer writes them."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The zip to write."""
    split: Annotated[Literal["test", "challenge"] | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split of the games; by default inferred from the predictions."""
    task: Literal["ball-2023", "ball-2024", "ball-2025", "v2"] | None = None
    """Task of the server; by default inferred from games, teams and classes."""


def main(arguments: list[str]) -> None:
    """Check the results, print what was found, and write the zip."""
    args = parse(Submit, arguments, "e2espot submit")
    from e2espot.sources.soccernet.submission import check, pack

    submission = check(args.predictions, args.task, args.split)
    print(f"checked as {submission.split} of {submission.task.name}")
    for line in submission.errors:
        print(line)
    for line in submission.warnings:
        print(f"note: {line}")
    if submission.errors:
        raise ConfigurationError(
            f"{args.predictions}: the server would fail on "
            f"{counted(len(submission.errors), 'game')}, listed above; no zip written"
        )
    pack(submission, args.out)
    classes = ", ".join(
        f"{count} {label if label.isprintable() else repr(label)}" for label, count in submission.counts.most_common()
    )
    print(f"{counted(len(submission.files), 'game')}, {counted(submission.counts.total(), 'prediction')} ({classes})")
    print(f"{args.out}: {args.out.stat().st_size} bytes, for {submission.task.server}")

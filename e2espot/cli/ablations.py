"""Measure what each choice of the recipe is worth, at equal time on rendered matches: e2espot ablations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from e2espot.cli.parsing import parse
from e2espot.files.atomic import write_atomically
from e2espot.studies.plans import DEFAULTS, VARIANTS, AblationPlan


@dataclass(frozen=True, kw_only=True)
class Ablations(AblationPlan):
    """Measure what each choice in the recipe is worth, at equal training time on rendered matches.

    You can stop it at any time and run it again: finished trainings are not repeated.

    Example: e2espot ablations --seeds 0 1 --seconds 120
    """

    out: Path = Path("out/ablations")
    """Folder for matches, runs, scores and the table."""
    variants: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--arms"])] = tuple(VARIANTS)
    """Variants to train."""


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, then print and write both tables."""
    plan = parse(Ablations, arguments, "e2espot ablations")
    plan.check()
    from e2espot.studies.ablations import compare_post_processing, compare_variants, render, table, train_variant

    data = render(plan)
    folders = {}
    for seed in plan.seeds:
        for variant in plan.variants:
            print(f"{variant}, seed {seed}", flush=True)
            folders[variant, seed] = train_variant(plan, data, variant, seed)
    trained, processed = compare_variants(plan, data, folders), compare_post_processing(plan, data, folders)
    text = (
        f"{plan.seconds:.0f} CPU-seconds per training, {len(plan.seeds)} seeds, {plan.test_minutes:g} minutes of an "
        "unseen match. Gain: difference from the first row, mean over seeds. Spread: the larger of the standard "
        "deviations of the gains and of the scores. Helps and hurts mean a gain beyond twice the spread.\n\n"
        f"{table(trained, 'trained')}\n\nGain over plain soft suppression on the scores of {DEFAULTS}:\n\n"
        f"{table(processed, 'post-processing')}\n"
    )
    print("\n" + text)
    write_atomically(plan.out / "table.md", text.encode())
    rows = [
        {"part": part, "name": row.name, "values": row.values, "gain": row.gain, "verdict": row.verdict}
        for part, comparisons in (("variants", trained), ("post-processing", processed))
        for row in comparisons
    ]
    write_atomically(plan.out / "table.json", (json.dumps(rows, indent=1) + "\n").encode())

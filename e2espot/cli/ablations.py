"""What each choice of the recipe is worth, at equal time on rendered matches. `make ablations` runs it."""

from __future__ import annotations

import json
from pathlib import Path

import tyro

from e2espot.core.errors import ConfigurationError
from e2espot.files.atomic import write_atomically
from e2espot.studies.ablation_variants import ARMS, DEFAULTS, Plan


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, then print and write both tables."""
    plan = tyro.cli(
        Plan, args=arguments, prog="e2espot ablations", default=Plan(out=Path("out/ablations")), description=__doc__
    )
    strange = [arm for arm in plan.arms if arm not in ARMS]
    if strange or DEFAULTS not in plan.arms or not plan.seeds:
        raise ConfigurationError(f"--arms must hold {DEFAULTS!r} and be among {', '.join(map(repr, ARMS))}")
    if not all(0 <= seed < 2**63 for seed in plan.seeds) or not 0 < plan.seconds < 1e9:
        raise ConfigurationError("--seeds must be at least 0 and below 2^63, and --seconds above 0 and below 1e9")
    if plan.games < 3:
        raise ConfigurationError(f"--games is {plan.games}; one to learn from, one valid and one test are three")

    from e2espot.studies.ablations import compare_after_scores, compare_arms, render, table, train_arm

    data = render(plan)
    folders = {}
    for seed in plan.seeds:
        for arm in plan.arms:
            print(f"{arm}, seed {seed}", flush=True)
            folders[arm, seed] = train_arm(plan, data, arm, seed)
    arms, after = compare_arms(plan, data, folders), compare_after_scores(plan, data, folders)
    text = (
        f"{plan.seconds:.0f} CPU-seconds a training, {len(plan.seeds)} seeds, {plan.test_minutes:g} minutes of a match "
        "never seen; gain over the first row, seed by seed; spread: the larger deviation of gains and of seeds; helps "
        "and hurts mean beyond twice that\n\n"
        f"{table(arms, 'trained')}\n\ngain over plain soft suppression on the scores of {DEFAULTS}\n\n"
        f"{table(after, 'after the scores')}\n"
    )
    print("\n" + text)
    write_atomically(plan.out / "table.md", text.encode())
    rows = [
        {"part": part, "name": row.name, "values": row.values, "gain": row.gain, "verdict": row.verdict}
        for part, found in (("arms", arms), ("after", after))
        for row in found
    ]
    write_atomically(plan.out / "table.json", (json.dumps(rows, indent=1) + "\n").encode())

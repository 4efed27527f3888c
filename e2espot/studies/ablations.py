"""What each choice of the recipe is worth: variants trained for the same time on the same rendered matches.

Every variant starts from the shipped backbone with a new head, trains for the same processor time (its number of
steps follows from its own speed, and its learning rate schedule ends with them), and is scored on the same unseen
match. Post-processing is compared on the scores of the variant with the defaults, fitted on the valid match.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.scores import Scores
from e2espot.files.atomic import write_atomically
from e2espot.formats.scores import read_scores, write_scores
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import average_scores, spot_video
from e2espot.models.weights.checkpoint import load_spotter, read_tensors, save_backbone, shipped_spotter
from e2espot.studies.plans import DEFAULTS, VARIANTS, AblationPlan
from e2espot.suppression.calibration import Calibration
from e2espot.suppression.nms import Suppression
from e2espot.training.config import resolve
from e2espot.training.data import LabelledGame, load_games
from e2espot.training.fit import fit
from e2espot.training.fit_calibration import fit_calibration
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge, read_recipe
from e2espot.training.setup import setup
from e2espot.training.step import take_step
from e2espot.training.validation import score_predictions

_FIRST_STEPS, _TIMED_STEPS = 2, 6


def render(plan: AblationPlan) -> Path:
    """Render the matches unless they exist; return their folder."""
    from e2espot.synthetic.dataset import render_dataset
    from e2espot.synthetic.specs import DatasetSpec

    data = plan.out / "matches"
    spec = DatasetSpec(
        games=plan.games,
        minutes=plan.minutes,
        valid_minutes=plan.valid_minutes,
        test_minutes=plan.test_minutes,
        seed=500,
    )
    render_dataset(data, spec, jobs=2, progress=True)
    return data


def train_variant(plan: AblationPlan, data: Path, variant: str, seed: int) -> Path:
    """Train one variant with one seed and write its scores, unless that has been done; return its folder."""
    folder = plan.out / variant.replace(" ", "_").replace("'", "") / f"seed_{seed}"
    if (folder / "done.json").is_file():
        return folder
    recipe = merge(merge(Recipe(), read_recipe("laptop-fast")), {**VARIANTS[variant], "seed": seed, "num_workers": 0})
    recipe = merge(recipe, {"init_from": str(shipped_backbone(plan.out)), "num_epochs": 1, "warm_up_epochs": 0.05})
    steps, step_s = steps_within(plan.seconds, data, folder / "timing", recipe)
    batch_size = recipe.optimisation.batch_size
    recipe = merge(recipe, {"clips_per_epoch": steps * batch_size, "start_val_epoch": 99})
    begun = time.process_time()
    options = RunOptions(resume=(folder / "run" / "config.yaml").exists())
    run = setup(resolve(recipe, data, folder / "run", options))
    run.valid_games = []  # no epoch is chosen; the calibration scores the valid match once, later
    fit(run)
    spent = time.process_time() - begun
    spotter = load_spotter(folder / "run")
    for split in ("valid", "test"):
        video = _game(data, split, spotter.fps).game.videos[0].path
        for name, flip in (
            (split, False),
            *((("test_flip", True),) if split == "test" and variant == DEFAULTS else ()),
        ):
            write_scores(folder / f"{name}.npz", spot_video(spotter, video, InferenceOptions(flip=flip, adapt="none")))
    record = {"variant": variant, "seed": seed, "steps": steps, "seconds_a_step": step_s, "training_cpu_s": spent}
    write_atomically(folder / "done.json", json.dumps(record).encode())
    return folder


def shipped_backbone(out: Path) -> Path:
    """The shipped backbone without its head, which fits one frame rate and one width of targets only."""
    file = out / "trunk.safetensors"
    if not file.is_file():
        _, state = read_tensors(shipped_spotter())
        save_backbone(file, {name: value for name, value in state.items() if name.startswith("backbone.")}, "small_gsm")
    return file


def steps_within(seconds: float, data: Path, folder: Path, recipe: Recipe) -> tuple[int, float]:
    """(Steps that fit into ``seconds``, seconds per step), measured on a few steps.

    Args:
        seconds: CPU seconds in all.
        data: The dataset.
        folder: For the run that is timed.
        recipe: What is trained.
    """
    count = _FIRST_STEPS + _TIMED_STEPS
    recipe = merge(recipe, {"clips_per_epoch": count * recipe.optimisation.batch_size})
    run = setup(resolve(recipe, data, folder, RunOptions(resume=folder.exists())))
    batches, begun = run.batches(0, 0), 0.0
    for number in range(count):
        if number == _FIRST_STEPS:
            begun = time.process_time()
        take_step(run, next(batches))
    step_s = (time.process_time() - begun) / _TIMED_STEPS
    return max(2, int(seconds / step_s)), step_s


def _game(data: Path, split: str, fps: Any) -> LabelledGame:
    return load_games(data, split, LABEL_SETS["ball-2"], fps)[0]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A change compared with the baseline: one line of the table."""

    name: str
    """What was changed."""
    values: tuple[float, ...]
    """mAP@1 of every seed, 0 to 1."""
    baseline: tuple[float, ...]
    """The same without the change."""

    @property
    def gain(self) -> float:
        """Mean of the paired differences."""
        return float(np.mean(np.subtract(self.values, self.baseline)))

    @property
    def spread(self) -> float:
        """Larger standard deviation: of the paired differences, or between the seeds of one variant."""
        if len(self.values) < 2:
            return float("inf")
        between = [float(np.std(row, ddof=1)) for row in (self.values, self.baseline)]
        return max(float(np.std(np.subtract(self.values, self.baseline), ddof=1)), *between)

    @property
    def verdict(self) -> str:
        """``helps`` or ``hurts`` where the gain exceeds twice the spread, else ``undecided``."""
        if abs(self.gain) <= 2 * self.spread:
            return "undecided"
        return "helps" if self.gain > 0 else "hurts"


def compare_variants(plan: AblationPlan, data: Path, folders: Mapping[tuple[str, int], Path]) -> list[Comparison]:
    """Every variant compared with the defaults, seed by seed, with the calibration fitted on the valid match."""
    values = {
        variant: tuple(
            _value(data, folders[variant, seed], _fitted(data, folders[variant, seed])) for seed in plan.seeds
        )
        for variant in plan.variants
    }
    return [Comparison(name=variant, values=row, baseline=values.get(DEFAULTS, row)) for variant, row in values.items()]


def compare_post_processing(
    plan: AblationPlan, data: Path, folders: Mapping[tuple[str, int], Path]
) -> list[Comparison]:
    """Every way of post-processing on the scores of the defaults, compared with plain soft suppression."""
    runs = [folders[DEFAULTS, seed] for seed in plan.seeds]
    plain = Calibration()

    def row(name: str, how: Callable[[Path], Calibration], file: str = "test") -> Comparison:
        baseline = tuple(_value(data, folder, plain) for folder in runs)
        return Comparison(
            name=name, values=tuple(_value(data, folder, how(folder), file) for folder in runs), baseline=baseline
        )

    def only(part: str) -> Callable[[Path], Calibration]:
        names = {"suppression": ("suppression", "by_class"), "shift": ("shift_s",), "map": ("map_from", "map_to")}[part]
        return lambda folder: dataclasses.replace(
            plain, **{name: getattr(_fitted(data, folder), name) for name in names}
        )

    def fixed(method: Any, window_s: float) -> Callable[[Path], Calibration]:
        return lambda _: Calibration(suppression=Suppression(method=method, window_s=window_s))

    together = average_scores([read_scores(folder / "test.npz") for folder in runs])
    test = _game(data, "test", together.fps)
    ensemble = score_predictions({test.game.name: {1: together}}, [test], plain, together.label_set).mAP("at1")
    rows = [
        row("hard suppression over 1 s", fixed("hard", 1.0)),
        row("hard suppression over 0.6 s", fixed("hard", 0.6)),
        row("smoothed peaks over 0.6 s", fixed("peaks", 0.6)),
        row("soft suppression over 0.4 s", fixed("soft", 0.4)),
        row("suppression fitted on valid", only("suppression")),
        row("shift fitted on valid", only("shift")),
        row("map fitted on valid", only("map")),
        row("all fitted on valid", lambda folder: _fitted(data, folder)),
        row("mirror image averaged in", lambda _: plain, "test_flip"),
    ]
    if len(runs) > 1:
        rows.append(
            Comparison(name=f"ensemble of {len(runs)} seeds", values=(ensemble,) * len(runs), baseline=rows[0].baseline)
        )
    return rows


def _fitted(data: Path, folder: Path) -> Calibration:
    scores = read_scores(folder / "valid.npz")
    game = _game(data, "valid", scores.fps)
    return fit_calibration({game.game.name: {1: scores}}, {game.game.name: list(game.events)}, scores.label_set)


def _value(data: Path, folder: Path, calibration: Calibration, file: str = "test") -> float:
    scores: Scores = read_scores(folder / f"{file}.npz")
    game = _game(data, "test", scores.fps)
    return score_predictions({game.game.name: {1: scores}}, [game], calibration, scores.label_set).mAP("at1")


def table(rows: Sequence[Comparison], heading: str) -> str:
    """Format as Markdown, mAP@1 in percent."""
    lines = [f"| {heading} | mAP@1, mean | seeds | gain | spread | verdict |", "|---|--:|---|--:|--:|---|"]
    for row in rows:
        seeds = ", ".join(f"{100 * value:.1f}" for value in row.values)
        same = row.values == row.baseline
        spread = f"{100 * row.spread:.1f}" if np.isfinite(row.spread) else "unknown"
        more = "- | - | -" if same else f"{100 * row.gain:+.1f} | {spread} | {row.verdict}"
        lines.append(f"| {row.name} | {100 * np.mean(row.values):.1f} | {seeds} | {more} |")
    return "\n".join(lines)

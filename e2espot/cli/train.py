"""Train a spotter from raw video: e2espot train DATA -s RUN --recipe laptop."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from e2espot.training.recipe import Recipe, merge, read_recipe


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a spotter from raw video."""

    data: tyro.conf.Positional[Path]
    """Dataset folder: SoccerNet's ball layout, with splits.json for your own games."""
    save_dir: Annotated[Path, tyro.conf.arg(aliases=["-s"])]
    """Run folder to write."""
    recipe: str = "e2e-spot"
    """Shipped recipe (such as laptop, ball-2023-rny002; a wrong name lists all) or a YAML file."""
    config: Path | None = None
    """YAML file whose fields go over the recipe's; flags go over both."""
    resolution: Literal["auto", "224p", "720p"] = "auto"
    """Which of a game's files is read: auto takes 720p where the network sees more than 224 lines."""
    label_file: str = "auto"
    """Name of the label file in a game's folder: auto takes Labels-v2.json for soccernet-v2-17, else
    Labels-ball.json."""
    bad_labels: Literal["stop", "skip"] = "stop"
    """What to do with a label that cannot be: stop, or leave it out and count it."""
    joint_data: Path | None = None
    """Second dataset folder, for recipes with a joint_label_set."""
    reader: Literal["auto", "decord", "dali"] = "auto"
    """What decodes the videos: auto takes DALI on a CUDA machine that has it, and the CPU elsewhere."""
    device: str = "auto"
    """cpu, cuda or auto."""
    resume: bool = False
    """Go on with the run in save_dir where it stopped."""
    settings: tyro.conf.OmitArgPrefixes[Recipe] = field(default_factory=Recipe)
    """The recipe's own fields."""


_KEPT = ("resolution", "label_file", "bad_labels", "joint_data", "reader")
"""Flags beside the recipe's that a resumed run keeps."""


def _value_of(flag: str, arguments: list[str]) -> str | None:
    """Last value of ``flag`` on the command line, before the real parser exists."""
    found = None
    for at, word in enumerate(arguments):
        if word == flag and at + 1 < len(arguments):
            found = arguments[at + 1]
        elif len(flag) == 2 and word.startswith(flag) and len(word) > 2:
            found = word[2:].removeprefix("=")
        elif word.startswith(flag + "="):
            found = word.partition("=")[2]
    return found


def recipe_of(arguments: list[str], otherwise: str) -> Recipe:
    """The recipe that a command line names, with its --config over it."""
    settings = merge(Recipe(), read_recipe(_value_of("--recipe", arguments) or otherwise))
    config = _value_of("--config", arguments)
    return merge(settings, read_recipe(config)) if config else settings


def main(arguments: list[str]) -> None:
    """Parse in two stages: the recipe and --config become the defaults of the flags."""
    arguments = sys.argv[1:]
    usual = Train(data=tyro.MISSING, save_dir=tyro.MISSING, settings=recipe_of(arguments, "e2e-spot"))
    args = tyro.cli(
        Train,
        args=arguments,
        prog="e2espot train",
        default=_as_begun(usual, arguments) if "--resume" in arguments else usual,
    )

    from e2espot.training.distributed import leave_ranks
    from e2espot.training.fit import fit
    from e2espot.training.setup import setup
    from e2espot.training.validation import conclude

    tall = args.settings.frame_size()[1] > 224
    file_name = "Labels-v2.json" if args.settings.label_set == "soccernet-v2-17" else "Labels-ball.json"
    run = setup(
        args.data,
        args.save_dir,
        args.settings,
        resolution=("720p" if tall else "224p") if args.resolution == "auto" else args.resolution,
        label_file=file_name if args.label_file == "auto" else args.label_file,
        bad_labels=args.bad_labels,
        reader=args.reader,
        device=args.device,
        resume=args.resume,
        joint_root=args.joint_data,
    )
    videos, events = run.dataset.videos, sum(len(v.labelled.event_frames) for v in run.dataset.videos)
    say = print if run.ranks.is_first else lambda *_: None
    say(f"{len(videos)} training videos with {events} events, {len(run.valid)} valid games; start: {run.start}")
    try:
        progress = fit(run)
    except KeyboardInterrupt:
        say(f"stopped; go on with: e2espot train {args.data} -s {args.save_dir} --resume")
        raise
    leave_ranks()
    if not run.ranks.is_first:
        return
    if run.valid:
        verdict = conclude(args.save_dir, run.train, run.valid, run.device.type, run.reader)
        print(f"best epoch {progress.best_epoch}: mAP@1 {progress.best_mAP:.4f} with plain soft suppression")
        print(f"\nmAP in percent on the valid games, which also chose the epoch and: {verdict.calibration.table()}")
        print(verdict.spotter.table())
        print("\na guesser at even spacing, fitted on the train games")
        print(verdict.guesser.table() + "\n")
    print(f"weights: {args.save_dir / 'best.safetensors'}")


def _as_begun(usual: Train, arguments: list[str]) -> Train:
    """What the run to be resumed was started with; flags go over it."""
    from e2espot.training.checkpoints import load_config

    folder = _value_of("-s", arguments) or _value_of("--save_dir", arguments) or _value_of("--save-dir", arguments)
    if folder is None or not (Path(folder) / "config.yaml").exists():
        return usual
    fields = load_config(Path(folder))
    known = {field.name for field in dataclasses.fields(Recipe)}
    if _value_of("--recipe", arguments):
        sys.stderr.write("note: the run goes on with the recipe it was begun with, and --recipe is left aside\n")
    settings = merge(Recipe(), {name: value for name, value in fields.items() if name in known})
    config = _value_of("--config", arguments)
    settings = merge(settings, read_recipe(config)) if config else settings
    kept: dict[str, Any] = {name: str(fields[name]) for name in _KEPT if fields.get(name) is not None}
    if "joint_data" in kept:
        kept["joint_data"] = Path(kept["joint_data"])
    if kept.get("reader") == "pyav":  # what auto comes to on the CPU
        del kept["reader"]
    return dataclasses.replace(usual, settings=settings, **kept)

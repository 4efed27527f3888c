"""Command lines whose defaults come from a recipe.

The recipe's settings are flags, and their defaults depend on other flags::

    dataclass defaults < --recipe < --config < flags
    a resumed run:  the settings in its config.yaml < --config < flags

So a small parser first reads the flags that name files, and skips all others; then the command's parser runs once
with the defaults from those files. Both are tyro's, so they understand the same spellings.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tyro

from e2espot.cli.parse_errors import one_line_errors
from e2espot.core.errors import ConfigurationError
from e2espot.core.picture_options import PICTURE_OPTIONS
from e2espot.core.version import VERSION_FIELD, __version__
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, current_names, merge, read_recipe, recipe_fields

_LOG = logging.getLogger(__name__)

_OPTIONS = (
    *("resolution", "label_file", "bad_labels", "map", "annotated", "team_map", "second_half"),
    *("joint_data", "reader", "video_stream", *PICTURE_OPTIONS),
)
"""Options of a run that its ``config.yaml`` holds, besides the settings of its recipe."""
_DESCRIPTIONS = ("start", "colour_rule", VERSION_FIELD)
"""What it holds besides both."""


@dataclass(frozen=True, kw_only=True)
class RecipeArgs:
    """The flags that decide where defaults come from."""

    recipe: str | None = None
    """Shipped recipe or a YAML file."""
    config: str | None = None
    """YAML file whose settings replace the recipe's."""
    save_dir: Annotated[Path | None, tyro.conf.arg(aliases=["-s"])] = None
    """Run folder."""
    resume: bool = False
    """Whether to go on with the run in ``save_dir``."""


def parse_recipe_args(arguments: Sequence[str], prog: str) -> RecipeArgs:
    """Those flags of a command line that decide where defaults come from; all others are ignored."""
    # Without help and with unknown flags allowed: the command's own parser answers for both.
    with one_line_errors(lambda: ()):
        args, _ = tyro.cli(RecipeArgs, args=arguments, prog=prog, return_unknown_args=True, add_help=False)
    return args


def recipe_of(args: RecipeArgs, default: str) -> Recipe:
    """The recipe that a command line names, ``default`` if none, with the settings of ``--config``."""
    return _with_config(merge(Recipe(), read_recipe(args.recipe or default)), args)


def stored_run(args: RecipeArgs) -> tuple[Recipe, RunOptions] | None:
    """Recipe and options that the run to be resumed was started with; None where no run is resumed.

    Raises:
        CheckpointError: the run's ``config.yaml`` cannot be read.
        ConfigurationError: it holds a setting of the wrong type, or there is no run and no recipe of a new one.
    """
    if not args.resume or args.save_dir is None:
        return None
    if not (args.save_dir / "config.yaml").exists():
        _check_new_run(args, args.save_dir)
        return None
    from e2espot.training.checkpoints import load_config

    fields = load_config(args.save_dir)
    _check_names(args.save_dir, fields)
    if args.recipe:
        _LOG.warning("note: the run continues with the recipe it was started with; --recipe is ignored")
    return _with_config(merge(Recipe(), recipe_fields(fields)), args), _stored_options(args.save_dir, fields)


def _check_names(run: Path, fields: Mapping[str, Any]) -> None:
    """Refuse a mistyped setting in a file of this version, which would be left out; other versions had others."""
    unknown = sorted(map(str, {*current_names(fields)} - {*Recipe().to_fields(), *_OPTIONS, *_DESCRIPTIONS}))
    if unknown and fields.get(VERSION_FIELD) == __version__:
        raise ConfigurationError(f"{run / 'config.yaml'}: no such setting: {', '.join(unknown)}; correct its name")


def _check_new_run(args: RecipeArgs, save_dir: Path) -> None:
    """Refuse to take a mistyped folder for a new run of the default recipe; a job that restarts names its own."""
    if args.recipe is None and args.config is None:
        raise ConfigurationError(
            f"{save_dir} holds no run to resume (no config.yaml); check the folder, or name the recipe of a new run",
            option="save_dir",
        )
    _LOG.warning("note: %s holds no run to resume; a new one starts", save_dir)


def _with_config(recipe: Recipe, args: RecipeArgs) -> Recipe:
    return merge(recipe, read_recipe(args.config)) if args.config else recipe


def _stored_options(run: Path, fields: Mapping[str, Any]) -> RunOptions:
    options = {name: fields[name] for name in _OPTIONS if fields.get(name) is not None}
    if options.get("reader") == "pyav":  # no option: what auto resolves to on the CPU
        del options["reader"]
    try:
        return msgspec.convert(options, RunOptions, dec_hook=lambda path_type, text: path_type(text))
    except (msgspec.ValidationError, TypeError) as error:
        raise ConfigurationError(f"{run / 'config.yaml'}: {error}") from None

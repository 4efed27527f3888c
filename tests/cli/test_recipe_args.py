"""Defaults of flags come from recipe, --config and a run to be resumed, in every spelling that tyro accepts."""

from pathlib import Path

import pytest
import tyro
import yaml

from e2espot.cli.folds import Folds
from e2espot.cli.recipe_args import RecipeArgs, parse_recipe_args
from e2espot.cli.train import Train, parse_train
from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.picture_options import PictureOptions
from e2espot.core.version import __version__
from e2espot.training.recipe import Recipe, merge, read_recipe


def parse(*arguments: str) -> Train:
    return parse_train(list(arguments))


@pytest.mark.parametrize(
    "arguments",
    ["DATA -s RUN", "DATA -sRUN", "DATA -s=RUN", "-s RUN DATA", "DATA --save_dir RUN", "DATA --save-dir=RUN"],
)
@pytest.mark.parametrize("recipe", ["--recipe laptop", "--recipe=laptop", "--recipe v2 --recipe laptop"])
def test_recipe_args_are_what_the_command_parses(arguments: str, recipe: str) -> None:
    words = [*arguments.split(), *recipe.split(), "-lr", "0.5", "-t", "", "--mixup", "--resume"]
    assert parse_recipe_args(words, "prog") == RecipeArgs(recipe="laptop", save_dir=Path("RUN"), resume=True)
    args = parse(*words)
    assert (args.save_dir, args.recipe, args.options.resume) == (Path("RUN"), "laptop", True)
    assert args.settings == merge(
        Recipe(), {**read_recipe("laptop"), "learning_rate": 0.5, "temporal_arch": "", "mixup": True}
    )


@pytest.mark.parametrize("flag", ["--clips_per_epoch", "--clips-per-epoch", "--epoch_clips", "--epoch-clips"])
def test_clips_per_epoch_keeps_its_old_flag(flag: str) -> None:
    assert parse("DATA", "-s", "RUN", flag, "40").settings.sampling.clips_per_epoch == 40
    assert parse("DATA", "-s", "RUN", f"{flag}=40").settings.sampling.clips_per_epoch == 40


@pytest.mark.parametrize("flag", ["--double_rate_output", "--full_grid", "--full-grid"])
def test_double_rate_output_keeps_its_old_flag(flag: str) -> None:
    assert parse("DATA", "-s", "RUN", flag).settings.network.double_rate_output
    off = flag.replace("--", "--no-").replace("--no-full_grid", "--no_full_grid")
    assert not parse("DATA", "-s", "RUN", "--recipe", "ball-2024", off).settings.network.double_rate_output


def test_precedence_is_default_recipe_config_flag(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("batch_size: 2\nnum_epochs: 7\n")
    args = parse("DATA", "-s", "RUN", "--recipe", "laptop", "--config", str(tmp_path / "my.yaml"), "--num_epochs", "9")
    optimisation = args.settings.optimisation
    assert (optimisation.batch_size, optimisation.num_epochs) == (2, 9)
    assert args.settings.sampling.clip_len == 64
    assert optimisation.save_every == Recipe().optimisation.save_every


def test_resumed_run_keeps_its_settings_unless_a_flag_is_given(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stored = {**merge(Recipe(), {**read_recipe("laptop"), "seed": 5}).to_fields(), "start": "x", "reader": "pyav"}
    stored |= {"deinterlace": "off", "crop_bars": "640:360:0:60"}
    stored |= {"resolution": "720p", "label_file": "clean.json", "bad_labels": "skip", "joint_data": str(tmp_path)}
    stored["epoch_clips"] = stored.pop("clips_per_epoch")  # as earlier versions wrote it, without e2espot_version
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(stored))
    args = parse("DATA", f"-s={tmp_path}", "--resume", "--recipe", "v2", "--num_epochs", "12")
    assert args.settings == merge(Recipe(), {**read_recipe("laptop"), "seed": 5, "num_epochs": 12})
    assert (args.options.resolution, args.options.label_file, args.options.bad_labels) == ("720p", "clean.json", "skip")
    assert (args.options.joint_data, args.options.reader) == (tmp_path, "auto")
    assert args.options.only_pictures() == PictureOptions(deinterlace="off", crop_bars="640:360:0:60")
    assert "--recipe is ignored" in caplog.text
    assert parse("DATA", f"-s={tmp_path}").settings == merge(Recipe(), read_recipe("e2e-spot"))


def test_resume_without_a_run_starts_one_only_if_its_recipe_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigurationError, match="mistyped holds no run to resume"):
        parse("DATA", "-s", str(tmp_path / "mistyped"), "--resume")
    args = parse("DATA", "-s", str(tmp_path / "new"), "--resume", "--recipe", "laptop")
    assert args.settings == merge(Recipe(), read_recipe("laptop"))
    assert "new holds no run to resume; a new one starts" in caplog.text


def test_resumed_run_with_a_mistyped_setting_is_refused(tmp_path: Path) -> None:
    stored = {**Recipe().to_fields(), "start": "x", "colour_rule": "x", "e2espot_version": __version__}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(stored))
    assert parse("DATA", "-s", str(tmp_path), "--resume").settings == Recipe()
    stored["learning_rat"] = stored.pop("learning_rate")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(stored))
    with pytest.raises(ConfigurationError, match=r"config\.yaml: no such setting: learning_rat; correct its name"):
        parse("DATA", "-s", str(tmp_path), "--resume")


def test_resumed_run_with_a_damaged_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("resolution: 500p\n")
    with pytest.raises(ConfigurationError, match=r"config\.yaml: Invalid enum value '500p'"):
        parse("DATA", "-s", str(tmp_path), "--resume")
    (tmp_path / "config.yaml").write_text("- 1\n")
    with pytest.raises(CheckpointError, match=r"config\.yaml"):
        parse("DATA", "-s", str(tmp_path), "--resume")


def test_every_setting_of_a_recipe_is_a_flag_of_both_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (Train, Folds):
        with pytest.raises(SystemExit):
            tyro.cli(command, args=["--help"])
        text = capsys.readouterr().out
        for name in Recipe().to_fields():
            assert f"--{name.replace('_', '-')}" in text

"""Recipes: files, merging, ranges, and the settings they resolve to."""

import json
from pathlib import Path

import pytest
import torch

from e2espot.core.errors import ConfigurationError
from e2espot.models import load_spotter
from e2espot.models.weights.checkpoint import shipped_spotter
from e2espot.training.cross_validation import cross_validate
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge, read_recipe, recipe_fields, recipe_names
from e2espot.training.schedule import lr_factor


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipe_parses(name: str) -> None:
    recipe = merge(Recipe(), read_recipe(name))
    assert recipe.data.frame_size() == ((1280, 720) if "720p" in name else (398, 224))
    assert recipe.sampling.clips_per_epoch >= recipe.optimisation.batch_size


@pytest.mark.parametrize(
    ("fields", "message", "option"),
    [
        ({"clip_len": 0}, "clip_len is 0", "clip_len"),
        ({"learning_rate": float("nan")}, "learning_rate is nan", "learning_rate"),
        ({"size": "big"}, "size is 'big'", "size"),
        ({"fps": 0}, "fps is '0'", "fps"),
        ({"batch_size": 3, "acc_grad_iter": 2}, "multiple", "batch_size"),
        ({"seed": True}, "seed is True; expected int", None),
    ],
)
def test_merge_refuses_what_cannot_work_and_names_the_setting(
    fields: dict[str, object], message: str, option: str | None
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        merge(Recipe(), fields)
    assert caught.value.option == option
    assert "--" not in str(caught.value)


def test_read_recipe_refuses_an_unknown_setting(tmp_path) -> None:
    (tmp_path / "own.yaml").write_text("clip_length: 3\n")
    with pytest.raises(ConfigurationError, match="clip_length"):
        read_recipe(str(tmp_path / "own.yaml"))


def test_lr_factor_rises_and_ends_at_zero() -> None:
    factors = [lr_factor(step, 10, 100) for step in range(101)]
    assert factors[:11] == sorted(factors[:11])
    assert max(factors) == 1
    assert factors[100] == 0
    assert factors[99] < 0.001


def test_shipped_weights_fit_the_laptop_recipes() -> None:
    spotter = load_spotter(shipped_spotter())
    laptop, fast, made_by = (merge(Recipe(), read_recipe(name)) for name in ("laptop", "laptop-fast", "rendered"))
    assert spotter.unfamiliar is not None
    assert spotter.unfamiliar.spec.feature_arch == laptop.network.feature_arch
    assert spotter.unfamiliar.spec.smooth_ball == laptop.network.smooth_ball
    for recipe in (fast, made_by):
        assert (spotter.spec.feature_arch, spotter.spec.temporal_arch) == (
            recipe.network.feature_arch,
            recipe.network.temporal_arch,
        )
        assert (spotter.spec.fps, spotter.spec.clip_len) == (recipe.data.fps, recipe.sampling.clip_len)
    assert made_by.network.init_from == "none"
    assert shipped_spotter().stat().st_size < 15e6
    with torch.inference_mode():
        assert torch.isfinite(spotter(torch.zeros(1, 4, 3, 224, 398))).all()


def test_settings_of_earlier_versions_are_read_under_their_old_names(tmp_path) -> None:
    (tmp_path / "old.yaml").write_text("epoch_clips: 40\nfull_grid: true\n")
    recipe = merge(Recipe(), read_recipe(str(tmp_path / "old.yaml")))
    assert (recipe.sampling.clips_per_epoch, recipe.network.double_rate_output) == (40, True)
    stored = {"epoch_clips": 40, "start": "x"}
    assert recipe_fields(stored) == {"clips_per_epoch": 40, "shared_frames": False}  # as it was before the setting
    assert recipe_fields({**stored, "shared_frames": True})["shared_frames"] is True


def test_folds_of_an_earlier_version_go_on_with_what_it_did(tmp_path: Path) -> None:
    game = tmp_path / "data" / "l" / "s" / "g"
    game.mkdir(parents=True)
    (game / "224p.mp4").touch()
    (game / "Labels-ball.json").write_text('{"annotations": []}')
    fields = merge(Recipe(), read_recipe("ball-2023-folds")).to_fields()
    old = {name: value for name, value in fields.items() if name not in ("shared_frames", "features")}
    (tmp_path / "folds.json").write_text(json.dumps({"folds": 2, "games": ["l/s/g"], **old}))
    for shared, others in ((True, "folds, shared_frames"), (False, "folds")):
        recipe = merge(Recipe(), {**fields, "shared_frames": shared})
        with pytest.raises(ConfigurationError, match=rf"was started with other {others} \("):
            cross_validate(tmp_path / "data", tmp_path, recipe, 3, RunOptions())


def test_to_fields_is_flat_and_merges_back() -> None:
    recipe = merge(Recipe(), read_recipe("ball-2025-joint"))
    fields = recipe.to_fields()
    assert len(fields) == 57
    assert merge(Recipe(), fields) == recipe


def test_label_radius_is_that_of_the_displacement_where_there_is_one() -> None:
    assert merge(Recipe(), {"dilate_len": 3}).label_radius == 3
    assert merge(Recipe(), {"dilate_len": 3, "displacement": 2}).label_radius == 2

import pytest
import torch

from e2espot.core.errors import ConfigurationError
from e2espot.models import load_spotter
from e2espot.training.recipe import Recipe, merge, read_recipe, recipe_names
from e2espot.training.setup import SHIPPED_TRUNK
from e2espot.training.step import learning_rate_share


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_can_be_used(name: str) -> None:
    recipe = merge(Recipe(), read_recipe(name))
    assert recipe.frame_size() == ((1280, 720) if "720p" in name else (398, 224))
    assert recipe.epoch_clips >= recipe.batch_size


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"clip_len": 0}, "--clip_len"), ({"size": "big"}, "--size"), ({"batch_size": 3, "acc_grad_iter": 2}, "multiple")],
)
def test_what_cannot_work_is_refused_by_the_name_of_the_flag(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        merge(Recipe(), fields)


def test_a_field_nobody_knows_is_refused(tmp_path) -> None:
    (tmp_path / "own.yaml").write_text("clip_length: 3\n")
    with pytest.raises(ConfigurationError, match="clip_length"):
        read_recipe(str(tmp_path / "own.yaml"))


def test_the_rate_rises_and_ends_at_its_end() -> None:
    shares = [learning_rate_share(step, 10, 100) for step in range(101)]
    assert shares[:11] == sorted(shares[:11])
    assert max(shares) == 1
    assert shares[100] == 0
    assert shares[99] < 0.001


def test_the_shipped_trunk_is_the_laptop_recipes_network() -> None:
    spotter = load_spotter(SHIPPED_TRUNK)
    laptop, made_by = (merge(Recipe(), read_recipe(name)) for name in ("laptop", "rendered"))
    for recipe in (laptop, made_by):
        assert (spotter.spec.feature_arch, spotter.spec.temporal_arch) == (recipe.feature_arch, recipe.temporal_arch)
        assert (spotter.spec.fps, spotter.spec.clip_len) == (recipe.fps, recipe.clip_len)
    assert made_by.init_from == "none"
    assert SHIPPED_TRUNK.stat().st_size < 15e6
    with torch.inference_mode():
        assert torch.isfinite(spotter(torch.zeros(1, 4, 3, 224, 398))).all()

"""What a user wrote becomes exact values, or an error that names the setting."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.training.config import TrainingConfig, resolve
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge


def config_of(fields: dict[str, object] | None = None, **options: object) -> TrainingConfig:
    run_options = RunOptions(**{"device": "cpu", **options})
    return resolve(merge(Recipe(), fields or {}), Path("data"), Path("run"), run_options)


def test_resolve_of_the_defaults_is_e2e_spots_setting() -> None:
    config = config_of()
    assert (config.data, config.folder) == (Path("data"), Path("run"))
    assert (config.fps, config.frame_size, config.label_radius) == (Fraction(25), (398, 224), 2)
    assert config.label_set == LABEL_SETS["ball-2"]
    assert (config.resolution, config.labels.label_file, config.backend) == ("224p", "Labels-ball.json", "pyav")
    assert config.device == torch.device("cpu")
    assert config.steps_per_epoch == 5000 // 8
    assert config.local_slots == range(8)
    assert (config.fold, config.joint_data, config.joint_label_set, config.hard_negatives) == (None,) * 4
    assert not config.resume


@pytest.mark.parametrize("setting", ["negative_label_file", "joint_label_file"])
@pytest.mark.parametrize("name", ["../other.json", "/data/other.json", "*.json"])
def test_resolve_takes_plain_names_of_label_files_alone(setting: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{setting} is .*; give the plain name of a file") as error:
        config_of({setting: name})
    assert error.value.option == setting


@pytest.mark.parametrize(
    ("size", "option", "resolution"),
    [
        ("398x224", "auto", "224p"),
        ("400x225", "auto", "720p"),
        ("1280x720", "auto", "720p"),
        ("1280x720", "224p", "224p"),
        ("398x224", "720p", "720p"),
    ],
)
def test_resolution_follows_the_height_of_the_frames_unless_given(size: str, option: str, resolution: str) -> None:
    assert config_of({"size": size}, resolution=option).resolution == resolution


@pytest.mark.parametrize(
    ("label_set", "option", "label_file"),
    [
        ("soccernet-v2-17", "auto", "Labels-v2.json"),
        ("ball-12", "auto", "Labels-ball.json"),
        ("soccernet-v2-17", "mine.json", "mine.json"),
    ],
)
def test_label_file_follows_the_label_set_unless_given(label_set: str, option: str, label_file: str) -> None:
    assert config_of({"label_set": label_set}, label_file=option).labels.label_file == label_file


@pytest.mark.parametrize(("crop_dim", "side"), [(0, 0), (100, 100), (224, 224), (500, 224)])
def test_crop_side_is_at_most_the_shorter_side_of_the_frame(crop_dim: int, side: int) -> None:
    assert config_of({"crop_dim": crop_dim}).crop_side == side


def test_augmentation_is_none_without_augment_and_has_the_ranges_of_the_recipe_with_it() -> None:
    assert config_of({"augment": False, "crop": 0.5}).augmentation is None
    augmentation = config_of({"crop": 0.5, "blur": 0.25}).augmentation
    assert augmentation is not None
    assert (augmentation.crop, augmentation.blur) == (0.5, 0.25)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("fp16", torch.float16)])
def test_precision_is_a_number_format(precision: str, dtype: torch.dtype) -> None:
    assert config_of({"precision": precision}).dtype == dtype


def test_fold_is_two_numbers_and_needs_two_parts() -> None:
    assert config_of({"fold": "2/7"}).fold == (2, 7)
    for wrong in ("1/1", "8/7", "2"):
        with pytest.raises(ConfigurationError, match="fold is") as caught:
            config_of({"fold": wrong})
        assert caught.value.option == "fold"


@pytest.mark.parametrize(
    ("fields", "options", "option"),
    [
        ({"label_set": "ball-3"}, {}, None),
        ({}, {"device": "gpu"}, "device"),
        ({"joint_label_set": "ball-2"}, {}, "joint_data"),
        ({}, {"joint_data": Path("other")}, "joint_data"),
    ],
)
def test_resolve_refuses_unknown_names_and_half_of_a_second_dataset(
    fields: dict[str, object], options: dict[str, object], option: str | None
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config_of(fields, **options)
    assert caught.value.option == option


def test_resolve_of_a_second_dataset_has_its_classes_and_folder() -> None:
    config = config_of({"joint_label_set": "soccernet-v2-17"}, joint_data=Path("other"))
    assert (config.joint_label_set, config.joint_data) == (LABEL_SETS["soccernet-v2-17"], Path("other"))


def test_to_fields_records_recipe_and_options_and_merges_back() -> None:
    config = config_of({"fps": 12.5, "hard_negatives": "oof"}, bad_labels="skip", joint_data=None)
    fields = config.to_fields("shipped weights")
    assert merge(Recipe(), {name: fields[name] for name in Recipe().to_fields()}) == config.recipe
    assert (fields["start"], fields["reader"], fields["bad_labels"]) == ("shipped weights", "pyav", "skip")
    assert (fields["resolution"], fields["label_file"], fields["joint_data"]) == ("224p", "Labels-ball.json", None)
    assert config.hard_negatives == Path("oof")
    assert all(value is None or isinstance(value, str | int | float | bool) for value in fields.values())

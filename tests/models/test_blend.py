"""Weights between those of two spotters."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.unfamiliar import between_sets, size_of_share
from e2espot.models.weights.blend import InferenceDefaults, blend
from e2espot.models.weights.checkpoint import load_spotter, read_initial_weights, read_tensors, save_spotter
from e2espot.models.weights.initial_weights import load_matching_weights

SPEC = SpotterSpec(feature_arch="small_gsm", temporal_arch="gru", classes=("PASS",), clip_len=16, width=96, height=64)

OTHER_SPEC = SpotterSpec(feature_arch="small_gsm", temporal_arch="gru", classes=("PASS", "DRIVE"), clip_len=16)


def spotter_file(path: Path, seed: int, spec: SpotterSpec = SPEC) -> Path:
    torch.manual_seed(seed)
    save_spotter(path, Spotter(spec).state_dict(), spec)
    return path


def test_blend_writes_a_spotter_between_the_two(tmp_path: Path) -> None:
    before, after = spotter_file(tmp_path / "a.safetensors", 0), spotter_file(tmp_path / "b.safetensors", 1)
    out = tmp_path / "c.safetensors"
    blend(before, after, out, 0.25)
    first, second, blended = (read_tensors(file)[1] for file in (before, after, out))
    name = "backbone.stem.0.weight"
    torch.testing.assert_close(blended[name], 0.75 * first[name] + 0.25 * second[name])
    assert not torch.equal(blended[name], first[name])
    assert load_spotter(out).spec == SPEC


@pytest.mark.parametrize(("share", "same"), [(0.0, "a"), (1.0, "b")])
def test_blend_gives_either_spotter_at_the_ends(tmp_path: Path, share: float, same: str) -> None:
    files = {name: spotter_file(tmp_path / f"{name}.safetensors", seed) for seed, name in enumerate("ab")}
    blend(files["a"], files["b"], tmp_path / "c.safetensors", share)
    blended, expected = read_tensors(tmp_path / "c.safetensors")[1], read_tensors(files[same])[1]
    assert all(torch.equal(blended[name], expected[name]) for name in expected)


def test_blend_writes_a_second_set_of_weights_that_loading_keeps_apart(tmp_path: Path) -> None:
    files = {name: spotter_file(tmp_path / f"{name}.safetensors", seed) for seed, name in enumerate("abc")}
    out = tmp_path / "both.safetensors"
    blend(files["a"], files["b"], out, 0.0, files["c"])
    spotter = load_spotter(out)
    assert spotter.unfamiliar is not None
    for loaded, name in ((spotter, "a"), (spotter.unfamiliar, "c")):
        expected = load_spotter(files[name]).state_dict()
        assert all(torch.equal(loaded.state_dict()[key], value) for key, value in expected.items())
    blend(out, files["b"], tmp_path / "one.safetensors", 0.0)  # of two sets the first is blended
    assert load_spotter(tmp_path / "one.safetensors").unfamiliar is None
    with pytest.raises(CheckpointError, match="cannot be the second set"):
        blend(files["a"], files["b"], out, 0.0, spotter_file(tmp_path / "d.safetensors", 3, OTHER_SPEC))


def test_a_second_set_keeps_its_defaults_of_inference_and_the_first_has_none(tmp_path: Path) -> None:
    files = [spotter_file(tmp_path / f"{seed}.safetensors", seed) for seed in range(3)]
    second, both = tmp_path / "second.safetensors", tmp_path / "both.safetensors"
    use = InferenceDefaults(look_ahead_s=0.4, smooth_ball=True, size=(128, 88))
    blend(files[1], files[2], second, 0.5, defaults=use)
    spec = load_spotter(second).spec
    assert (spec.look_ahead_s, spec.smooth_ball, spec.width, spec.height) == (0.4, True, 128, 88)
    blend(files[0], files[0], both, 0.0, second)
    spotter = load_spotter(both)
    assert (spotter.spec.look_ahead_s, spotter.spec.smooth_ball, spotter.spec.width) == (None, False, 96)
    # Those of the second set as soon as it counts; and one set has none of another.
    for share in (0.0, 0.1, 0.2, 1.0):
        spec, is_second = between_sets(spotter, share).spec, share >= 0.2
        assert (spec.look_ahead_s, spec.smooth_ball) == (0.4 if is_second else None, is_second)
        assert (spec.unfamiliar_look_ahead_s, spec.unfamiliar_smooth_ball, spec.unfamiliar_size) == (None, False, None)
        assert size_of_share(spotter.spec, share) == ((128, 88) if is_second else None)
    blend(both, files[1], tmp_path / "plain.safetensors", 0.5)
    assert load_spotter(tmp_path / "plain.safetensors").spec == SPEC


def test_defaults_of_inference_that_a_network_cannot_have_are_refused(tmp_path: Path) -> None:
    small, out = spotter_file(tmp_path / "small.safetensors", 0), tmp_path / "out.safetensors"
    plain = spotter_file(tmp_path / "rny.safetensors", 0, replace(SPEC, feature_arch="rny002", crop_dim=64))
    for file, use, message in (
        (small, InferenceDefaults(look_ahead_s=-1), "look_ahead is -1"),
        (plain, InferenceDefaults(smooth_ball=True), "rny002 has no map of the ball"),
        (plain, InferenceDefaults(size=(128, 88)), "sees the centre 64 pixels"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            blend(file, file, out, 0.0, defaults=use)
    assert not out.exists()


def test_training_starts_from_the_first_set_of_weights(tmp_path: Path) -> None:
    files = [spotter_file(tmp_path / f"{seed}.safetensors", seed) for seed in range(2)]
    blend(files[0], files[0], tmp_path / "both.safetensors", 0.0, files[1])
    spec, state = read_initial_weights(tmp_path / "both.safetensors")
    fresh = Spotter(SPEC)
    taken = load_matching_weights(fresh, state, spec)
    expected = load_spotter(files[0]).state_dict()
    assert taken.copied == len(expected) and taken.fresh == 0
    assert all(torch.equal(fresh.state_dict()[key], value) for key, value in expected.items())


def test_blend_refuses_spotters_of_different_specifications_and_shares_out_of_range(tmp_path: Path) -> None:
    before = spotter_file(tmp_path / "a.safetensors", 0)
    after = spotter_file(tmp_path / "b.safetensors", 1, OTHER_SPEC)
    for pair, share in (((before, after), 0.5), ((before, before), 1.5)):
        with pytest.raises(CheckpointError, match="cannot be blended"):
            blend(*pair, tmp_path / "c.safetensors", share)
    assert not (tmp_path / "c.safetensors").exists()


def test_spotters_that_differ_in_the_size_of_frames_alone_can_be_blended(tmp_path: Path) -> None:
    small = spotter_file(tmp_path / "a.safetensors", 0)
    large = spotter_file(tmp_path / "b.safetensors", 1, replace(SPEC, width=128, height=80))
    blend(small, large, tmp_path / "c.safetensors", 0.5)
    assert load_spotter(tmp_path / "c.safetensors").spec == SPEC

"""The lite backbone: an image network next to the small one."""

import copy
import dataclasses
from pathlib import Path

import pytest
import timm
import torch

from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.models.backbones.lite import ADDED_LAYERS, LiteBackbone
from e2espot.models.backbones.lite_stages import LiteStages, SameConv, folded_weights
from e2espot.models.backbones.registry import build_backbone
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.unfamiliar import IMAGE, between_sets
from e2espot.models.weights.blend import blend
from e2espot.models.weights.checkpoint import load_spotter, read_initial_weights, save_spotter
from e2espot.models.weights.import_checkpoint import convert_checkpoint
from e2espot.models.weights.initial_weights import load_matching_weights
from tests.support.lite import hear_the_image_network

SMALL = SpotterSpec(feature_arch="small_gsm", temporal_arch="gru", classes=("PASS",), clip_len=16, width=70, height=50)
LITE = dataclasses.replace(SMALL, feature_arch="lite_gsm")


def spotter_of(spec: SpotterSpec, seed: int = 0) -> Spotter:
    torch.manual_seed(seed)
    spotter = Spotter(spec).eval()
    hear_the_image_network(spotter.backbone)
    for name, value in spotter.state_dict().items():
        if name.startswith(IMAGE):
            value.copy_(value.half())  # as files hold it
    return spotter


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (50, 70)])
def test_stages_equal_timms_network_with_its_norms(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0").eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    stages = LiteStages()
    stages.load_state_dict(folded_weights(network))
    frames = torch.randn(3, 3, *size)
    with torch.inference_mode():
        x, expected = network.bn1(network.conv_stem(frames)), []
        for number, stage in enumerate(network.blocks[:6]):
            x = stage(x)
            if number in (2, 4, 5):
                expected.append(x)
        for given, wanted in zip(stages(frames), expected, strict=True):
            torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-3)


def test_same_padding_adds_a_zero_below_and_on_the_right() -> None:
    conv = SameConv(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(conv.weight)
    # Rows 0 to 3: the first output sees rows 0, 1, 2, the second rows 2, 3 and a zero.
    assert conv(torch.arange(4.0).view(1, 1, 4, 1).expand(1, 1, 4, 3))[0, 0, :, 0].tolist() == [6.0, 10.0]


def test_before_training_lite_answers_as_small_does() -> None:
    small, lite = Spotter(SMALL).eval(), Spotter(LITE).eval()
    lite.load_state_dict({**lite.state_dict(), **small.state_dict()})
    frames = torch.randn(2, 6, 3, 50, 70)
    with torch.inference_mode():
        torch.testing.assert_close(lite(frames), small(frames), rtol=0, atol=0)


def test_the_image_network_sees_every_second_frame() -> None:
    backbone = spotter_of(LITE).backbone
    assert isinstance(backbone, LiteBackbone)
    seen: list[torch.Tensor] = []
    backbone.image.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    frames = torch.randn(2, 5, 3, 50, 70)
    with torch.inference_mode():
        together = backbone(frames)
        alone = backbone.forward_clips(iter(frames), 2)
    torch.testing.assert_close(seen[0], frames[:, ::2].flatten(0, 1), rtol=0, atol=0)
    torch.testing.assert_close(torch.cat(seen[1:]), seen[0], rtol=0, atol=0)
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)


def test_a_frame_between_two_that_are_seen_gets_the_maps_of_the_first() -> None:
    backbone = spotter_of(LITE).backbone
    assert isinstance(backbone, LiteBackbone)
    still = torch.randn(1, 1, 3, 50, 70).expand(1, 5, -1, -1, -1).clone()
    changed = still.clone()
    changed[:, 2] += 1
    with torch.inference_mode():
        added_a, added_b = (backbone._added_maps(backbone.image(x[0, ::2])) for x in (still, changed))
    for name in ("fine_NCHW", "merge_NCHW", "coarse_NCHW"):
        before, after = (added.plus(torch.zeros(5, 1, 1, 1), getattr(added, name), 5) for added in (added_a, added_b))
        assert [not torch.equal(x, y) for x, y in zip(before, after, strict=True)] == [False, False, True, True, False]


def test_image_network_does_not_learn_but_what_listens_to_it_does() -> None:
    lite = Spotter(LITE).train()
    before = copy.deepcopy(lite.state_dict())
    optimizer = torch.optim.SGD([p for p in lite.parameters() if p.requires_grad], 1.0)
    lite(torch.randn(1, 6, 3, 50, 70)).square().sum().backward()
    optimizer.step()
    changed = {name for name, value in lite.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(IMAGE) for name in changed)
    assert {f"backbone.{name}.weight" for name in ADDED_LAYERS} <= changed


def test_timms_weights_become_those_of_the_image_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = timm.create_model("tf_efficientnet_lite0").eval()
    monkeypatch.setattr(timm, "create_model", lambda *_args, **_kwargs: network)
    convert_checkpoint("timm:tf_efficientnet_lite0", tmp_path / "image.safetensors")
    _, state = read_initial_weights(tmp_path / "image.safetensors")
    lite = Spotter(LITE)
    taken = load_matching_weights(lite, state).copied
    assert taken == len(state) == len(lite.backbone.image.state_dict())  # type: ignore[operator,union-attr]
    folded = folded_weights(network)["stem.weight"]
    torch.testing.assert_close(lite.state_dict()[f"{IMAGE}stem.weight"], folded.half().float(), rtol=0, atol=0)


def test_lite_refuses_luma() -> None:
    with pytest.raises(ConfigurationError, match="lite sees colour only"):
        build_backbone("lite_gsm", modality="gray")


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_between_sets_scales_what_the_image_network_adds(share: float) -> None:
    spotter, second = spotter_of(SMALL), spotter_of(LITE, seed=1)
    spotter.unfamiliar = second
    mixed = between_sets(spotter, share)
    assert mixed.spec == (LITE if share else SMALL) and mixed.unfamiliar is None
    if share:
        for name in ADDED_LAYERS:
            added, whole = getattr(mixed.backbone, name).weight, getattr(second.backbone, name).weight
            torch.testing.assert_close(added, share * whole)
    frames = torch.randn(1, 4, 3, 50, 70)
    if share in (0.0, 1.0):
        with torch.inference_mode():
            torch.testing.assert_close(mixed(frames), (second if share else spotter)(frames), rtol=0, atol=0)


def test_a_weights_file_holds_a_small_first_set_and_a_lite_second(tmp_path: Path) -> None:
    first, second = spotter_of(SMALL), spotter_of(LITE, seed=1)
    save_spotter(tmp_path / "first.safetensors", first.state_dict(), SMALL)
    save_spotter(tmp_path / "second.safetensors", second.state_dict(), LITE)
    files = tmp_path / "first.safetensors", tmp_path / "first.safetensors", tmp_path / "both.safetensors"
    blend(*files, share=0.0, unfamiliar=tmp_path / "second.safetensors")
    both = load_spotter(tmp_path / "both.safetensors")
    assert both.spec == SMALL and both.unfamiliar is not None and both.unfamiliar.spec == LITE
    for name, value in second.state_dict().items():
        torch.testing.assert_close(both.unfamiliar.state_dict()[name], value, rtol=0, atol=0)
    other = dataclasses.replace(LITE, classes=("PASS", "DRIVE"))
    save_spotter(tmp_path / "other.safetensors", Spotter(other).state_dict(), other)
    with pytest.raises(CheckpointError, match="cannot be the second set"):
        blend(*files, share=0.0, unfamiliar=tmp_path / "other.safetensors")


def test_blending_small_with_lite_scales_what_the_image_network_adds(tmp_path: Path) -> None:
    first, second = spotter_of(SMALL), spotter_of(LITE, seed=1)
    small, lite, out = (tmp_path / f"{name}.safetensors" for name in ("small", "lite", "out"))
    save_spotter(small, first.state_dict(), SMALL)
    save_spotter(lite, second.state_dict(), LITE)
    blend(small, lite, out, share=0.75)
    blended = load_spotter(out)
    assert blended.spec == LITE
    expected = {name: value.clone() for name, value in second.state_dict().items()}
    for name, value in expected.items():
        before = first.state_dict().get(name)
        if before is not None and value.is_floating_point():
            value.copy_(0.25 * before + 0.75 * value)
        elif name.removeprefix("backbone.").startswith(ADDED_LAYERS):
            value.mul_(0.75)
    for name, value in blended.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    with pytest.raises(CheckpointError, match="cannot be blended"):
        blend(lite, small, out, share=0.75)

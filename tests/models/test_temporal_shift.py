"""The fast gate shift equals its definition, written frame by frame; weights files keep what they are given."""

import copy

import pytest
import torch

from e2espot.models.backbones.registry import FEATURE_ARCHS, build_backbone
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.temporal_shift import GateShift, TemporalShift
from e2espot.models.weights.checkpoint import load_spotter, save_spotter


def gate_shift_by_definition(layer: GateShift, x_BTCHW: torch.Tensor) -> torch.Tensor:
    """Sudhakaran et al.: 3-D convolution for the gates, then the exchange one frame and channel at a time."""
    _, num_frames, channels = x_BTCHW.shape[:3]
    fold = layer.fold
    volume = x_BTCHW[:, :, :fold].transpose(1, 2)
    gates = torch.tanh(layer.conv3D(torch.relu(layer.bn(volume)))).transpose(1, 2)
    out = x_BTCHW.clone()
    for t in range(num_frames):
        for c in range(fold):
            group, position = divmod(c, fold // 2)
            source = t + 1 if group == 0 else t - 1
            value = x_BTCHW[:, t, c] * (1 - gates[:, t, group])
            if 0 <= source < num_frames:
                value = value + x_BTCHW[:, source, c] * gates[:, source, group]
            # Interleave within the group: channels of the two quarters alternate.
            quarter, rank = divmod(position, fold // 4)
            out[:, t, group * (fold // 2) + 2 * rank + quarter] = value
    assert out.shape[2] == channels
    return out


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("fold", "channels"), [(8, 32), (16, 16), (4, 10)])
def test_gate_shift_equals_its_definition(fold: int, channels: int, training: bool) -> None:
    torch.manual_seed(0)
    layer = GateShift(fold)
    torch.nn.init.normal_(layer.conv3D.weight)
    torch.nn.init.normal_(layer.conv3D.bias)
    torch.nn.init.uniform_(layer.bn.running_var, 0.5, 2)
    layer.train(training)
    x = torch.randn(2, 5, channels, 6, 7)
    twin = GateShift(fold)
    twin.load_state_dict(layer.state_dict())
    expected = gate_shift_by_definition(twin.train(training), x)
    got = layer(x.flatten(0, 1), 5).unflatten(0, (2, 5))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.bn.running_mean, twin.bn.running_mean)


def test_gate_shift_gradients_equal_those_of_its_definition() -> None:
    torch.manual_seed(0)
    layer = GateShift(8)
    torch.nn.init.normal_(layer.conv3D.weight)
    x = torch.randn(1, 4, 12, 5, 5)
    gate_shift_by_definition(layer.eval(), x).square().sum().backward()
    expected = layer.conv3D.weight.grad.clone()
    layer.conv3D.weight.grad = None
    layer(x.flatten(0, 1), 4).square().sum().backward()
    torch.testing.assert_close(layer.conv3D.weight.grad, expected, rtol=1e-4, atol=1e-4)


def test_temporal_shift_moves_an_eighth_of_channels_each_way() -> None:
    x = torch.randn(6, 16, 2, 2)
    y = TemporalShift(16)(x, 3)
    torch.testing.assert_close(y[0, :2], x[1, :2])
    torch.testing.assert_close(y[1, 2:4], x[0, 2:4])
    assert y[2, :2].abs().sum() == 0, "nothing may cross from the next clip"
    torch.testing.assert_close(y[:, 4:], x[:, 4:])


@pytest.mark.parametrize(
    ("arch", "halo", "dim"), [("rny002_gsm", 26, 368), ("rny008_gsm", 28, 768), ("rny002", 0, 368)]
)
def test_halo_is_the_sum_over_blocks(arch: str, halo: int, dim: int) -> None:
    backbone = build_backbone(arch)
    assert (backbone.halo, backbone.feature_dim) == (halo, dim)


def test_rny002_gsm_gru_has_as_many_parameters_as_e2e_spots() -> None:
    spec = SpotterSpec(feature_arch="rny002_gsm", temporal_arch="gru", classes=("PASS", "DRIVE"))
    assert sum(p.numel() for p in Spotter(spec).parameters()) == 4_447_313


@pytest.mark.parametrize("arch", [a for a in FEATURE_ARCHS if not a.startswith("rny008")])
def test_features_depend_on_frames_within_halo_only(arch: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(arch).eval()
    for layer in backbone.modules():
        if isinstance(layer, GateShift):
            torch.nn.init.normal_(layer.conv3D.weight)
    reach = backbone.halo + 2
    frames = torch.randn(1, 2 * reach + 1, 3, 32, 32)
    changed = frames.clone()
    changed[:, reach] += 1
    with torch.inference_mode():
        affected = (backbone(changed).features_BTD - backbone(frames).features_BTD).abs().amax((0, 2)) > 0
    assert affected[reach]
    outside = torch.arange(len(affected)).sub(reach).abs() > backbone.halo
    assert not affected[outside].any()


def test_load_spotter_returns_what_save_spotter_wrote(tmp_path) -> None:
    spec = SpotterSpec(feature_arch="small_gsm", temporal_arch="gru", classes=("PASS", "DRIVE"), fps="12.5")
    spotter = Spotter(spec).eval()
    save_spotter(tmp_path / "best.safetensors", spotter.state_dict(), spec)
    again = load_spotter(tmp_path)
    assert again.spec == spec
    frames = torch.randn(1, 4, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(spotter(frames), again(frames))


def test_shifted_conv_in_training_equals_shift_then_convolution() -> None:
    """Outputs, all gradients and the running statistics, in training."""
    torch.manual_seed(0)
    layer = build_backbone("small_gsm").block1.conv1.double().train()  # type: ignore[union-attr,operator]
    layer.num_frames = 5
    torch.nn.init.normal_(layer.gsm.conv3D.weight)
    twin = copy.deepcopy(layer)
    one = torch.randn(10, 48, 6, 7, dtype=torch.float64, requires_grad=True)
    other = one.detach().clone().requires_grad_()
    actual, expected = layer(one), twin.net(twin.gsm(other, 5))
    torch.testing.assert_close(actual, expected)
    weights = torch.randn_like(actual)
    (actual * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(one.grad, other.grad)
    for (name, tensor), other_tensor in zip(layer.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(tensor.grad, other_tensor.grad, msg=name)
    for tensor, other_tensor in zip(layer.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(tensor, other_tensor)

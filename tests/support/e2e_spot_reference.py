"""E2E-Spot's network written out from its facts, one frame and one channel group at a time, on a plain state dict.

Names and shapes are those of its checkpoints: ``_features`` is timm's RegNetY or torchvision's
ResNet, ``conv1.net`` a convolution with a shift in front, ``conv1.gsm`` the gate, ``_pred_fine`` the head.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import timm
import torch
import torchvision
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]


def write_run(folder: Path, state: State, **config: object) -> Path:
    """Write a folder as E2E-Spot does, with one checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    defaults = {"dataset": "tennis", "modality": "rgb", "clip_len": 100, "crop_dim": 224, "gpu_parallel": False}
    (folder / "config.json").write_text(json.dumps({**defaults, **config}))
    torch.save(state, folder / "checkpoint_007.pt")
    return folder


def random_state(feature_arch: str, temporal_arch: str, num_outputs: int, *, channels: int = 3, seed: int = 0) -> State:
    """Random weights and statistics by E2E-Spot's names, scaled so that activations are of order one."""
    generator = torch.Generator().manual_seed(seed)
    base, _, shift = feature_arch.partition("_")
    with torch.device("meta"):  # for the names and shapes alone
        if base.startswith("rny"):
            network = timm.create_model(f"regnety_{base[3:]}", num_classes=0, in_chans=channels)
            dim, conv = network.num_features, ".conv"
        else:
            network = torchvision.models.get_model(f"resnet{base[2:]}")
            dim, conv = network.fc.in_features, ""
            network.fc = torch.nn.Identity()
            if channels != 3:
                network.conv1 = torch.nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    shapes = {}
    for name, value in network.state_dict().items():
        match = re.fullmatch(r"(s\d\.b\d+|layer\d\.\d+)\.conv1\.?(.*)", name)
        if not (match and shift):
            shapes[f"_features.{name}"] = value.shape
            continue
        shapes[f"_features.{match[1]}.conv1.net.{match[2]}"] = value.shape
        if shift == "gsm" and match[2] == f"{conv}.weight".lstrip("."):
            fold = math.ceil(value.shape[1] // 4 / 4) * 4
            gate = f"_features.{match[1]}.conv1.gsm"
            shapes[f"{gate}.conv3D.weight"] = torch.Size((2, fold // 2, 3, 3, 3))
            shapes[f"{gate}.conv3D.bias"] = torch.Size((2,))
            shapes |= {f"{gate}.bn.{part}": torch.Size((fold,)) for part in ("weight", "bias")}
            shapes |= {f"{gate}.bn.running_{part}": torch.Size((fold,)) for part in ("mean", "var")}
            shapes[f"{gate}.bn.num_batches_tracked"] = torch.Size(())
    shapes |= _head_shapes(temporal_arch, dim, num_outputs)
    return {name: _draw(name, shape, generator) for name, shape in shapes.items()}


def _head_shapes(temporal_arch: str, dim: int, num_outputs: int) -> dict[str, torch.Size]:
    if not temporal_arch:
        return {
            "_pred_fine._fc_out.weight": torch.Size((num_outputs, dim)),
            "_pred_fine._fc_out.bias": torch.Size((num_outputs,)),
        }
    hidden, shapes = min(dim, 768), {}
    for layer in range(3 if temporal_arch == "deeper_gru" else 1):
        for end in (f"l{layer}", f"l{layer}_reverse"):
            shapes[f"_pred_fine._gru.weight_ih_{end}"] = torch.Size((3 * hidden, 2 * hidden if layer else dim))
            shapes[f"_pred_fine._gru.weight_hh_{end}"] = torch.Size((3 * hidden, hidden))
            shapes |= {f"_pred_fine._gru.bias_{way}_{end}": torch.Size((3 * hidden,)) for way in ("ih", "hh")}
    shapes["_pred_fine._fc_out._fc_out.weight"] = torch.Size((num_outputs, 2 * hidden))
    shapes["_pred_fine._fc_out._fc_out.bias"] = torch.Size((num_outputs,))
    return shapes


def _draw(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(11)
    if name.endswith("running_var"):
        return torch.rand(shape, generator=generator) + 0.5
    noise = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        # The last norm of a residual branch is small, so that activations do not grow over sixteen blocks.
        small = 0.3 if re.search(r"(conv3\.bn|bn3|layer\d\.\d+\.bn2)\.weight$", name) else 1.0
        return small + 0.1 * noise if name.endswith("weight") else 0.1 * noise
    fan_in = math.prod(shape[1:])
    return noise * math.sqrt((2 if len(shape) == 4 else 1) / fan_in)


def logits(state: State, clip_len: int, frames_BTCHW: Tensor) -> Tensor:
    """E2E-Spot's ``logits_BTK``: backbone on each frame, head on each clip."""
    clips, num_frames = frames_BTCHW.shape[:2]
    shifts = any(".net." in name for name in state)
    if shifts and num_frames < clip_len:
        padding = torch.zeros(clips, clip_len - num_frames, *frames_BTCHW.shape[2:])
        frames_BTCHW = torch.cat((frames_BTCHW, padding), dim=1)
    backbone = _regnet if "_features.stem.conv.weight" in state else _resnet
    features = [backbone(state, clip_TCHW)[:num_frames] for clip_TCHW in frames_BTCHW]
    return torch.stack([_head(state, clip_TD) for clip_TD in features])


def _conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    groups = x.shape[1] // weight.shape[1]
    return functional.conv2d(x, weight, state.get(f"{name}.bias"), stride, weight.shape[-1] // 2, groups=groups)


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    shape = (1, -1, *[1] * (x.ndim - 2))
    mean, var, weight, bias = (
        state[f"{name}.{p}"].view(shape) for p in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias


def _regnet(state: State, x: Tensor) -> Tensor:
    f = "_features"
    x = _norm(state, f"{f}.stem.bn", _conv(state, f"{f}.stem.conv", x, 2)).relu()
    for stage in range(1, 5):
        number = 1
        while (block := f"{f}.s{stage}.b{number}") + ".conv3.conv.weight" in state:
            stride = 2 if number == 1 else 1
            y, x = _shifted(state, f"{block}.conv1", x)
            inner = f"{block}.conv1.net" if f"{block}.conv1.net.conv.weight" in state else f"{block}.conv1"
            y = _norm(state, f"{inner}.bn", _conv(state, f"{inner}.conv", y)).relu()
            y = _norm(state, f"{block}.conv2.bn", _conv(state, f"{block}.conv2.conv", y, stride)).relu()
            squeezed = _conv(state, f"{block}.se.fc1", y.mean((2, 3), keepdim=True)).relu()
            y = y * _conv(state, f"{block}.se.fc2", squeezed).sigmoid()
            y = _norm(state, f"{block}.conv3.bn", _conv(state, f"{block}.conv3.conv", y))
            if f"{block}.downsample.conv.weight" in state:
                x = _norm(state, f"{block}.downsample.bn", _conv(state, f"{block}.downsample.conv", x, stride))
            x, number = (x + y).relu(), number + 1
    return x.mean((2, 3))


def _resnet(state: State, x: Tensor) -> Tensor:
    f = "_features"
    x = _norm(state, f"{f}.bn1", _conv(state, f"{f}.conv1", x, 2)).relu()
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage in range(1, 5):
        number = 0
        while (block := f"{f}.layer{stage}.{number}") + ".conv2.weight" in state:
            deep, stride = f"{block}.conv3.weight" in state, 2 if stage > 1 and number == 0 else 1
            y, x = _shifted(state, f"{block}.conv1", x)
            inner = f"{block}.conv1.net" if f"{block}.conv1.net.weight" in state else f"{block}.conv1"
            y = _norm(state, f"{block}.bn1", _conv(state, inner, y, 1 if deep else stride)).relu()
            y = _norm(state, f"{block}.bn2", _conv(state, f"{block}.conv2", y, stride if deep else 1))
            if deep:
                y = _norm(state, f"{block}.bn3", _conv(state, f"{block}.conv3", y.relu()))
            if f"{block}.downsample.0.weight" in state:
                x = _norm(state, f"{block}.downsample.1", _conv(state, f"{block}.downsample.0", x, stride))
            x, number = (x + y).relu(), number + 1
    return x.mean((2, 3))


def _shifted(state: State, conv1: str, x_TCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Input of the first convolution of a block, and of its shortcut."""
    if f"{conv1}.gsm.conv3D.weight" in state:
        return _gate_shift(state, f"{conv1}.gsm", x_TCHW), x_TCHW
    if any(name.startswith(f"{conv1}.net.") for name in state):
        fold = x_TCHW.shape[1] // 8
        shifted = x_TCHW.clone()
        for t in range(len(x_TCHW)):
            shifted[t, :fold] = x_TCHW[t + 1, :fold] if t + 1 < len(x_TCHW) else 0
            shifted[t, fold : 2 * fold] = x_TCHW[t - 1, fold : 2 * fold] if t else 0
        return shifted, shifted  # E2E-Spot overwrites its input, so the shortcut is shifted as well
    return x_TCHW, x_TCHW


def _gate_shift(state: State, name: str, x_TCHW: Tensor) -> Tensor:
    kernel, bias = state[f"{name}.conv3D.weight"], state[f"{name}.conv3D.bias"]
    half, count = kernel.shape[1], len(x_TCHW)
    part = x_TCHW[:, : 2 * half]
    normed = _norm(state, f"{name}.bn", part).relu()
    normed = torch.cat((torch.zeros_like(normed[:1]), normed, torch.zeros_like(normed[:1])))
    gates = []
    for group in (0, 1):
        channels = normed[:, group * half : (group + 1) * half]
        total = sum(
            functional.conv2d(channels[step : step + count], kernel[group : group + 1, :, step], padding=1)
            for step in range(3)
        )
        gates.append(torch.tanh(total + bias[group]))
    out = x_TCHW.clone()
    # The two quarters of a half alternate: channel c of a0 a1 ... b0 b1 ... goes to its position in a0 b0 a1 b1 ...
    positions = [2 * (c % (half // 2)) + c // (half // 2) for c in range(half)]
    for group, step in ((0, 1), (1, -1)):
        channels = slice(group * half, (group + 1) * half)
        for t in range(count):
            source = t + step
            value = part[t, channels] * (1 - gates[group][t])
            if 0 <= source < count:
                value = value + part[source, channels] * gates[group][source]
            out[t, [group * half + position for position in positions]] = value
    return out


def _head(state: State, features_TD: Tensor) -> Tensor:
    h, layer = "_pred_fine", 0
    if f"{h}._fc_out.weight" in state:
        return features_TD @ state[f"{h}._fc_out.weight"].T + state[f"{h}._fc_out.bias"]
    while f"{h}._gru.weight_ih_l{layer}" in state:
        ahead = _gru(state, f"l{layer}", features_TD)
        back = _gru(state, f"l{layer}_reverse", features_TD.flip(0)).flip(0)
        features_TD, layer = torch.cat((ahead, back), dim=1), layer + 1
    return features_TD @ state[f"{h}._fc_out._fc_out.weight"].T + state[f"{h}._fc_out._fc_out.bias"]


def _gru(state: State, end: str, x_TD: Tensor) -> Tensor:
    """Cho et al. 2014, with the reset gate after the recurrent product, as cuDNN has it."""
    w_x, w_h, b_x, b_h = (
        state[f"_pred_fine._gru.{part}_{end}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    hidden, out = torch.zeros(w_h.shape[1]), []
    for inputs in x_TD @ w_x.T + b_x:
        reset_x, update_x, new_x = inputs.chunk(3)
        reset_h, update_h, new_h = (w_h @ hidden + b_h).chunk(3)
        update = torch.sigmoid(update_x + update_h)
        new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
        hidden = (1 - update) * new + update * hidden
        out.append(hidden)
    return torch.stack(out)

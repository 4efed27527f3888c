#!/usr/bin/env bash
# torch 2.14.1, torch.onnx.export(): a GRU with a dynamic time axis is exported for the length of the example alone.
#
# Guess: with dynamic_shapes, the graph takes any number of frames, or the export fails. For a bidirectional GRU it
# succeeds, its warnings are about other things, and the graph runs with as many frames as the example had and no others.
# A Linear after the GRU hides it better: the input then declares its axis free, and the reshape in front of the product
# raises the error. A Linear alone is free, and so are GRU and Linear from the older exporter (dynamo=False).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 torchvision==0.29.1 onnxruntime==1.32.0
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument
from torch import nn

CHANNELS, EXAMPLE_FRAMES, OTHER_FRAMES = 8, 32, 50


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(CHANNELS, CHANNELS, batch_first=True, bidirectional=True)

    def forward(self, features_BTC):
        return self.gru(features_BTC)[0]


def lengths_that_run(name, network, dynamo):
    network.eval()
    example_BTC = torch.randn(1, EXAMPLE_FRAMES, CHANNELS)
    if dynamo:
        axes = {"dynamic_shapes": ({1: torch.export.Dim("frames")},)}
    else:
        axes = {"dynamic_axes": {"features": {1: "frames"}, "logits": {1: "frames"}}}
    names = {"input_names": ["features"], "output_names": ["logits"]}
    torch.onnx.export(network, (example_BTC,), "head.onnx", dynamo=dynamo, verbose=False, **names, **axes)
    graph = onnx.load("head.onnx").graph
    axis = graph.input[0].type.tensor_type.shape.dim[1]
    print(f"{name}: the input declares {axis.dim_param or axis.dim_value} frames;", end=" ")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession("head.onnx", options)
    lengths = []
    for frames in (EXAMPLE_FRAMES, OTHER_FRAMES):
        features_BTC = torch.randn(1, frames, CHANNELS)
        try:
            (logits_BTC,) = session.run(None, {"features": features_BTC.numpy()})
        except (Fail, InvalidArgument):
            continue
        with torch.no_grad():
            assert np.allclose(logits_BTC, network(features_BTC).numpy(), atol=1e-5)
        lengths.append(frames)
    print(f"expected to run with {EXAMPLE_FRAMES} and {OTHER_FRAMES} frames; observed {lengths}")
    return lengths


print("torch", torch.__version__, "onnxruntime", onnxruntime.__version__)
head = nn.Sequential(Recurrent(), nn.Linear(2 * CHANNELS, 3))
both = [EXAMPLE_FRAMES, OTHER_FRAMES]
frozen = lengths_that_run("GRU and Linear, default exporter", head, dynamo=True)
frozen_too = lengths_that_run("GRU alone, default exporter", Recurrent(), dynamo=True)
others = [
    lengths_that_run("Linear alone, default exporter", nn.Sequential(nn.Linear(CHANNELS, 3)), dynamo=True),
    lengths_that_run("GRU and Linear, older exporter", head, dynamo=False),
]
as_recorded = frozen == frozen_too == [EXAMPLE_FRAMES] and others == [both] * 2
print("observed: only the length of the example runs" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU: the lengths of sequences in a batch are ignored where an axis of the input is free.
#
# Guess: ONNX's RNN, GRU and LSTM with `sequence_lens` give the same in every engine, and an engine that cannot do it
# refuses the graph. OpenVINO is right while all shapes are fixed. With a free number of frames, or a free number of
# sequences, the same graph loads without a message, every sequence runs to the end of the longest, and the last states
# and all outputs after a sequence's end are other numbers.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import io
import sys

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

FRAMES, SEQUENCES, CHANNELS, HIDDEN = 4, 5, 2, 3
LENGTHS = np.array([4, 4, 3, 2, 1], np.int32)
FIXED, FREE_FRAMES, FREE_SEQUENCES = (FRAMES, SEQUENCES), ("frames", SEQUENCES), (FRAMES, "sequences")


def graph(operator, gates, shape):
    rng = np.random.default_rng(0)
    shapes = {"W": (gates * HIDDEN, CHANNELS), "R": (gates * HIDDEN, HIDDEN), "B": (2 * gates * HIDDEN,)}
    weights = [numpy_helper.from_array(rng.normal(size=(1, *size)).astype("f"), name) for name, size in shapes.items()]
    weights.append(numpy_helper.from_array(LENGTHS, "lengths"))
    node = helper.make_node(operator, ["x", "W", "R", "B", "lengths"], ["", "last"], hidden_size=HIDDEN)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [*shape, CHANNELS])
    last = helper.make_tensor_value_info("last", TensorProto.FLOAT, [1, shape[1], HIDDEN])
    model = helper.make_model(
        helper.make_graph([node], "graph", [x], [last], weights), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 9
    return model.SerializeToString()


def sequences_that_differ(operator, gates, shape):
    """Numbers of the sequences whose last state in OpenVINO is not that of ONNX Runtime."""
    model = graph(operator, gates, shape)
    x = np.random.default_rng(1).normal(size=(FRAMES, SEQUENCES, CHANNELS)).astype("f")
    (expected,) = onnxruntime.InferenceSession(model).run(None, {"x": x})
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(io.BytesIO(model)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    got = compiled({"x": x})[0]
    return [number for number in range(SEQUENCES) if np.abs(got - expected)[0, number].max() > 1e-3]


print("openvino", openvino.__version__, "onnxruntime", onnxruntime.__version__, "lengths", LENGTHS.tolist())
as_recorded = True
for operator, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
    for name, shape, recorded in (
        ("fixed shapes", FIXED, []),
        ("frames free", FREE_FRAMES, [2, 3, 4]),
        ("sequences free", FREE_SEQUENCES, [2, 3, 4]),
    ):
        differ = sequences_that_differ(operator, gates, shape)
        print(f"{operator}, {name}: expected no sequence to differ; observed {differ}")
        as_recorded &= differ == recorded
print("observed: sequences shorter than the longest are wrong" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

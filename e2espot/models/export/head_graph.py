"""The heads of a spotter as one ONNX graph over any number of frames.

Shapes: T frames, any number; D features, H hidden, K classes without background; an output grid of factor f has f * T
rows.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from e2espot.core.errors import ConfigurationError
from e2espot.models.export.graph_builder import GraphBuilder, Value
from e2espot.models.heads import GRUHead
from e2espot.models.spotter import Spotter

_INT64 = 7
"""ONNX's number of int64."""


def head_graph(spotter: Spotter) -> bytes:
    """The graph from features to scores, as ``Spotter.scores`` gives them for one clip.

    With a look-ahead they are those of ``Spotter.scores_ahead`` for all frames of the clip.

    Input: ``features``, fp32 ``(T, D)``. Output: ``scores``, fp32 ``(f * T, K)``, one column more with a team head.

    Args:
        spotter: In evaluation mode, on the CPU.

    Returns:
        Content of an .onnx file.

    Raises:
        ConfigurationError: the package ``onnx`` is not installed, or this head has no graph with a look-ahead.
    """
    graph, look_ahead = GraphBuilder(), exported_look_ahead(spotter)
    factor, columns = spotter.grid_factor, len(spotter.label_set) + int(spotter.spec.team)
    x = graph.input("features", np.float32, ("frames", spotter.backbone.feature_dim))
    if isinstance(spotter.head, GRUHead):
        gru = spotter.head._gru
        x = _gru(graph, x, gru) if look_ahead is None else _cut_gru(graph, x, gru, look_ahead)
    probabilities = graph.node("Softmax", _linear(graph, x, spotter.head._fc_out[1]), axis=1)
    scores = graph.cut(probabilities, 1, 1)
    if spotter.displacement is not None:
        scores = _displace(graph, scores, _linear(graph, x, spotter.displacement), factor)
    elif factor == 2:
        scores = _upsample(graph, scores)
    if spotter.team is not None:
        right = graph.node("Sigmoid", _linear(graph, x, spotter.team))
        # Each row `factor` times: [a, b] -> [[a, a], [b, b]] -> a, a, b, b
        repeated = graph.node("Reshape", graph.join(1, *[right] * factor), graph.ints(-1, 1))
        scores = graph.join(1, scores, repeated)
    graph.output(scores, "scores", ("rows", columns))
    return graph.model("head", {"temporal_arch": spotter.spec.temporal_arch})


def exported_look_ahead(spotter: Spotter) -> int | None:
    """Look-ahead of the head in frames; None if nothing is cut.

    Raises:
        ConfigurationError: this head has no graph with a look-ahead.
    """
    if spotter.spec.look_ahead_s is None or not isinstance(spotter.head, GRUHead):
        return None
    look_ahead = round(spotter.spec.look_ahead_s * float(spotter.fps))
    if look_ahead >= spotter.spec.clip_len:
        return None
    if spotter.head._gru.num_layers > 1 or spotter.displacement is not None or spotter.grid_factor > 1:
        raise ConfigurationError(
            f"a spotter with a look-ahead of {spotter.spec.look_ahead_s:g} s can be exported with the head gru, and "
            "without displacement and output at twice the rate; write it again without a look-ahead (e2espot blend)"
        )
    return look_ahead


def _linear(graph: GraphBuilder, x: Value, layer: nn.Module) -> Value:
    assert isinstance(layer, nn.Linear)
    weights = [graph.constant(tensor.detach().float().numpy()) for tensor in (layer.weight, layer.bias)]
    return graph.node("Gemm", x, *weights, transB=1)


def _gru(graph: GraphBuilder, x: Value, gru: nn.GRU) -> Value:
    """A bidirectional GRU of one layer or more, ``(T, D) -> (T, 2 H)``."""
    x = graph.node("Unsqueeze", x, graph.ints(1))  # (T, 1, D): one clip
    for layer in range(gru.num_layers):
        parts = [[_gru_weights(gru, kind, layer, suffix) for suffix in ("", "_reverse")] for kind in ("weight", "bias")]
        (w, w_back), (b, b_back) = parts
        inputs = np.stack((w[0], w_back[0])), np.stack((w[1], w_back[1]))
        bias = np.stack([np.concatenate(pair) for pair in (b, b_back)])
        y = graph.node(
            "GRU",
            x,
            *(graph.constant(array) for array in (*inputs, bias)),
            hidden_size=gru.hidden_size,
            direction="bidirectional",
            linear_before_reset=1,
        )
        # (T, 2 directions, 1, H) -> (T, 1, 2 H)
        y = graph.node("Transpose", y, perm=(0, 2, 1, 3))
        x = graph.node("Reshape", y, graph.ints(-1, 1, 2 * gru.hidden_size))
    return graph.node("Reshape", x, graph.ints(-1, 2 * gru.hidden_size))


def _cut_gru(graph: GraphBuilder, x: Value, gru: nn.GRU, look_ahead: int) -> Value:
    """A bidirectional GRU of one layer whose backward direction begins ``look_ahead`` frames after each frame.

    ::

        clip of 5 frames, look-ahead 2; the frames that the backward direction reads for each
        frame 0    2 1 0
        frame 1    3 2 1
        frame 2    4 3 2
        frame 3    - 4 3      - stands for a frame after the clip, which leaves the state at zero
        frame 4    - - 4
    """
    one = graph.ints(1)
    forward = graph.node("GRU", graph.node("Unsqueeze", x, one), *_one_way(graph, gru, ""), **_settings(gru))
    # One column more is 0 for frames of the clip and 1 after it. The GRU's own lengths of sequences would do, but
    # OpenVINO ignores them (`findings/openvino_sequence_lengths.sh`).
    inside = graph.node("Pad", x, graph.ints(0, 0, 0, 1))
    after = np.zeros((look_ahead, gru.input_size + 1), np.float32)
    after[:, -1] = 1
    padded = graph.join(0, inside, graph.constant(after))
    frames = graph.node("Range", *_scalars(graph, 0), graph.node("Squeeze", _length(graph, x)), *_scalars(graph, 1))
    order_LT = graph.node("Add", frames, graph.constant(np.arange(look_ahead, -1, -1)[:, None]))
    weights = _one_way(graph, gru, "_reverse", after=True)
    backward = graph.node("GRU", graph.node("Gather", padded, order_LT), *weights, result=1, **_settings(gru))
    states = [graph.node("Reshape", state, graph.ints(-1, gru.hidden_size)) for state in (forward, backward)]
    return graph.join(1, *states)


def _one_way(graph: GraphBuilder, gru: nn.GRU, suffix: str, *, after: bool = False) -> list[Value]:
    """Weights of the input and of the state, and biases, of one direction of the first layer.

    With ``after``, the input has a last column that opens the update gate where it is 1: the state stays as it is.
    """
    (inputs, states), bias = (_gru_weights(gru, kind, 0, suffix) for kind in ("weight", "bias"))
    if after:
        gate = np.zeros((len(inputs), 1), np.float32)
        gate[: gru.hidden_size] = 1000  # the update gate is the first; its sigmoid is 1 to the last bit
        inputs = np.concatenate((inputs, gate), axis=1)
    return [graph.constant(array[None]) for array in (inputs, states, np.concatenate(bias))]


def _settings(gru: nn.GRU) -> dict[str, int]:
    return {"hidden_size": gru.hidden_size, "linear_before_reset": 1}


def _length(graph: GraphBuilder, x: Value) -> Value:
    return graph.node("Gather", graph.node("Shape", x), graph.ints(0), axis=0)


def _scalars(graph: GraphBuilder, *numbers: int) -> list[Value]:
    return [graph.constant(np.array(number, np.int64)) for number in numbers]


def _gru_weights(gru: nn.GRU, kind: str, layer: int, suffix: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights or biases of the input and of the state, gates in ONNX's order: update, reset, new."""
    arrays = []
    for source in ("ih", "hh"):
        reset, update, new = (
            getattr(gru, f"{kind}_{source}_l{layer}{suffix}")
            .detach()
            .float()
            .numpy()
            .reshape(3, gru.hidden_size, *((-1,) if kind == "weight" else ()))
        )
        arrays.append(np.concatenate((update, reset, new)))
    return arrays[0], arrays[1]


def _displace(graph: GraphBuilder, scores: Value, offset_T1: Value, factor: int) -> Value:
    """Each row of the scores at the frame of its predicted event, as ``apply_displacement`` moves them."""
    shape, count = graph.node("Shape", scores), _length(graph, scores)
    frames = graph.node("Range", *_scalars(graph, 0), graph.node("Squeeze", count), *_scalars(graph, 1))
    frames_T1 = graph.node("Unsqueeze", graph.node("Cast", frames, to=1), graph.ints(1))
    scaled = graph.node("Mul", graph.node("Sub", frames_T1, offset_T1), graph.floats(factor))
    position = graph.node("Add", scaled, graph.floats((factor - 1) / 2))
    rows = graph.node("Mul", count, graph.ints(factor))
    last = graph.node("Cast", graph.node("Sub", rows, graph.ints(1)), to=1)
    out = graph.node("Expand", graph.floats(0), graph.join(0, rows, graph.cut(shape, 0, 1)))
    for rounding in ("Round",) if factor == 1 else ("Floor", "Ceil"):
        nearest = graph.node("Min", graph.node("Max", graph.node(rounding, position), graph.floats(0)), last)
        index = graph.node("Expand", graph.node("Cast", nearest, to=_INT64), shape)
        out = graph.node("ScatterElements", out, index, scores, axis=0, reduction="max")
    return out


def _upsample(graph: GraphBuilder, scores: Value) -> Value:
    """Rows at twice the rate, linear between the middles of frames."""
    # rows a, b, c: a quarter of the neighbour's and three of the frame's: before [a, a, b], after [b, c, c]
    before = graph.join(0, graph.cut(scores, 0, 0, 1), graph.cut(scores, 0, 0, -1))
    after = graph.join(0, graph.cut(scores, 0, 1), graph.cut(scores, 0, -1))
    most = graph.node("Mul", scores, graph.floats(0.75))
    pair = [graph.node("Add", most, graph.node("Mul", near, graph.floats(0.25))) for near in (before, after)]
    columns = graph.node("Gather", graph.node("Shape", scores), graph.ints(1), axis=0)
    halves = [graph.node("Unsqueeze", half, graph.ints(1)) for half in pair]
    return graph.node("Reshape", graph.join(1, *halves), graph.join(0, graph.ints(-1), columns))

"""Builds an ONNX graph node by node.

The graphs are written out and not traced: a tracer has been seen to fix the number of frames of its example without a
message, and it cannot know that what a layer keeps from chunk to chunk is an input and an output.

Shapes: T frames of a chunk, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import ConfigurationError

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""Version of ONNX's operators: the first in which a scatter keeps the largest value."""
_IR_VERSION = 9
"""Version of the file format: of 2023, so that older engines read it too."""

Value = str
"""Name of a tensor of the graph."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What the graph takes from the chunk before: an input, and the output that becomes it."""

    name: str
    """Name of the input; that of the output is ``new_NAME``."""
    shape: tuple[int, ...]
    """Frames, channels, height, width; all zeros before the first chunk."""


class GraphBuilder:
    """A graph under construction; values are named by strings.

    Raises:
        ConfigurationError: the package ``onnx`` is not installed.
    """

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError:
            raise ConfigurationError('exporting needs the package onnx: pip install "e2espot[onnx]"') from None
        self._onnx = onnx
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, np.ndarray] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self.states: list[State] = []
        """The states, in the order of their inputs."""

    def input(self, name: str, dtype: type, shape: Sequence[int | str]) -> Value:
        """A named input; a length that is a word may be any."""
        self._inputs.append(self._value_info(name, dtype, shape))
        return name

    def output(self, value: Value, name: str, shape: Sequence[int | str]) -> None:
        """Make the fp32 result of an operator, which nothing else uses, an output called ``name``."""
        # An identity would do as well, but OpenVINO's converter removes it and keeps both names.
        assert not any(value in node.input for node in self._nodes)
        (node,) = (node for node in self._nodes if node.output[0] == value)
        node.output[0] = name
        self._outputs.append(self._value_info(name, np.float32, shape))

    def _value_info(self, name: str, dtype: type, shape: Sequence[int | str]) -> Any:
        code = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._onnx.helper.make_tensor_value_info(name, code, list(shape))

    def constant(self, array: np.ndarray, name: str | None = None) -> Value:
        """A constant; numbers are stored as they are, without a name under one that is free."""
        name = name or f"c{len(self._constants)}"
        assert name not in self._constants, name
        self._constants[name] = np.ascontiguousarray(array)
        return name

    def floats(self, *numbers: float) -> Value:
        """A constant vector of fp32."""
        return self.constant(np.array(numbers, np.float32))

    def ints(self, *numbers: int) -> Value:
        """A constant vector of int64."""
        return self.constant(np.array(numbers, np.int64))

    def node(self, op: str, *inputs: Value, result: int = 0, **attributes: Any) -> Value:
        """Result of an operator; of several, the one with this number."""
        name = f"{op}{len(self._nodes)}"
        outputs = [*[""] * result, name]
        self._nodes.append(self._onnx.helper.make_node(op, list(inputs), outputs, name=name, **attributes))
        return name

    def sum(self, *values: Value) -> Value:
        """The sum of two or more values."""
        first, *others = values
        for other in others:
            first = self.node("Add", first, other)
        return first

    def cut(self, x: Value, axis: int, start: int, stop: int | None = None) -> Value:
        """``x[start:stop]`` along an axis."""
        end = np.iinfo(np.int64).max if stop is None else stop
        return self.node("Slice", x, self.ints(start), self.ints(end), self.ints(axis))

    def join(self, axis: int, *values: Value) -> Value:
        """Values one after another along an axis."""
        return self.node("Concat", *values, axis=axis)

    def with_last_frames(self, x: Value, count: int, num_frames: int, shape: tuple[int, ...], name: str) -> Value:
        """The last ``count`` frames of the chunk before, then the chunk.

        ::

            chunks of 4 frames, count 2: [- - 0 1 2 3], then [2 3 4 5 6 7]

        Args:
            x: The chunk.
            count: Frames that are kept, at most ``num_frames``; x itself for 0.
            num_frames: Frames of the chunk.
            shape: Shape of one frame.
            name: Of the state.
        """
        if not count:
            return x
        state = State(name=f"state_{len(self.states):02}_{name}", shape=(count, *shape))
        self.states.append(state)
        self.input(state.name, np.float32, state.shape)
        self.output(self.cut(x, 0, num_frames - count), f"new_{state.name}", state.shape)
        return self.join(0, state.name, x)

    def model(self, name: str, metadata: Mapping[str, str]) -> bytes:
        """The graph as the content of an .onnx file, the same for equal graphs."""
        helper, numpy_helper = self._onnx.helper, self._onnx.numpy_helper
        constants = [numpy_helper.from_array(array, label) for label, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="e2espot")
        model.ir_version = _IR_VERSION
        helper.set_model_props(model, dict(metadata))
        self._onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return]

"""Engines that compute the graphs of an exported spotter: ONNX Runtime and OpenVINO, on the CPU.

Each is imported only when a spotter of its format is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from e2espot.core.device import Precision
from e2espot.core.errors import CheckpointError, ConfigurationError, first_line
from e2espot.inference.exported_spec import Format


class Graph(Protocol):
    """A loaded graph."""

    @property
    def shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Name of each input -> its shape; None for a length that may be any."""

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by their names."""


def load_graph(file: Path, form: Format, precision: Precision = "fp32") -> Graph:
    """A graph, ready to run.

    Args:
        file: ``.onnx``, or ``.xml`` with its ``.bin`` next to it.
        form: What the file holds.
        precision: ``auto`` is what the engine chooses for this CPU: OpenVINO computes in bf16 where the CPU does.

    Raises:
        CheckpointError: the file is missing, or damaged.
        ConfigurationError: the engine is not installed, or has no such number format.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file; export the spotter again")
    if form == "openvino":
        return _OpenVinoGraph(file, precision)
    if precision not in ("auto", "fp32"):
        raise ConfigurationError(f"precision is {precision}; ONNX Runtime has fp32 on a CPU", option="precision")
    return _OnnxGraph(file)


def num_threads() -> int:
    """Threads of an engine: those that ``OMP_NUM_THREADS`` allows; 0 lets it choose."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdecimal() else 0


def missing_engine(package: str) -> ConfigurationError:
    """The error for an engine that is not installed."""
    return ConfigurationError(f'this spotter needs {package}, which is not installed: pip install "{package}"')


class _OnnxGraph:
    """A graph in ONNX Runtime."""

    def __init__(self, file: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise missing_engine("onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads()
        options.log_severity_level = 3  # errors; they are raised as well
        try:
            self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the engine's errors have no common class but Exception
            raise CheckpointError(f"{file}: not a graph that ONNX Runtime can load ({first_line(error)})") from None
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.shapes = {
            value.name: tuple(extent if isinstance(extent, int) else None for extent in value.shape)
            for value in self._session.get_inputs()
        }

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))


class _OpenVinoGraph:
    """A graph in OpenVINO."""

    def __init__(self, file: Path, precision: Precision) -> None:
        try:
            import openvino
        except ImportError:
            raise missing_engine("openvino") from None
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if precision != "auto":
            config["INFERENCE_PRECISION_HINT"] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}[precision]
        if num_threads():
            config["INFERENCE_NUM_THREADS"] = num_threads()
        try:
            model = openvino.Core().compile_model(str(file), "CPU", config)
        except Exception as error:  # the engine's errors have no common class but Exception
            raise CheckpointError(f"{file}: not a graph that OpenVINO can load ({first_line(error)})") from None
        self._outputs = [output.get_any_name() for output in model.outputs]
        self.shapes = {
            value.get_any_name(): tuple(
                extent.get_length() if extent.is_static else None for extent in value.get_partial_shape()
            )
            for value in model.inputs
        }
        self._request = model.create_infer_request()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._request.infer(dict(inputs), share_inputs=True)
        # The engine writes the next outputs into the same memory.
        return {name: self._request.get_output_tensor(index).data.copy() for index, name in enumerate(self._outputs)}

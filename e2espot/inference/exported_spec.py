"""The file ``spotter.json`` of an exported spotter: everything beyond its two graphs.

This module imports neither torch nor an engine.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from e2espot.core.errors import CheckpointError, ConfigurationError, one_line
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import parse_fps
from e2espot.suppression.calibration import Calibration

SPEC_FILE = "spotter.json"
"""Name of the file; a folder that holds it is an exported spotter."""
VERSION = 1
"""Version of the folder's layout."""

Format = Literal["onnx", "openvino"]
"""Form of the graphs."""
GRAPH_ENDINGS: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml"}
"""Ending of the files of the graphs, ``backbone`` and ``head``."""

_Count = Annotated[int, Meta(ge=1, le=100_000)]
_CountOrZero = Annotated[int, Meta(ge=0, le=100_000)]
_Numbers = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class StateSpec:
    """What the backbone's graph takes from the chunk before."""

    name: str
    """Name of the input; that of the output is ``new_NAME``."""
    shape: tuple[_Count, ...]
    """Frames, channels, height, width; all zeros before the first chunk."""


@dataclass(frozen=True, kw_only=True)
class ExportedSpec:
    """How the graphs of an exported spotter are fed, and how their scores become events."""

    format: Format
    """Form of the graphs."""
    feature_arch: str
    """Backbone, such as ``rny002_gsm``."""
    temporal_arch: str
    """Temporal head, such as ``gru``."""
    classes: tuple[str, ...]
    """Columns of the scores, without background."""
    fps: str
    """Rate of the frames, such as ``25`` or ``25/2``."""
    width: _Count
    """Width of the frames, in pixels."""
    height: _Count
    """Height of the frames, in pixels."""
    mean: _Numbers
    """RGB of 0 to 255 that the backbone's graph subtracts."""
    std: _Numbers
    """RGB by which it divides then."""
    chunk_len: _Count
    """Frames that the backbone's graph takes at a time."""
    halo: _CountOrZero
    """Frames by which its features are late, and of padding at each end of a video."""
    feature_dim: _Count
    """Width of the features."""
    states: tuple[StateSpec, ...]
    """In the order of their inputs."""
    clip_len: _Count
    """Frames of a window of the head; windows overlap by half."""
    grid_factor: Annotated[int, Meta(ge=1, le=2)]
    """Rows of the scores per frame."""
    team: bool
    """Whether a last column is the probability that the right team acts."""
    calibration: dict[str, Any]
    """Suppression, shifts in time and map of confidences: see ``docs/formats.md``."""
    norms: str
    """What the statistics of the batch norms are of: ``training``, or a video that the spotter was adapted to."""
    e2espot_version: str
    """Version of the package that wrote the folder."""
    version: int = VERSION
    """Version of the folder's layout."""
    look_ahead: _CountOrZero | None = None
    """Frames after a frame that its score depends on, which is in the head's graph; None for all of the windows."""

    def graph_file(self, name: str) -> str:
        """File name of the graph ``backbone`` or ``head``."""
        return name + GRAPH_ENDINGS[self.format]

    def to_json(self) -> bytes:
        """Content of ``spotter.json``."""
        content = asdict(self)
        if self.look_ahead is None:  # earlier versions know no such field
            del content["look_ahead"]
        return (json.dumps(content, indent=1) + "\n").encode()


def is_exported(path: Path) -> bool:
    """Whether a path is the folder of an exported spotter."""
    return (path / SPEC_FILE).is_file()


def read_exported_spec(folder: Path) -> ExportedSpec:
    """The content of a folder's ``spotter.json``.

    Raises:
        CheckpointError: it is missing, damaged, or of a later version.
    """
    file = folder / SPEC_FILE
    try:
        content = msgspec.json.decode(file.read_bytes())
        if isinstance(content, dict):
            if content.get("version") != VERSION:
                raise ValueError(f"version is {content.get('version')!r:.20}, and this package reads {VERSION}")
            unknown = sorted(content.keys() - {field.name for field in fields(ExportedSpec)})
            if unknown:  # msgspec passes over unknown fields of a dataclass
                raise ValueError(f"unknown fields {unknown!r:.80}")
        spec = msgspec.convert(content, ExportedSpec, strict=True)
        parse_fps(spec.fps)
        LabelSet(spec.classes)
        Calibration.from_json(spec.calibration)
    except (OSError, ValueError, RecursionError, ConfigurationError, CheckpointError) as error:
        raise CheckpointError(
            f"{file}: not readable as an exported spotter ({one_line(error)}); export again"
        ) from None
    return spec

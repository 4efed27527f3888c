"""Encode the content of a file as bytes, and change arrays in ways that a file could hold."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor


def encode(encoding: str, content: Any) -> bytes:
    """Bytes of a file with this content."""
    return {
        "gz": lambda value: gzip.compress(_json(value), mtime=0),
        "text": lambda value: str(value).encode("utf-8", "surrogatepass"),
        "yaml": _yaml,
        "json": _json,
        "jsonl": lambda value: b"".join(_json(line) + b"\n" for line in _list(value)),
        "header": lambda value: _safetensors({"__metadata__": {"e2espot": json.dumps(value)}}),
        "tensors": _tensors,
        "torch": _torch,
        "npz": _npz,
        "zip": _zip,
    }[encoding](content)


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _list(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _yaml(content: Any) -> bytes:
    try:
        return yaml.safe_dump(content, sort_keys=False).encode("utf-8", "surrogatepass")
    except ValueError:
        return _json(content)


def _safetensors(head: dict[str, Any], body: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + body


def _tensors(content: Any) -> bytes:
    """A weights file: ``{"spec": ..., "tensors": {...}}``; values other than tensors are left out."""
    from safetensors.torch import save

    content = content if isinstance(content, dict) else {}
    tensors = content.get("tensors") if isinstance(content.get("tensors"), dict) else {}
    by_name = {_text(name): value.contiguous() for name, value in tensors.items() if isinstance(value, Tensor)}
    return bytes(save(by_name, metadata={"e2espot": json.dumps(content.get("spec"))}))


def _torch(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _npz(content: Any) -> bytes:
    buffer = io.BytesIO()
    content = content if isinstance(content, dict) else {"file": content}
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, value in content.items():
            array = io.BytesIO()
            np.save(array, value if isinstance(value, np.ndarray) else _array(value))
            archive.writestr(_text(name) + ".npy", array.getvalue())
    return buffer.getvalue()


def _array(value: Any) -> np.ndarray:
    try:
        return np.array(value)
    except (ValueError, RuntimeError):
        pickled = np.empty((), dtype=object)  # which no reader may unpickle
        pickled[()] = value
        return pickled


def _zip(content: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in content.items() if isinstance(content, dict) else ():
            archive.writestr(_text(name) or "x", _json(value))
    return buffer.getvalue()


def _text(name: Any) -> str:
    return str(name).encode("utf-8", "replace").decode().replace("\0", "0")[:200]


def _for_arrays(change: Callable[[np.ndarray], Any]) -> Callable[[Any], Any]:
    """Apply ``change`` to arrays and tensors alike; other values become None."""

    def apply(value: Any) -> Any:
        if isinstance(value, Tensor):
            return torch.from_numpy(np.array(change(value.detach().numpy())))
        return np.array(change(value)) if isinstance(value, np.ndarray) else None

    return apply


def _filled(value: float) -> Callable[[np.ndarray], Any]:
    def fill(array: np.ndarray) -> Any:
        changed = array.astype(np.float32) if array.dtype.kind in "fiub" else np.zeros(array.shape, np.float32)
        changed.reshape(-1)[:1] = value
        return changed

    return fill


ARRAY_CHANGES = tuple(
    map(
        _for_arrays,
        (
            lambda a: a[None],
            lambda a: a.reshape(-1),
            lambda a: a.T,
            lambda a: a[:0] if a.ndim else a.reshape(1)[:0],
            lambda a: a.reshape(-1)[:1].reshape(()),
            lambda a: np.concatenate((a, a)) if a.ndim else a,
            lambda a: a[1:] if a.ndim else a,
            lambda a: np.zeros(a.shape, np.float64),
            lambda a: np.zeros(a.shape, np.float16),
            lambda a: np.zeros(a.shape, np.int8),
            lambda a: np.ones(a.shape, bool),
            lambda a: np.zeros(a.shape, np.complex64),
            lambda a: -np.ones(a.shape, np.float32),
            _filled(float("nan")),
            _filled(float("inf")),
            _filled(1e30),
        ),
    )
)
"""What becomes of an array: other shapes, other kinds of number, values that cannot be."""

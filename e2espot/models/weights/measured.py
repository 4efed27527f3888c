"""What a spotter scores on real footage, recorded in its weights file.

A figure that is written elsewhere stays when the weights are replaced. In the metadata of the file it belongs to these
weights only; new weights have none until they are measured.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from e2espot.core.errors import CheckpointError
from e2espot.core.wording import counted
from e2espot.files.atomic import write_atomically

MEASURED_FIELD = "e2espot_real_footage"
"""Metadata field of the record."""
_MAX_HEADER = 100 << 20


@dataclass(frozen=True, kw_only=True)
class RealFootageScore:
    """Score on labelled clips of filmed matches that the spotter was not trained on."""

    at1: float
    """Pooled mAP at one second, as a fraction."""
    low: float
    """Lower end of its interval over the choice of clips."""
    high: float
    """Upper end of the interval."""
    clips: int
    """Number of clips."""
    events: int
    """Number of labelled events that count."""

    def describe(self) -> str:
        """``26 mAP@1 on real footage (30 clips, 101 events; 90% interval 21 to 34)``."""
        return (
            f"{100 * self.at1:.0f} mAP@1 on real footage ({counted(self.clips, 'clip')}, "
            f"{counted(self.events, 'event')}; 90% interval {100 * self.low:.0f} to {100 * self.high:.0f})"
        )


def read_measured(file: Path) -> RealFootageScore | None:
    """The record of a weights file; None if these weights were not measured. Reads the header alone, without torch.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    header, _ = _split(file)
    text = header.get("__metadata__", {}).get(MEASURED_FIELD)
    if text is None:
        return None
    try:
        return msgspec.convert(json.loads(text), RealFootageScore, strict=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: its record of real footage is damaged ({error}); measure it again") from None


def write_measured(file: Path, score: RealFootageScore) -> None:
    """Put a record into a weights file; the tensors and all other metadata keep their bytes.

    Raises:
        CheckpointError: the file is missing or damaged.
        E2ESpotError: it cannot be written.
    """
    header, body = _split(file)
    metadata = {**header.pop("__metadata__", {}), MEASURED_FIELD: json.dumps(asdict(score))}
    ordered = {"__metadata__": dict(sorted(metadata.items())), **header}
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-len(text) % 8 + len(text))  # the tensors begin at a multiple of 8 bytes
    write_atomically(file, len(text).to_bytes(8, "little") + text + body)


def _split(file: Path) -> tuple[dict[str, Any], bytes]:
    """Header and tensors of a safetensors file: an 8-byte length, a JSON header of that length, the tensors."""
    try:
        data = file.read_bytes()
        size = int.from_bytes(data[:8], "little")
        if len(data) < 8 or size > min(_MAX_HEADER, len(data) - 8):
            raise ValueError("its header is longer than the file")
        header = json.loads(data[8 : 8 + size])
        if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
            raise ValueError("its header is not an object")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not a readable safetensors file ({error})") from None
    return header, data[8 + size :]

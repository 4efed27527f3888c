"""Runs conversions, and writes and reads their JSON files."""

import json
from pathlib import Path
from typing import Any

from e2espot.formats.conversion import Conversion, Converted, convert

ROOT = Path(__file__).parents[2]
GAME = "england_efl/2019-2020/2019-10-01 - Reading - Fulham"


def run_conversion(
    source: Path, target: Path, from_format: str, to_format: str, *, predictions: bool = False, **more
) -> Converted:
    return convert(
        Conversion(
            source=source,
            target=target,
            from_format=from_format,  # type: ignore[arg-type]
            to_format=to_format,  # type: ignore[arg-type]
            predictions=predictions,
            **more,
        )
    )


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))

"""Turn files of one format into another: python tools/convert.py labels SRC DST --from soccernet --to e2e-spot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from e2espot.command import run_command

_Format = Literal["soccernet", "opensportslab", "e2e-spot", "soccertrack-v2", "sn-gar"]


@dataclass(frozen=True, kw_only=True)
class Events:
    """Events in files: both ways between SoccerNet, OpenSportsLab, E2E-Spot, SoccerTrack-v2 and SN-GAR."""

    source: tyro.conf.Positional[Path]
    """File or folder to read."""
    target: tyro.conf.Positional[Path]
    """Folder to write to; for OpenSportsLab and SN-GAR also one .json file."""
    from_format: Annotated[_Format, tyro.conf.arg(name="from")]
    """Format to read."""
    to_format: Annotated[_Format, tyro.conf.arg(name="to")]
    """Format to write."""
    label_file: str | None = None
    """Name of SoccerNet's label files; Labels-ball.json or Labels-v2.json, whichever fits, without it."""
    overwrite: bool = False
    """Replace files that are there already."""
    periods: Path | None = None
    """SoccerTrack's bas_periods.json: when each half was filmed; the nominal 0:00 and 45:00 without it."""


@dataclass(frozen=True, kw_only=True)
class Labels(Events):
    """Labels, with every field, from one format into another."""


@dataclass(frozen=True, kw_only=True)
class Predictions(Events):
    """Predictions, with every field, from one format into another."""


def main() -> None:
    """Convert, then say what was dropped."""
    told = tyro.extras.subcommand_cli_from_dict({"labels": Labels, "predictions": Predictions})
    _convert_events(told)


def _convert_events(told: Events) -> None:
    from e2espot.formats.conversion import Conversion, convert

    converted = convert(
        Conversion(
            source=told.source,
            target=told.target,
            from_format=told.from_format,
            to_format=told.to_format,
            predictions=isinstance(told, Predictions),
            label_file=told.label_file,
            overwrite=told.overwrite,
            periods=told.periods,
        )
    )
    print(
        f"{converted.num_moments} events of {converted.num_recordings} videos -> "
        f"{', '.join(map(str, converted.paths[:3]))}{f' and {n - 3} more' if (n := len(converted.paths)) > 3 else ''}"
    )
    print("dropped, rounded or filled in:" if converted.losses else "nothing dropped")
    for line in converted.losses:
        print(f"  {line}")


if __name__ == "__main__":
    run_command(main)

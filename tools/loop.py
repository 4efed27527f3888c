"""Measure what a person's corrections are worth: python tools/loop.py -o out/loop."""

from __future__ import annotations

import json

import tyro

from e2espot.benchmarks.loop import Loop, run_loop
from e2espot.command import run_command


def main() -> None:
    """Run it and print its points."""
    for point in run_loop(tyro.cli(Loop)):
        print(json.dumps(point))


if __name__ == "__main__":
    run_command(main)

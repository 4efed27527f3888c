"""Measure what a person's corrections are worth: e2espot loop -o out/loop."""

from __future__ import annotations

import json

import tyro

from e2espot.studies.review_loop import Loop, run_loop


def main(arguments: list[str]) -> None:
    """Run it and print its points."""
    for point in run_loop(tyro.cli(Loop, args=arguments, prog="e2espot loop")):
        print(json.dumps(point))

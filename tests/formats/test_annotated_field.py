"""The field ``annotated`` of a label file."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from e2espot.core.annotated import AnnotatedRanges
from e2espot.core.errors import AnnotationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.formats.annotated_field import annotated_field, read_annotated
from e2espot.formats.soccernet import read_labels

HALVES = {1: AnnotatedRanges(ranges_ms=((0, 600_000), (700_000, 800_000))), 2: AnnotatedRanges()}


def test_field_is_read_as_written(tmp_path: Path) -> None:
    content = {**annotated_field(HALVES), "annotations": []}
    assert read_annotated(content, "g") == HALVES
    (tmp_path / "Labels-ball.json").write_text(json.dumps(content))
    assert read_labels(tmp_path / "Labels-ball.json", LABEL_SETS["ball-2"], fps=Fraction(25)).annotated == HALVES


def test_no_field_means_everything() -> None:
    assert annotated_field({}) == {} == read_annotated({}, "g")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "expected a list"),
        ([{"half": "6", "stretches": []}], "'half' is '6'"),
        ([{"half": "1"}], "'stretches' is missing"),
        ([{"half": "1", "stretches": [{"from": 5, "to": 4}]}], r"annotated\[0\]: stretches\[0\]: ends at 4 ms"),
        ([{"half": "1", "stretches": []}, {"half": 1, "stretches": []}], "names a half twice"),
    ],
)
def test_other_forms_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_annotated({"annotated": rows}, "g")

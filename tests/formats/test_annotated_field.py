"""The fields ``annotated`` and ``unsure`` of a label file."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from e2espot.core.annotated import AnnotatedRanges
from e2espot.core.errors import AnnotationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.formats.annotated_field import (
    annotated_field,
    read_annotated,
    read_annotated_classes,
    read_unsure,
    unsure_field,
)
from e2espot.formats.label_map import LabelMap
from e2espot.formats.soccernet import read_labels
from tests.support.conversions import read_json, run_conversion

HALVES = {1: AnnotatedRanges(ranges_ms=((0, 600_000), (700_000, 800_000))), 2: AnnotatedRanges()}


def test_field_is_read_as_written(tmp_path: Path) -> None:
    content = {**annotated_field(HALVES), "annotations": []}
    assert read_annotated(content, "g") == HALVES
    (tmp_path / "Labels-ball.json").write_text(json.dumps(content))
    assert read_labels(tmp_path / "Labels-ball.json", LABEL_SETS["ball-2"], fps=Fraction(25)).annotated == HALVES


def test_unsure_field_is_read_as_written(tmp_path: Path) -> None:
    content = {**unsure_field(HALVES), "annotations": []}
    assert content["unsure"] == [
        {"half": "1", "stretches": [{"from": 0, "to": 600_000}, {"from": 700_000, "to": 800_000}]}
    ]
    assert read_unsure(content, "g") == {1: HALVES[1]}
    assert read_annotated(content, "g") == {} == unsure_field({}) == read_unsure({}, "g")
    (tmp_path / "Labels-ball.json").write_text(json.dumps(content))
    assert read_labels(tmp_path / "Labels-ball.json", LABEL_SETS["ball-2"], fps=Fraction(25)).unsure == {1: HALVES[1]}


def test_no_field_means_everything() -> None:
    assert annotated_field({}) == {} == read_annotated({}, "g")


@pytest.mark.parametrize(("name", "read"), [("annotated", read_annotated), ("unsure", read_unsure)])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "expected a list"),
        ([{"half": "6", "stretches": []}], "'half' is '6'"),
        ([{"half": "1"}], "'stretches' is missing"),
        ([{"half": "1", "stretches": [{"from": 5, "to": 4}]}], r"\[0\]: stretches\[0\]: ends at 4 ms"),
        ([{"half": "1", "stretches": []}, {"half": 1, "stretches": []}], "names a half twice"),
    ],
)
def test_other_forms_are_refused(rows: Any, message: str, name: str, read: Any) -> None:
    with pytest.raises(AnnotationError, match=f"g: .*{name}.*{message}|g: {name}.*{message}"):
        read({name: rows}, "g")


def test_annotated_classes_are_read_under_their_new_names(tmp_path: Path) -> None:
    content = {"annotated_classes": ["PASS", "HIGH PASS", "OUT"], "annotations": []}
    label_map = LabelMap(names={"HIGH PASS": "PASS", "OUT": None})
    assert read_annotated_classes(content, "g") == {"PASS", "HIGH PASS", "OUT"}
    assert read_annotated_classes(content, "g", label_map) == {"PASS"}
    assert read_annotated_classes({"annotations": []}, "g") is None
    (tmp_path / "a" / "g").mkdir(parents=True)
    (tmp_path / "a" / "g" / "Labels-ball.json").write_text(json.dumps(content))
    (tmp_path / "map.yaml").write_text("HIGH PASS: PASS\nOUT: null\n")
    for map_file, names in ((None, content["annotated_classes"]), (tmp_path / "map.yaml", ["PASS"])):
        run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "soccernet", map=map_file, overwrite=True)
        assert read_json(tmp_path / "b" / "g" / "Labels-ball.json")["annotated_classes"] == names


@pytest.mark.parametrize("value", [[], "PASS", ["PASS", ""], [1]])
def test_annotated_classes_of_other_forms_are_refused(value: Any) -> None:
    with pytest.raises(AnnotationError, match="annotated_classes"):
        read_annotated_classes({"annotated_classes": value}, "g")

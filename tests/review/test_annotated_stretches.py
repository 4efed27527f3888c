"""What was reviewed becomes what was annotated: in the label file, on disk, undone, and in exports."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.annotated import AnnotatedRanges
from e2espot.core.errors import AnnotationError
from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import MAX_DURATION_MS
from e2espot.formats.annotated_field import annotated_field, read_annotated, unsure_field
from e2espot.review.annotated_stretches import complement, fields_after_mark, range_of_frames
from e2espot.review.export import ExportedGame, export_opensportslab, with_pseudo_labels
from e2espot.review.label_store import ConflictError, LabelStore
from e2espot.review.state import ChangeOrigin

LABEL = {"gameTime": "1 - 00:02", "label": "PASS", "position": "2020"}


def ranges(*pairs: tuple[int, int]) -> AnnotatedRanges:
    return AnnotatedRanges(ranges_ms=pairs)


def origin(op: str, seen: int) -> ChangeOrigin:
    return ChangeOrigin(tab="t", op=op, name="annotate", seen=seen)


def content(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "Labels-ball.json"
    path.write_text(json.dumps({"UrlLocal": "a", "annotations": [LABEL]}))
    return path


def test_first_marked_stretch_is_all_that_was_annotated(labels: Path) -> None:
    before = labels.read_bytes()
    store = LabelStore(labels)
    store.mark_annotated(1, 25, 49, origin("1", store.revision), complete=True, halves={1, 2})
    assert read_annotated(content(labels), "") == {1: ranges((1000, 2000)), 2: ranges()}
    store.mark_annotated(1, 50, 74, origin("2", store.revision), complete=True, halves={1, 2})
    store.mark_annotated(1, 30, 34, origin("3", store.revision), complete=False, halves={1, 2})
    assert read_annotated(content(labels), "") == {1: ranges((1000, 1200), (1400, 3000)), 2: ranges()}
    assert content(labels)["annotations"] == [LABEL]
    store.close()
    store = LabelStore(labels)  # the journal knows it too
    assert store.snapshot()["annotated"] == {"1": [(1000, 1200), (1400, 3000)], "2": []}
    for op in ("u1", "u2", "u3"):
        store.undo("t", op)
    assert content(labels) == json.loads(before)
    store.close()


def test_marks_of_two_tabs_conflict_and_marks_twice_are_refused(labels: Path) -> None:
    store = LabelStore(labels)
    seen = store.revision
    store.mark_annotated(1, 0, 24, origin("1", seen), complete=True, halves={1})
    with pytest.raises(ConflictError):
        store.mark_annotated(1, 50, 60, origin("2", seen), complete=True, halves={1})
    with pytest.raises(AnnotationError, match="marked as annotated already"):
        store.mark_annotated(1, 5, 9, origin("3", store.revision), complete=True, halves={1})
    with pytest.raises(AnnotationError, match="marked as not annotated already"):
        store.mark_annotated(1, 50, 60, origin("4", store.revision), complete=False, halves={1})
    store.close()


def test_half_that_the_file_does_not_list_was_annotated_in_full() -> None:
    top = annotated_field({1: ranges((0, 1000))})
    with pytest.raises(AnnotationError, match="already"):
        fields_after_mark(top, 2, (0, 500), complete=True, halves={1, 2})
    after = fields_after_mark(top, 2, (0, 500), complete=False, halves={1, 2})
    assert read_annotated(after, "") == {1: ranges((0, 1000)), 2: ranges((500, MAX_DURATION_MS))}


def test_reviewed_stretch_is_not_unsure_any_more() -> None:
    top = unsure_field({1: ranges((0, 3000), (5000, 6000))})
    after = fields_after_mark(top, 1, (1000, 5500), complete=True, halves={1})
    assert after["unsure"] == unsure_field({1: ranges((0, 1000), (5500, 6000))})["unsure"]
    assert fields_after_mark(top, 1, (0, 9000), complete=True, halves={1})["unsure"] is None


@pytest.mark.parametrize("annotated", [5, [{"half": "1"}], [{"half": "1", "stretches": [{"from": 9, "to": 1}]}]])
def test_broken_fields_are_reported_by_the_mark_and_shown_as_none(labels: Path, annotated: Any) -> None:
    labels.write_text(json.dumps({"annotated": annotated, "annotations": [LABEL]}))
    store = LabelStore(labels)
    assert store.snapshot()["annotated"] == {}
    with pytest.raises(AnnotationError, match="annotated"):
        store.mark_annotated(1, 0, 24, origin("1", store.revision), complete=True, halves={1})
    store.close()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()), min_size=1, max_size=12))
def test_marks_say_of_every_frame_what_was_said_last(marks: list[tuple[int, int, bool]]) -> None:
    top: dict[str, Any] = {}
    wanted = [True] * 45
    for a, b, complete in marks:
        first, last = min(a, b), max(a, b)
        if complete and not top.get("annotated"):
            wanted = [False] * 45
        wanted[first : last + 1] = [complete] * (last + 1 - first)
        try:
            top |= fields_after_mark(top, 1, range_of_frames(first, last), complete=complete, halves={1})
        except AnnotationError:
            continue
        assert [read_annotated(top, "")[1].contains(frame * 40 + 20) for frame in range(45)] == wanted


def test_what_was_reviewed_is_in_every_export(labels: Path) -> None:
    store = LabelStore(labels)
    store.mark_annotated(1, 0, 99, origin("1", store.revision), complete=True, halves={1})
    game = ExportedGame(name="g", videos=(), text=store.text())
    store.close()
    (sample,) = export_opensportslab([game], LABEL_SETS["ball-2"]).document["data"]
    assert sample["metadata"]["annotation_status"] == "verified"
    assert sample["metadata"]["intervals"] == [{"start_ms": 0, "end_ms": 4000}]
    # Assumed labels are learnt; elsewhere outside of what was reviewed nothing is.
    events = [Event(frame=frame, label="PASS", confidence=0.9) for frame in (20, 150)]
    assumed = json.loads(with_pseudo_labels(store.text(), events, {}, 0.6))
    assert [row["position"] for row in assumed["annotations"]] == ["2020", "6020"]
    assert "annotated" not in assumed
    assert assumed["unsure"] == unsure_field({1: ranges((4000, MAX_DURATION_MS))})["unsure"]


def test_complement_of_everything_is_nothing() -> None:
    halves = {1: ranges(), 2: ranges((5, 9))}
    assert complement(halves, (1, 2, 3)) == {
        1: ranges((0, MAX_DURATION_MS)),
        2: ranges((0, 5), (9, MAX_DURATION_MS)),
        3: ranges(),
    }

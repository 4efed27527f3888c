"""Nothing that was confirmed is ever lost, and nothing of others is written over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError, ConfigurationError, E2ESpotError
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.soccernet import read_labels
from e2espot.review.label_rows import Place, place_of, verdict_key
from e2espot.review.label_store import ConflictError, LabelStore

SOURCE = {
    "UrlLocal": "a/b",
    "ours": {"kept": [1.5, None, "ü"]},
    "annotations": [
        {"gameTime": "1 - 00:01", "label": "PASS", "position": "1013", "team": "left", "visibility": "visible", "x": 7},
        {"gameTime": "1 - 00:03", "label": "DRIVE", "position": 3000},
        {"label": "no time"},
        "not a row",
        {"gameTime": "2 - 00:02", "label": "PASS", "position": "2000", "visibility": "not shown"},
    ],
}
_count = iter(range(10**9))


def who(store: LabelStore, tab: str = "a", seen: int | None = None) -> dict:
    op = f"{tab}{next(_count)}"
    return {"tab": tab, "op": op, "name": "test", "seen": store.revision if seen is None else seen}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "Labels-ball.json"
    path.write_text(json.dumps(SOURCE))
    return path


def rows(path: Path) -> list:
    return json.loads(path.read_text())["annotations"]


def place(frame: int, label: str = "PASS", half: int = 1) -> Place:
    return Place(half=half, frame=frame, label=label)


def test_opening_changes_nothing(source: Path) -> None:
    before = source.read_bytes()
    LabelStore(source).close()
    assert source.read_bytes() == before
    assert not list(source.parent.glob("*.before-review*"))


def test_added_labels_are_in_the_middle_of_their_frame_and_in_order_of_time(source: Path) -> None:
    store = LabelStore(source)
    store.add(place(50), **who(store))
    after = rows(source)
    assert after[1] == {
        "gameTime": "1 - 00:02",
        "label": "PASS",
        "position": "2020",
        "team": "",
        "visibility": "visible",
    }
    assert [after[0], *after[2:]] == SOURCE["annotations"]
    assert json.loads(source.read_text())["ours"] == SOURCE["ours"]


def test_moving_keeps_unknown_fields_and_the_kind_of_number(source: Path) -> None:
    store = LabelStore(source)
    ids = [label["id"] for label in store.snapshot()["labels"]]
    store.change(ids[0], place(30), **who(store))
    store.change(ids[1], place(75, "PASS"), **who(store))
    first, second = rows(source)[:2]
    assert first == SOURCE["annotations"][0] | {"gameTime": "1 - 00:01", "position": "1220"}
    assert second == {"gameTime": "1 - 00:03", "label": "PASS", "position": 3000}  # class alone: the time stays
    store.change(ids[1], place(76), **who(store))
    assert rows(source)[1]["position"] == 3060


def test_the_source_is_kept_before_the_first_change(source: Path) -> None:
    before = source.read_bytes()
    store = LabelStore(source)
    store.add(place(50), **who(store))
    store.add(place(60), **who(store))
    store.close()
    kept = source.with_name("Labels-ball.json.before-review")
    assert kept.read_bytes() == before
    source.write_text(json.dumps({"annotations": []}))
    store = LabelStore(source)
    assert store.snapshot()["labels"] == []
    store.add(place(70), **who(store))
    assert kept.read_bytes() == before
    assert rows(source.with_name("Labels-ball.json.before-review-2")) == []


def test_another_target_leaves_the_source_alone(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    target = tmp_path / "out" / "game" / "Labels-ball.json"
    store = LabelStore(target, source)
    store.add(place(50), **who(store))
    assert source.read_bytes() == before
    assert len(rows(target)) == 6
    assert [p.name for p in target.parent.iterdir()] == ["Labels-ball.review.jsonl", "Labels-ball.json"] or len(
        list(target.parent.iterdir())
    ) == 2


def test_what_is_written_is_ready_for_training(tmp_path: Path) -> None:
    target = tmp_path / "Labels-ball.json"
    store = LabelStore(target)
    for frame in (700, 3, 90_000):
        store.add(place(frame, "DRIVE"), **who(store))
    events = read_labels(target, LabelSet(("PASS", "DRIVE")), fps=DEFAULT_FPS).events
    assert [event.frame for event in events] == [3, 700, 90_000]


def test_undo_and_redo_go_back_through_restarts(source: Path) -> None:
    store = LabelStore(source)
    texts = [store.text()]
    prediction = place(40)
    store.accept(prediction, place(41), **who(store))
    texts.append(store.text())
    number = store.snapshot()["labels"][0]["id"]
    store.change(number, None, **who(store))
    texts.append(store.text())
    store.judge(verdict_key(place(99)), "rejected", **who(store))
    store.close()
    store = LabelStore(source)
    assert store.verdicts() == {"1/40/PASS": "accepted 5", "1/99/PASS": "rejected"}
    store.undo("a", "u1")
    assert store.verdicts() == {"1/40/PASS": "accepted 5"}
    store.undo("a", "u2")
    assert store.text() == texts[1]
    assert store.undo("a", "u2").revision == store.revision  # sent twice, done once
    store.undo("a", "u3")
    assert store.text() == texts[0]
    assert store.verdicts() == {}
    with pytest.raises(ConflictError, match="nothing to undo"):
        store.undo("a", "u4")
    store.undo("a", "r1", redo=True)
    store.undo("a", "r2", redo=True)
    assert store.text() == texts[2]
    assert source.read_bytes() == texts[2]
    store.add(place(5), **who(store))
    with pytest.raises(ConflictError, match="nothing to redo"):
        store.undo("a", "r3", redo=True)


def test_removing_what_was_accepted_rejects_it(source: Path) -> None:
    store = LabelStore(source)
    store.accept(place(40), place(41), **who(store))
    number = next(label["id"] for label in store.snapshot()["labels"] if label["frame"] == 41)
    store.change(number, place(43), **who(store))
    store.change(number, None, **who(store))
    assert store.verdicts() == {"1/40/PASS": "rejected"}
    store.undo("a", "u")
    assert store.verdicts() == {"1/40/PASS": f"accepted {number}"}
    assert 43 in [label["frame"] for label in store.snapshot()["labels"]]


def test_two_tabs_do_not_write_over_each_other(source: Path) -> None:
    store = LabelStore(source)
    number = store.snapshot()["labels"][0]["id"]
    seen = store.revision
    store.change(number, place(31), **who(store, "a", seen))
    with pytest.raises(ConflictError, match="another tab"):
        store.change(number, place(29), **who(store, "b", seen))
    store.add(place(500), **who(store, "b", seen))  # something else: no conflict
    assert [label["frame"] for label in store.snapshot()["labels"]][:2] == [31, 75]
    store.change(number, place(32), **who(store, "b"))
    with pytest.raises(ConflictError, match="changed again"):
        store.undo("a", "u")
    with pytest.raises(ConflictError, match="nothing to undo"):
        store.undo("c", "u")
    store.undo("c", "v", gone=lambda tab: tab == "b")  # the tab that did it is closed
    assert store.snapshot()["labels"][0]["frame"] == 31
    store.change(number, None, **who(store))
    with pytest.raises(ConflictError, match="is gone"):
        store.change(number, place(32), **who(store, "b", 10**9))


def test_a_change_sent_twice_counts_once(source: Path) -> None:
    store = LabelStore(source)
    told = who(store)
    first = store.add(place(50), **told)
    assert store.add(place(50), **told) is first
    store.close()
    store = LabelStore(source)
    assert store.add(place(50), **told).revision == first.revision
    assert len(rows(source)) == 6


def test_killed_between_journal_and_labels(source: Path) -> None:
    store = LabelStore(source)
    store.add(place(50), **who(store))
    before = source.read_bytes()
    store.add(place(60), **who(store))
    after = source.read_bytes()
    store.close()
    source.write_bytes(before)  # as if the last rename had not happened
    LabelStore(source).close()
    assert source.read_bytes() == after


def test_killed_while_writing_the_journal(source: Path) -> None:
    store = LabelStore(source)
    store.add(place(50), **who(store))
    store.close()
    journal = source.with_name("Labels-ball.review.jsonl")
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"revision":3,"sha":"')
    store = LabelStore(source)
    assert journal.read_bytes() == whole
    store.add(place(60), **who(store))
    store.close()
    assert len(LabelStore(source).snapshot()["labels"]) == 5


WRITER = """
import sys
from pathlib import Path
from e2espot.review.label_rows import Place
from e2espot.review.label_store import LabelStore
store = LabelStore(Path(sys.argv[1]))
for count in range(100_000):
    frame = int(sys.argv[2]) + count
    store.add(Place(half=1, frame=frame, label="PASS"), tab="t", op=f"o{frame}", name="", seen=store.revision)
    print(frame, flush=True)
"""


def test_killed_at_any_instant(source: Path) -> None:
    confirmed: list[int] = []
    for start in (1000, 2000, 3000):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, source, str(start)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(7 + start // 300)]
        writer.kill()
        confirmed += [int(line) for line in (*lines, *writer.stdout) if line.endswith("\n")]
        writer.wait()
        writer.stdout.close()
        store = LabelStore(source)
        kept = {label["frame"] for label in store.snapshot()["labels"]}
        assert set(confirmed) <= kept
        assert len(kept - set(confirmed)) - 3 <= start // 1000  # the one on its way may be there or not
        assert source.read_bytes() == store.text()
        store.close()
    assert len(confirmed) > 30


def test_lost_labels_come_back_from_the_journal(source: Path) -> None:
    store = LabelStore(source)
    store.add(place(50), **who(store))
    text = source.read_bytes()
    store.close()
    source.unlink()
    LabelStore(source).close()
    assert source.read_bytes() == text


def test_changes_by_other_programs_are_taken_over_not_written_over(source: Path) -> None:
    store = LabelStore(source)
    told = []
    store.listeners.append(told.append)
    store.add(place(50), **who(store))
    theirs = SOURCE | {"annotations": SOURCE["annotations"][:1]}
    source.write_text(json.dumps(theirs))
    with pytest.raises(ConflictError, match="another program"):
        store.add(place(60), **who(store))
    assert told[-1] is None
    assert len(store.snapshot()["labels"]) == 1
    store.add(place(60), **who(store))
    assert rows(source)[0] == SOURCE["annotations"][0]
    assert len(rows(source)) == 2


def test_changes_by_others_before_the_first_decision(source: Path) -> None:
    store = LabelStore(source)
    old = {label["id"] for label in store.snapshot()["labels"]}
    source.write_text(json.dumps(SOURCE | {"annotations": SOURCE["annotations"][:2]}))
    with pytest.raises(ConflictError, match="another program"):
        store.add(place(60), **who(store))
    number = store.snapshot()["labels"][0]["id"]
    assert number not in old  # a page that has not heard of it must not change another row
    store.change(number, place(30), **who(store))
    shown = store.snapshot()
    store.close()
    store = LabelStore(source)
    assert store.snapshot() == shown
    store.undo("a", "u")
    assert rows(source) == SOURCE["annotations"][:2]


def test_one_process_at_a_time(source: Path) -> None:
    store = LabelStore(source)
    with pytest.raises(ConfigurationError, match="open in another review"):
        LabelStore(source)
    store.close()
    LabelStore(source).close()


def test_a_full_disk_changes_nothing(source: Path, monkeypatch) -> None:
    store = LabelStore(source)
    before = store.text(), store.revision
    monkeypatch.setattr(os, "write", lambda handle, data: 3)
    with pytest.raises(E2ESpotError, match="nothing was changed"):
        store.add(place(50), **who(store))
    monkeypatch.undo()
    assert (store.text(), store.revision) == before
    store.add(place(50), **who(store))
    store.close()
    assert len(LabelStore(source).snapshot()["labels"]) == 4


@pytest.mark.parametrize("text", ["", "[]", '{"annotations": {}}', "{" * 10_000])
def test_a_broken_label_file_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "Labels-ball.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=r"Labels-ball\.json"):
        LabelStore(path)
    assert path.read_text() == text


@pytest.mark.parametrize("line", ['{"revision"', "[]", "{}", '{"sha": 1, "revision": 1, "changes": [{"kind": "x"}]}'])
def test_a_damaged_journal_is_refused(source: Path, line: str) -> None:
    source.with_name("Labels-ball.review.jsonl").write_text(f"{line}\n")
    with pytest.raises(AnnotationError, match="line 1 is damaged"):
        LabelStore(source)


@pytest.mark.parametrize(
    "row",
    [
        {"gameTime": "1 - 00:12", "position": "-5", "label": "PASS"},
        {"gameTime": "1 - 00:12", "position": "9" * 30, "label": "PASS"},
        {"gameTime": "1 - 00:12", "position": float("nan"), "label": "PASS"},
        {"gameTime": "3 - 00:12", "position": "5", "label": "PASS"},
        {"gameTime": "00:12", "position": "5", "label": "PASS"},
        {"gameTime": "1 - 00:12", "position": "5", "label": ["PASS"]},
        {"gameTime": "1 - 00:12", "position": [], "label": "PASS"},
        {"gameTime": 4, "position": "5", "label": "PASS"},
        None,
        [],
    ],
)
def test_rows_that_cannot_be_shown(row) -> None:
    assert place_of(row) is None


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "move", "remove", "reject", "undo", "redo", "restart"]), st.integers(0, 400)),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS)
def test_the_file_is_always_what_the_page_shows(tmp_path_factory, actions) -> None:
    path = tmp_path_factory.mktemp("store") / "Labels-ball.json"
    path.write_text(json.dumps(SOURCE))
    store = LabelStore(path)
    for kind, value in actions:
        labels = store.snapshot()["labels"]
        number = labels[value % len(labels)]["id"] if labels else None
        try:
            if kind == "add":
                store.add(place(value), **who(store))
            elif kind == "move" and number is not None:
                store.change(number, place(value, "DRIVE"), **who(store))
            elif kind == "remove" and number is not None:
                store.change(number, None, **who(store))
            elif kind == "reject":
                store.judge(f"1/{value}/PASS", "rejected", **who(store))
            elif kind in ("undo", "redo"):
                store.undo("a", f"{kind}{next(_count)}", redo=kind == "redo")
            elif kind == "restart":
                before = store.snapshot(), store.text()
                store.close()
                store = LabelStore(path)
                assert (store.snapshot(), store.text()) == before
        except ConflictError:
            pass
    assert store.text() == path.read_bytes() or store.revision == 1
    shown = [(label["half"], label["frame"], label["label"]) for label in store.snapshot()["labels"]]
    kept = [found for row in rows(path) if (found := place_of(row)) is not None]
    assert shown == [(found.half, found.frame, found.label) for found in kept]
    assert [row for row in rows(path) if place_of(row) is None] == SOURCE["annotations"][2:4]
    store.close()

"""No confirmed decision is ever lost, and no change by another program is overwritten."""

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
from e2espot.review.label_rows import EventKey, event_of_row
from e2espot.review.label_store import ConflictError, LabelStore
from e2espot.review.state import ChangeOrigin
from e2espot.review.verdicts import event_of_verdict, verdict_key

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


def origin(store: LabelStore, tab: str = "a", seen: int | None = None) -> ChangeOrigin:
    op = f"{tab}{next(_count)}"
    return ChangeOrigin(tab=tab, op=op, name="test", seen=store.revision if seen is None else seen)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "Labels-ball.json"
    path.write_text(json.dumps(SOURCE))
    return path


def rows(path: Path) -> list:
    return json.loads(path.read_text())["annotations"]


def event(frame: int, label: str = "PASS", half: int = 1) -> EventKey:
    return EventKey(half=half, frame=frame, label=label)


def test_opening_writes_no_file(source: Path) -> None:
    before = source.read_bytes()
    LabelStore(source).close()
    assert source.read_bytes() == before
    assert not list(source.parent.glob("*.before-review*"))


def test_added_label_is_in_the_middle_of_its_frame_and_in_order_of_time(source: Path) -> None:
    store = LabelStore(source)
    store.add(event(50), origin(store))
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


def test_change_label_keeps_unknown_fields_and_the_type_of_position(source: Path) -> None:
    store = LabelStore(source)
    ids = [label["id"] for label in store.snapshot()["labels"]]
    store.change_label(ids[0], event(30), origin(store))
    store.change_label(ids[1], event(75, "PASS"), origin(store))
    first, second = rows(source)[:2]
    assert first == SOURCE["annotations"][0] | {"gameTime": "1 - 00:01", "position": "1220"}
    assert second == {"gameTime": "1 - 00:03", "label": "PASS", "position": 3000}  # class alone: the time stays
    store.change_label(ids[1], event(76), origin(store))
    assert rows(source)[1]["position"] == 3060


def test_label_file_is_backed_up_before_the_first_change(source: Path) -> None:
    before = source.read_bytes()
    store = LabelStore(source)
    store.add(event(50), origin(store))
    store.add(event(60), origin(store))
    store.close()
    backup = source.with_name("Labels-ball.json.before-review")
    assert backup.read_bytes() == before
    source.write_text(json.dumps({"annotations": []}))
    store = LabelStore(source)
    assert store.snapshot()["labels"] == []
    store.add(event(70), origin(store))
    assert backup.read_bytes() == before
    assert rows(source.with_name("Labels-ball.json.before-review-2")) == []


def test_separate_target_leaves_the_source_unchanged(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    target = tmp_path / "out" / "game" / "Labels-ball.json"
    store = LabelStore(target, source)
    store.add(event(50), origin(store))
    assert source.read_bytes() == before
    assert len(rows(target)) == 6
    visible = {path.name for path in target.parent.iterdir() if not path.name.startswith(".")}
    assert visible == {"Labels-ball.review.jsonl", "Labels-ball.json"}
    store.close()
    assert {path.name for path in target.parent.iterdir()} == visible  # the lock file has gone


def test_written_labels_are_read_by_read_labels(tmp_path: Path) -> None:
    target = tmp_path / "Labels-ball.json"
    store = LabelStore(target)
    for frame in (700, 3, 90_000):
        store.add(event(frame, "DRIVE"), origin(store))
    events = read_labels(target, LabelSet(("PASS", "DRIVE")), fps=DEFAULT_FPS).events
    assert [event.frame for event in events] == [3, 700, 90_000]


def test_undo_and_redo_work_across_restarts(source: Path) -> None:
    store = LabelStore(source)
    texts = [store.text()]
    prediction = event(40)
    store.accept(prediction, event(41), origin(store))
    texts.append(store.text())
    number = store.snapshot()["labels"][0]["id"]
    store.remove_label(number, origin(store))
    texts.append(store.text())
    store.set_verdict(verdict_key(event(99)), "rejected", origin(store))
    store.close()
    store = LabelStore(source)
    assert store.verdicts() == {"1/40/PASS": "accepted 5", "1/99/PASS": "rejected"}
    store.undo("a", "u1")
    assert store.verdicts() == {"1/40/PASS": "accepted 5"}
    store.undo("a", "u2")
    assert store.text() == texts[1]
    assert store.undo("a", "u2").revision == store.revision  # sent twice, applied once
    store.undo("a", "u3")
    assert store.text() == texts[0]
    assert store.verdicts() == {}
    with pytest.raises(ConflictError, match="nothing to undo"):
        store.undo("a", "u4")
    store.undo("a", "r1", redo=True)
    store.undo("a", "r2", redo=True)
    assert store.text() == texts[2]
    assert source.read_bytes() == texts[2]
    store.add(event(5), origin(store))
    with pytest.raises(ConflictError, match="nothing to redo"):
        store.undo("a", "r3", redo=True)


def test_removing_an_accepted_label_rejects_its_prediction(source: Path) -> None:
    store = LabelStore(source)
    store.accept(event(40), event(41), origin(store))
    number = next(label["id"] for label in store.snapshot()["labels"] if label["frame"] == 41)
    store.change_label(number, event(43), origin(store))
    store.remove_label(number, origin(store))
    assert store.verdicts() == {"1/40/PASS": "rejected"}
    store.undo("a", "u")
    assert store.verdicts() == {"1/40/PASS": f"accepted {number}"}
    assert 43 in [label["frame"] for label in store.snapshot()["labels"]]


def test_conflicting_changes_of_two_tabs_are_refused(source: Path) -> None:
    store = LabelStore(source)
    number = store.snapshot()["labels"][0]["id"]
    seen = store.revision
    store.change_label(number, event(31), origin(store, "a", seen))
    with pytest.raises(ConflictError, match="another tab"):
        store.change_label(number, event(29), origin(store, "b", seen))
    store.add(event(500), origin(store, "b", seen))  # something else: no conflict
    assert [label["frame"] for label in store.snapshot()["labels"]][:2] == [31, 75]
    store.change_label(number, event(32), origin(store, "b"))
    with pytest.raises(ConflictError, match="changed again"):
        store.undo("a", "u")
    with pytest.raises(ConflictError, match="nothing to undo"):
        store.undo("c", "u")
    store.undo("c", "v", is_closed=lambda tab: tab == "b")  # the tab that did it is closed
    assert store.snapshot()["labels"][0]["frame"] == 31
    store.remove_label(number, origin(store))
    with pytest.raises(ConflictError, match="was removed"):
        store.change_label(number, event(32), origin(store, "b", 10**9))


def test_change_sent_twice_is_applied_once(source: Path) -> None:
    store = LabelStore(source)
    same = origin(store)
    first = store.add(event(50), same)
    assert store.add(event(50), same) is first
    store.close()
    store = LabelStore(source)
    assert store.add(event(50), same).revision == first.revision
    assert len(rows(source)) == 6


def test_kill_between_journal_and_label_file_is_repaired(source: Path) -> None:
    store = LabelStore(source)
    store.add(event(50), origin(store))
    before = source.read_bytes()
    store.add(event(60), origin(store))
    after = source.read_bytes()
    store.close()
    source.write_bytes(before)  # as if the last rename had not happened
    LabelStore(source).close()
    assert source.read_bytes() == after


def test_kill_while_writing_the_journal_drops_the_partial_line(source: Path) -> None:
    store = LabelStore(source)
    store.add(event(50), origin(store))
    store.close()
    journal = source.with_name("Labels-ball.review.jsonl")
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"revision":3,"sha":"')
    store = LabelStore(source)
    assert journal.read_bytes() == whole
    store.add(event(60), origin(store))
    store.close()
    assert len(LabelStore(source).snapshot()["labels"]) == 5


WRITER = """
import sys
from pathlib import Path
from e2espot.review.label_rows import EventKey
from e2espot.review.label_store import LabelStore
from e2espot.review.state import ChangeOrigin
store = LabelStore(Path(sys.argv[1]))
for count in range(100_000):
    frame = int(sys.argv[2]) + count
    origin = ChangeOrigin(tab="t", op=f"o{frame}", name="", seen=store.revision)
    store.add(EventKey(half=1, frame=frame, label="PASS"), origin)
    print(frame, flush=True)
"""


def test_kill_at_any_instant_keeps_confirmed_labels(source: Path) -> None:
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
        frames = {label["frame"] for label in store.snapshot()["labels"]}
        assert set(confirmed) <= frames
        assert len(frames - set(confirmed)) - 3 <= start // 1000  # the one being written may be there or not
        assert source.read_bytes() == store.text()
        store.close()
    assert len(confirmed) > 30


def test_missing_label_file_is_restored_from_the_journal(source: Path) -> None:
    store = LabelStore(source)
    store.add(event(50), origin(store))
    text = source.read_bytes()
    store.close()
    source.unlink()
    LabelStore(source).close()
    assert source.read_bytes() == text


def test_change_by_another_program_is_loaded_and_not_overwritten(source: Path) -> None:
    store = LabelStore(source)
    notifications = []
    store.listeners.append(notifications.append)
    store.add(event(50), origin(store))
    theirs = SOURCE | {"annotations": SOURCE["annotations"][:1]}
    source.write_text(json.dumps(theirs))
    with pytest.raises(ConflictError, match="another program"):
        store.add(event(60), origin(store))
    assert notifications[-1] is None
    assert len(store.snapshot()["labels"]) == 1
    store.add(event(60), origin(store))
    assert rows(source)[0] == SOURCE["annotations"][0]
    assert len(rows(source)) == 2


def test_change_by_another_program_before_the_first_decision(source: Path) -> None:
    store = LabelStore(source)
    old = {label["id"] for label in store.snapshot()["labels"]}
    source.write_text(json.dumps(SOURCE | {"annotations": SOURCE["annotations"][:2]}))
    with pytest.raises(ConflictError, match="another program"):
        store.add(event(60), origin(store))
    number = store.snapshot()["labels"][0]["id"]
    assert number not in old  # a page that has not heard of it must not change another row
    store.change_label(number, event(30), origin(store))
    shown = store.snapshot()
    store.close()
    store = LabelStore(source)
    assert store.snapshot() == shown
    store.undo("a", "u")
    assert rows(source) == SOURCE["annotations"][:2]


def test_second_process_is_refused(source: Path) -> None:
    store = LabelStore(source)
    with pytest.raises(ConfigurationError, match="open in another review"):
        LabelStore(source)
    store.close()
    LabelStore(source).close()


def test_full_disk_changes_nothing(source: Path, monkeypatch) -> None:
    store = LabelStore(source)
    before = store.text(), store.revision
    monkeypatch.setattr(os, "write", lambda handle, data: 3)
    with pytest.raises(E2ESpotError, match="nothing was changed"):
        store.add(event(50), origin(store))
    monkeypatch.undo()
    assert (store.text(), store.revision) == before
    store.add(event(50), origin(store))
    store.close()
    assert len(LabelStore(source).snapshot()["labels"]) == 4


@pytest.mark.parametrize("text", ["", "[]", '{"annotations": {}}', "{" * 10_000])
def test_invalid_label_file_is_refused_and_unchanged(tmp_path: Path, text: str) -> None:
    path = tmp_path / "Labels-ball.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=r"Labels-ball\.json"):
        LabelStore(path)
    assert path.read_text() == text


@pytest.mark.parametrize("line", ['{"revision"', "[]", "{}", '{"sha": 1, "revision": 1, "changes": [{"kind": "x"}]}'])
def test_damaged_journal_is_refused(source: Path, line: str) -> None:
    source.with_name("Labels-ball.review.jsonl").write_text(f"{line}\n")
    with pytest.raises(AnnotationError, match="line 1 is damaged"):
        LabelStore(source)


def test_journal_with_a_row_that_cannot_be_shown_any_more_still_loads(tmp_path: Path) -> None:
    """Versions before 0.2 read positions with ``int``, which accepts more than the reader of labels does."""
    path = tmp_path / "Labels-ball.json"
    row = {"gameTime": "1 - 00:01", "label": "PASS", "position": "1_013"}
    change = {"kind": "label", "key": "0", "before": None, "after": row}
    records = [
        {"revision": 1, "sha": None, "start": 0, "top": {}, "rows": []},
        {"revision": 2, "sha": "x", "tab": "a", "op": "a1", "name": "add PASS", "changes": [change]},
    ]
    path.with_name("Labels-ball.review.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    store = LabelStore(path)
    assert rows(path) == [row]
    assert store.snapshot()["hidden"] == 1
    store.add(event(50), origin(store))
    store.undo("a", "u1")
    store.undo("a", "u2")
    assert rows(path) == []
    store.close()


@pytest.mark.parametrize(
    ("key", "prediction"),
    [
        ("1/40/PASS", EventKey(half=1, frame=40, label="PASS")),
        ("2/0/a/b", EventKey(half=2, frame=0, label="a/b")),
        ("label/3", None),
        ("label/3/x", None),
    ],
)
def test_event_of_verdict_inverts_verdict_key(key: str, prediction: EventKey | None) -> None:
    assert event_of_verdict(key) == prediction
    assert prediction is None or verdict_key(prediction) == key


@pytest.mark.parametrize(
    "row",
    [
        {"gameTime": "1 - 00:12", "position": "-5", "label": "PASS"},
        {"gameTime": "1 - 00:12", "position": "9" * 30, "label": "PASS"},
        {"gameTime": "1 - 00:12", "position": float("nan"), "label": "PASS"},
        {"gameTime": "6 - 00:12", "position": "5", "label": "PASS"},
        {"gameTime": "0012", "position": "5", "label": "PASS"},
        {"gameTime": "1 - 00:12", "position": "5", "label": ["PASS"]},
        {"gameTime": "1 - 00:12", "position": [], "label": "PASS"},
        {"gameTime": 4, "position": "5", "label": "PASS"},
        None,
        [],
    ],
)
def test_event_of_row_is_none_for_invalid_rows(row) -> None:
    assert event_of_row(row) is None


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "move", "remove", "reject", "undo", "redo", "restart"]), st.integers(0, 400)),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS)
def test_label_file_always_equals_the_snapshot(tmp_path_factory, actions) -> None:
    path = tmp_path_factory.mktemp("store") / "Labels-ball.json"
    path.write_text(json.dumps(SOURCE))
    store = LabelStore(path)
    for kind, value in actions:
        labels = store.snapshot()["labels"]
        number = labels[value % len(labels)]["id"] if labels else None
        try:
            if kind == "add":
                store.add(event(value), origin(store))
            elif kind == "move" and number is not None:
                store.change_label(number, event(value, "DRIVE"), origin(store))
            elif kind == "remove" and number is not None:
                store.remove_label(number, origin(store))
            elif kind == "reject":
                store.set_verdict(f"1/{value}/PASS", "rejected", origin(store))
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
    in_file = [key for row in rows(path) if (key := event_of_row(row)) is not None]
    assert shown == [(key.half, key.frame, key.label) for key in in_file]
    assert [row for row in rows(path) if event_of_row(row) is None] == SOURCE["annotations"][2:4]
    store.close()

"""The labels of one game while they are reviewed: every decision on the disk before it is confirmed.

Two files. The label file always holds the present labels, whole, in SoccerNet's form. The journal beside it
holds where they started and every change since, with the checksum of the label file after it: from the
journal alone the labels can be made again, a crash between the two writes is mended at the next start, and
changes made to the label file by others in the meantime are noticed and taken over.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, E2ESpotError
from e2espot.files.atomic import write_atomically
from e2espot.formats.soccernet import parse_file
from e2espot.review.journal import Journal, check_record
from e2espot.review.label_rows import Place, moved, new_row, verdict_key
from e2espot.review.state import ACCEPTED, LABEL, VERDICT, Applied, Change, State

_LOG = logging.getLogger(__name__)


class ConflictError(E2ESpotError):
    """A change to something that somebody else has changed meanwhile."""


class LabelStore:
    """Labels and verdicts of one game; methods may be called from any thread."""

    def __init__(self, target: Path, source: Path | None = None) -> None:
        """Take up the review of ``target`` where it was left.

        Args:
            target: The label file that is written.
            source: Labels to begin with where ``target`` is not there yet; never written.

        Raises:
            AnnotationError: a label file or journal that is broken.
            ConfigurationError: the labels are being reviewed by another process.
        """
        self.target = target
        self._lock = threading.RLock()
        self._state = State()
        self._done: dict[str, Applied] = {}
        self._undo: dict[str, list[int]] = {}
        self._redo: dict[str, list[int]] = {}
        self._history: dict[int, Applied] = {}
        self._needs_backup = False
        self._on_disk: str | None = None
        self._unwritten: dict[str, Any] | None = None
        self.revision = 0
        self.listeners: list[Callable[[Applied | None], None]] = []
        """Told of every change; None says that everything may have changed."""
        self._journal = Journal(target.with_name(f"{target.stem}.review.jsonl"))
        try:
            self._take_up(source)
        except BaseException:
            self._journal.close()
            raise

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    # Starting

    def _take_up(self, source: Path | None) -> None:
        records = self._journal.read()
        before = after = None
        for number, record in enumerate(records, 1):
            try:
                before, after = after, record["sha"]
                self._replay(record)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                raise AnnotationError(
                    f"{self._journal.path}: line {number} is damaged; move the file away to begin anew from the labels"
                ) from None
        there = self._bytes_of(self.target)
        self._on_disk = _sha(there)
        if records and there is None and after is not None:
            _LOG.warning("%s: was gone; made again from the journal beside it", self.target)
            self._write(self._state.text())
        elif records and self._on_disk == before and "changes" in records[-1]:
            self._write(self._state.text())  # killed between the two writes
        elif not records or self._on_disk != after:
            if records:
                _LOG.warning("%s: was changed outside the review; taken as it is now", self.target)
            self._begin(there, source)

    @staticmethod
    def _bytes_of(path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from None

    def _begin(self, there: bytes | None, source: Path | None) -> None:
        data = there
        where = self.target
        if data is None and source is not None:
            data, where = self._bytes_of(source), source
        top, rows = parse_file(data, str(where)) if data is not None else ({}, [])
        top = {name: value for name, value in top.items() if name != "annotations"}
        first = self._state.next_row  # a start that is never written must not shift the numbers of the rows
        record = {"revision": self.revision + 1, "sha": _sha(there), "start": first, "top": top, "rows": rows}
        self._replay(record)
        self._unwritten = record  # looking alone leaves nothing behind
        self._on_disk = _sha(there)

    def _replay(self, record: dict[str, Any]) -> None:
        check_record(record)
        self.revision = record["revision"]
        if "start" in record:
            self._state.next_row = record["start"]
            self._state.begin(record["top"], record["rows"])
            self._undo.clear()
            self._redo.clear()
            self._needs_backup = record["sha"] is not None
            return
        self._needs_backup = False
        applied = Applied(
            revision=record["revision"],
            changes=tuple(Change(**change) for change in record["changes"]),
            tab=record["tab"],
            name=record["name"],
            op=record["op"],
            undoes=record.get("undoes"),
        )
        for change in applied.changes:
            self._state.apply(change, applied.revision)
        self._remember(applied)

    # Reading

    def snapshot(self) -> dict[str, Any]:
        """Everything a page needs, as plain values."""
        with self._lock:
            state = self._state
            return {
                "revision": self.revision,
                "labels": [self.row_for_page(number) for number in state.order if state.places[number] is not None],
                "verdicts": dict(state.verdicts),
                "hidden": sum(place is None for place in state.places.values()),
            }

    def row_for_page(self, number: int) -> dict[str, Any] | None:
        """One label as plain values; None where it is gone or cannot be shown."""
        with self._lock:
            place, row = self._state.places.get(number), self._state.rows.get(number)
            if place is None or row is None:
                return None
            return {
                "id": number,
                "half": place.half,
                "frame": place.frame,
                "label": place.label,
                "team": str(row.get("team", "")),
                "visible": row.get("visibility") != "not shown",
            }

    def places(self) -> list[Place]:
        """Labels that can be shown."""
        with self._lock:
            return [place for place in self._state.places.values() if place is not None]

    def verdicts(self) -> dict[str, str]:
        """Verdicts by key."""
        with self._lock:
            return dict(self._state.verdicts)

    def text(self) -> bytes:
        """The label file as it is now."""
        with self._lock:
            return self._state.text()

    # Changing

    def add(self, place: Place, **who: Any) -> Applied:
        """A new label."""
        with self._lock:
            number = self._state.next_row
            return self._commit([Change(kind=LABEL, key=str(number), before=None, after=new_row(place))], **who)

    def accept(self, prediction: Place, place: Place, **who: Any) -> Applied:
        """A prediction is right, at ``place``, which may differ from its own: it becomes a label."""
        with self._lock:
            key, number = verdict_key(prediction), self._state.next_row
            changes = [
                Change(kind=VERDICT, key=key, before=self._state.verdicts.get(key), after=f"{ACCEPTED} {number}"),
                Change(kind=LABEL, key=str(number), before=None, after=new_row(place)),
            ]
            return self._commit(changes, **who)

    def judge(self, key: str, verdict: str | None, **who: Any) -> Applied:
        """A verdict that changes no label: ``rejected`` or ``confirmed``, or None to take one back."""
        with self._lock:
            before = self._state.verdicts.get(key)
            return self._commit([Change(kind=VERDICT, key=key, before=before, after=verdict)], **who)

    def change(self, number: int, place: Place | None, **who: Any) -> Applied:
        """Move a label, give it another class, or remove it (None) and reject the prediction it was."""
        with self._lock:
            row = self._state.rows.get(number)
            if row is None:
                raise ConflictError("that label is gone; it was removed meanwhile")
            after = None if place is None else moved(row, place)
            changes = [Change(kind=LABEL, key=str(number), before=row, after=after)]
            if place is None:
                was = [key for key, verdict in self._state.verdicts.items() if verdict == f"{ACCEPTED} {number}"]
                changes += [
                    Change(kind=VERDICT, key=key, before=self._state.verdicts[key], after="rejected") for key in was
                ]
            return self._commit(changes, **who)

    def undo(
        self, tab: str, op: str, *, redo: bool = False, gone: Callable[[str], bool] = lambda tab: False
    ) -> Applied:
        """Take back the tab's last change, or (``redo``) its last undo.

        A tab without changes of its own takes back the last one of a tab that is ``gone``.

        Raises:
            ConflictError: nothing to take back, or it was changed again by another tab.
        """
        with self._lock:
            if op in self._done:
                return self._done[op]
            stacks = self._redo if redo else self._undo
            owner = tab
            if not stacks.get(tab):
                others = [(stack[-1], name) for name, stack in stacks.items() if stack and gone(name)]
                if not others:
                    raise ConflictError("nothing to redo" if redo else "nothing to undo")
                owner = max(others)[1]
            revision = stacks[owner][-1]
            changes = [change.reversed() for change in reversed(self._history[revision].changes)]
            if any(self._state.value(change.kind, change.key) != change.before for change in changes):
                stacks[owner].pop()
                raise ConflictError("that was changed again since; it cannot be undone any more")
            named = self._history[revision].name.removeprefix("undo: ").removeprefix("redo: ")
            name = f"{'redo' if redo else 'undo'}: {named}"
            return self._commit(changes, tab=owner, op=op, name=name, seen=self.revision, undoes=revision)

    def _commit(
        self, changes: list[Change], *, tab: str, op: str, name: str, seen: int, undoes: int | None = None
    ) -> Applied:
        """Journal first, then the label file, then everybody is told."""
        if op in self._done:
            if _sha(self._state.text()) != self._on_disk:  # journalled, but the label file could not be written
                self._write(self._state.text())
            return self._done[op]
        self._look_for_outside_changes()
        for change in changes:
            if self._state.touched.get((change.kind, change.key), 0) > seen:
                raise ConflictError("that was changed in another tab meanwhile; look again")
        applied = Applied(revision=self.revision + 1, changes=tuple(changes), tab=tab, name=name, op=op, undoes=undoes)
        if self._needs_backup:
            self._back_up()
        for change in changes:
            self._state.apply(change, applied.revision)
        text = self._state.text()
        try:
            if self._unwritten is not None:
                self._journal.append(self._unwritten)
                self._unwritten = None
            self._journal.append(
                {
                    "revision": applied.revision,
                    "sha": _sha(text),
                    "tab": tab,
                    "op": op,
                    "name": name,
                    "changes": [vars(change) for change in changes],
                    **({} if undoes is None else {"undoes": undoes}),
                }
            )
        except E2ESpotError:
            for change in reversed(changes):
                self._state.apply(change.reversed(), self.revision)
            raise
        self.revision = applied.revision
        self._remember(applied)
        self._tell(applied)
        self._write(text)
        return applied

    def _tell(self, applied: Applied | None) -> None:
        for listener in list(self.listeners):
            listener(applied)

    def _remember(self, applied: Applied) -> None:
        self._history[applied.revision] = applied
        self._done[applied.op] = applied
        undo, redo = (stacks.setdefault(applied.tab, []) for stacks in (self._undo, self._redo))
        if applied.undoes is None:
            undo.append(applied.revision)
            redo.clear()
        elif undo and undo[-1] == applied.undoes:
            undo.pop()
            redo.append(applied.revision)
        elif redo and redo[-1] == applied.undoes:
            redo.pop()
            undo.append(applied.revision)

    # The label file

    def _write(self, text: bytes) -> None:
        write_atomically(self.target, text)
        self._on_disk = _sha(text)

    def _look_for_outside_changes(self) -> None:
        """Refuse to write over what somebody else has written meanwhile; take it over instead."""
        there = self._bytes_of(self.target)
        if there is None or _sha(there) in (self._on_disk, _sha(self._state.text())):
            return
        self._begin(there, None)
        self._tell(None)
        raise ConflictError(f"{self.target.name} was changed by another program; it has been read again, look again")

    def _back_up(self) -> None:
        """Keep the label file as it was before the first change, under a name of its own."""
        there = self._bytes_of(self.target)
        number = 1
        while there is not None:
            kept = self.target.with_name(f"{self.target.name}.before-review{'' if number == 1 else f'-{number}'}")
            if not kept.exists():
                write_atomically(kept, there)
                break
            if self._bytes_of(kept) == there:
                break
            number += 1
        self._needs_backup = False


def _sha(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()

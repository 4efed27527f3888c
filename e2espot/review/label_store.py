"""The labels of one game during a review: every decision is on disk before it is confirmed.

There are two files. The label file always holds the current labels in SoccerNet's form. The journal next to
it holds the labels at the start and every change since, each with the checksum of the label file after it::

    decision -> journal (append, fsync) -> label file (write, rename) -> answer to the page
                                        ^
             killed here: the label file still has the checksum of the last line but one,
             so the next start writes it again from the journal

The journal alone is enough to restore the labels. A label file with a checksum that is not in its last line
was edited by another program; it is loaded again and the reviewer is asked to look again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, E2ESpotError
from e2espot.core.wording import counted
from e2espot.formats.annotated_field import read_annotated
from e2espot.formats.label_documents import read_label_document
from e2espot.formats.retiming import Retiming
from e2espot.formats.soccernet_json import parse_document
from e2espot.review.annotated_stretches import Fields, fields_after_mark, fields_after_move, range_of_frames
from e2espot.review.journal import Journal, check_record
from e2espot.review.label_file import LabelFile, checksum_of
from e2espot.review.label_rows import EventKey, change_row, new_row
from e2espot.review.moving import MovedLabels, moved_labels
from e2espot.review.state import FIELD, LABEL, VERDICT, AppliedChange, Change, ChangeOrigin, LabelState
from e2espot.review.undo_history import UndoHistory
from e2espot.review.verdicts import REJECTED, accepted_as, verdict_key

_LOG = logging.getLogger(__name__)


class ConflictError(E2ESpotError):
    """A change to something that was changed in the meantime."""


class LabelStore:
    """Labels and verdicts of one game. All methods may be called from any thread."""

    def __init__(self, target: Path, source: Path | None = None) -> None:
        """Continue the review of ``target`` where it was left.

        Args:
            target: The label file to write.
            source: Labels to start from if ``target`` does not exist yet; never written.

        Raises:
            AnnotationError: The label file or the journal is damaged.
            ConfigurationError: Another process is reviewing these labels.
        """
        self._lock = threading.RLock()
        self._state = LabelState()
        self._history = UndoHistory()
        self._file = LabelFile(target)
        self._needs_backup = False
        self._unwritten_start: dict[str, Any] | None = None
        self.revision = 0
        """Number of the last change."""
        self.listeners: list[Callable[[AppliedChange | None], None]] = []
        """Called after every change; with None if everything may have changed."""
        self._journal = Journal(target.with_name(f"{target.stem}.review.jsonl"))
        try:
            self._open(source)
        except BaseException:
            self._journal.close()
            raise

    def close(self) -> None:
        """Close the journal, so that other processes can review the labels."""
        self._journal.close()

    # Opening

    def _open(self, source: Path | None) -> None:
        records = self._journal.read()
        previous_checksum = last_checksum = None
        for number, record in enumerate(records, 1):
            try:
                previous_checksum, last_checksum = last_checksum, record["sha"]
                self._replay(record)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                raise AnnotationError(
                    f"{self._journal.path}: line {number} is damaged; move the file away to start again from the labels"
                ) from None
        content = self._file.read()
        self._file.checksum = checksum_of(content)
        if records and content is None and last_checksum is not None:
            _LOG.warning("%s: was missing; restored from the journal next to it", self._file.path)
            self._file.write(self._state.text())
        elif records and self._file.checksum == previous_checksum and "changes" in records[-1]:
            self._file.write(self._state.text())  # the process was killed between the two writes
        elif not records or self._file.checksum != last_checksum:
            if records:
                _LOG.warning("%s: was changed outside the review; loaded as it is now", self._file.path)
            self._start(content, source)

    def _start(self, content: bytes | None, source: Path | None) -> None:
        """Load the labels of the label file, or of ``source`` if there is none."""
        top: dict[str, Any] = {}
        rows: list[Any] = []
        if content is not None:
            top, rows = parse_document(content, "label", str(self._file.path))
        elif source is not None and source.exists():
            top, rows = read_label_document(source)
        record = {
            "revision": self.revision + 1,
            "sha": checksum_of(content),
            # Stored, because a start that is never written must not shift the ids of the rows.
            "start": self._state.next_row,
            "top": {name: value for name, value in top.items() if name != "annotations"},
            "rows": rows,
        }
        self._replay(record)
        self._unwritten_start = record  # written with the first change: looking alone leaves no journal behind
        self._file.checksum = checksum_of(content)

    def _replay(self, record: dict[str, Any]) -> None:
        """Apply one line of the journal."""
        check_record(record)
        self.revision = record["revision"]
        if "start" in record:
            self._state.next_row = record["start"]
            self._state.load(record["top"], record["rows"])
            self._history.clear_stacks()
            self._needs_backup = record["sha"] is not None
            return
        self._needs_backup = False
        applied = AppliedChange(
            revision=record["revision"],
            changes=tuple(Change(**change) for change in record["changes"]),
            tab=record["tab"],
            name=record["name"],
            op=record["op"],
            undoes=record.get("undoes"),
        )
        for change in applied.changes:
            self._state.apply(change, applied.revision)
        self._history.record(applied)

    # Reading

    def snapshot(self) -> dict[str, Any]:
        """Everything that a page needs, as plain values."""
        with self._lock:
            state = self._state
            return {
                "revision": self.revision,
                "labels": [self.row_for_page(row_id) for row_id in state.order if state.events[row_id] is not None],
                "verdicts": dict(state.verdicts),
                "hidden": sum(event is None for event in state.events.values()),
                "annotated": self.annotated_for_page(),
            }

    def annotated_for_page(self) -> dict[str, list[tuple[int, int]]]:
        """Half -> annotated stretches in milliseconds; a half that is not listed was annotated in full."""
        with self._lock:
            try:
                halves = read_annotated(self._state.top, self._file.path.name)
            except AnnotationError:  # the next mark reports it
                return {}
            return {str(half): list(ranges.ranges_ms) for half, ranges in halves.items()}

    def row_for_page(self, label_id: int) -> dict[str, Any] | None:
        """One label as plain values; None if it was removed or cannot be shown."""
        with self._lock:
            event, row = self._state.events.get(label_id), self._state.rows.get(label_id)
            if event is None or row is None:
                return None
            return {
                "id": label_id,
                "half": event.half,
                "frame": event.frame,
                "label": event.label,
                "team": str(row.get("team", "")),
                "visible": row.get("visibility") != "not shown",
            }

    def label_events(self) -> dict[int, EventKey]:
        """Id -> event of every label that can be shown."""
        with self._lock:
            return {label_id: event for label_id, event in self._state.events.items() if event is not None}

    def verdicts(self) -> dict[str, str]:
        """Key -> verdict."""
        with self._lock:
            return dict(self._state.verdicts)

    def text(self) -> bytes:
        """Current content of the label file."""
        with self._lock:
            return self._state.text()

    # Changing

    def add(self, event: EventKey, origin: ChangeOrigin) -> AppliedChange:
        """Add a label."""
        with self._lock:
            row_id = self._state.next_row
            return self._commit([Change(kind=LABEL, key=str(row_id), before=None, after=new_row(event))], origin)

    def accept(self, prediction: EventKey, event: EventKey, origin: ChangeOrigin) -> AppliedChange:
        """Accept a prediction: it becomes a label at ``event``, which may differ from the prediction."""
        with self._lock:
            row_id = self._state.next_row
            changes = [
                self._verdict_change(verdict_key(prediction), accepted_as(row_id)),
                Change(kind=LABEL, key=str(row_id), before=None, after=new_row(event)),
            ]
            return self._commit(changes, origin)

    def set_verdict(self, key: str, verdict: str | None, origin: ChangeOrigin) -> AppliedChange:
        """Set a verdict that changes no label, or remove one (None)."""
        with self._lock:
            return self._commit([self._verdict_change(key, verdict)], origin)

    def change_label(self, label_id: int, event: EventKey, origin: ChangeOrigin) -> AppliedChange:
        """Give a label another time or class.

        Raises:
            ConflictError: The label was removed.
        """
        with self._lock:
            row = self._existing_row(label_id)
            return self._commit(
                [Change(kind=LABEL, key=str(label_id), before=row, after=change_row(row, event))], origin
            )

    def mark_annotated(
        self, half: int, first: int, last: int, origin: ChangeOrigin, *, complete: bool, halves: Collection[int]
    ) -> AppliedChange:
        """Mark the frames ``first`` to ``last`` of a half as annotated: every event in them has a label, or none is.

        Args:
            half: Half of the frames.
            first: First frame.
            last: Last frame.
            origin: Where the change comes from.
            complete: Whether the labels in the frames are complete.
            halves: Halves of the game that have a video.

        Raises:
            AnnotationError: The frames are marked like that already, or the file's fields are broken.
        """
        with self._lock:
            known = {event.half for event in self.label_events().values()}
            fields = fields_after_mark(
                self._state.top, half, range_of_frames(first, last), complete=complete, halves={*halves, *known}
            )
            return self._commit(self._field_changes(fields), origin)

    def _field_changes(self, fields: Fields) -> list[Change]:
        top = self._state.top
        return [Change(kind=FIELD, key=key, before=top.get(key), after=after) for key, after in fields.items()]

    def moved(self, half: int, retiming: Retiming, num_frames: int) -> MovedLabels:
        """Where the labels of a half would be after a shift and a stretch of their times."""
        with self._lock:
            return moved_labels(self._state.rows, self.label_events(), half, retiming, num_frames)

    def move_labels(self, half: int, retiming: Retiming, num_frames: int, origin: ChangeOrigin) -> AppliedChange:
        """Move the labels of a half, together with its annotated stretches, as one change.

        Raises:
            AnnotationError: one would be outside the video, there is none, or the file's fields are broken.
        """
        with self._lock:
            moved = self.moved(half, retiming, num_frames)
            if moved.num_outside or not moved.rows:
                raise AnnotationError(
                    f"{counted(moved.num_outside, 'label')} would be outside the video"
                    if moved.rows or moved.num_outside
                    else "this video has no label to move"
                )
            changes = [
                Change(kind=LABEL, key=str(label_id), before=self._existing_row(label_id), after=row)
                for label_id, row in moved.rows.items()
            ]
            fields = fields_after_move(self._state.top, half, lambda position_ms: retiming.moved_ms(position_ms, half))
            return self._commit([*changes, *self._field_changes(fields)], origin)

    def remove_label(self, label_id: int, origin: ChangeOrigin) -> AppliedChange:
        """Remove a label, and reject the prediction that it was accepted from.

        Raises:
            ConflictError: The label was removed already.
        """
        with self._lock:
            row = self._existing_row(label_id)
            accepted = [key for key, verdict in self._state.verdicts.items() if verdict == accepted_as(label_id)]
            changes = [Change(kind=LABEL, key=str(label_id), before=row, after=None)]
            changes += [self._verdict_change(key, REJECTED) for key in accepted]
            return self._commit(changes, origin)

    def undo(
        self, tab: str, op: str, *, redo: bool = False, is_closed: Callable[[str], bool] = lambda tab: False
    ) -> AppliedChange:
        """Take back the last change of a tab, or its last undo.

        Args:
            tab: Id of the tab.
            op: Id that the tab gave this operation.
            redo: Whether to take back an undo.
            is_closed: Whether a tab is closed; a tab without changes takes back those of closed tabs.

        Raises:
            ConflictError: There is nothing to take back, or another tab changed it again.
        """
        with self._lock:
            if (applied := self._history.applied(op)) is not None:
                return applied
            last = self._history.last(tab, redo=redo, is_closed=is_closed)
            if last is None:
                raise ConflictError("nothing to redo" if redo else "nothing to undo")
            owner, revision = last
            original = self._history[revision]
            changes = [change.reversed() for change in reversed(original.changes)]
            if any(self._state.value(change.kind, change.key) != change.before for change in changes):
                self._history.drop_last(owner, redo=redo)
                raise ConflictError("that was changed again since; it cannot be undone any more")
            name = original.name.removeprefix("undo: ").removeprefix("redo: ")
            origin = ChangeOrigin(tab=owner, op=op, name=f"{'redo' if redo else 'undo'}: {name}", seen=self.revision)
            return self._commit(changes, origin, undoes=revision)

    def _existing_row(self, label_id: int) -> dict[str, Any]:
        row: dict[str, Any] | None = self._state.rows.get(label_id)
        if row is None:
            raise ConflictError("that label does not exist any more; it was removed in the meantime")
        return row

    def _verdict_change(self, key: str, verdict: str | None) -> Change:
        return Change(kind=VERDICT, key=key, before=self._state.verdicts.get(key), after=verdict)

    def _commit(self, changes: Sequence[Change], origin: ChangeOrigin, undoes: int | None = None) -> AppliedChange:
        """Make changes: first in the journal, then in the label file; then call the listeners."""
        if (applied := self._history.applied(origin.op)) is not None:
            # Sent again because the first answer did not arrive, perhaps because the label file was not writable.
            if checksum_of(self._state.text()) != self._file.checksum:
                self._file.write(self._state.text())
            return applied
        self._check_outside_changes()
        for change in changes:
            if self._state.changed_in.get((change.kind, change.key), 0) > origin.seen:
                raise ConflictError("that was changed in another tab in the meantime; look again")
        applied = AppliedChange(
            revision=self.revision + 1,
            changes=tuple(changes),
            tab=origin.tab,
            name=origin.name,
            op=origin.op,
            undoes=undoes,
        )
        if self._needs_backup:
            self._file.back_up()
            self._needs_backup = False
        for change in changes:
            self._state.apply(change, applied.revision)
        text = self._state.text()
        try:
            self._append_to_journal(applied, text)
        except E2ESpotError:
            for change in reversed(changes):
                self._state.apply(change.reversed(), self.revision)
            raise
        self.revision = applied.revision
        self._history.record(applied)
        self._notify(applied)
        self._file.write(text)
        return applied

    def _append_to_journal(self, applied: AppliedChange, text: bytes) -> None:
        if self._unwritten_start is not None:
            self._journal.append(self._unwritten_start)
            self._unwritten_start = None
        record = {
            "revision": applied.revision,
            "sha": checksum_of(text),
            "tab": applied.tab,
            "op": applied.op,
            "name": applied.name,
            "changes": [vars(change) for change in applied.changes],
        }
        self._journal.append(record if applied.undoes is None else {**record, "undoes": applied.undoes})

    def _notify(self, applied: AppliedChange | None) -> None:
        for listener in list(self.listeners):
            listener(applied)

    def _check_outside_changes(self) -> None:
        """Load the label file again, and refuse the change, if another program has edited it."""
        content = self._file.read()
        if content is None or checksum_of(content) in (self._file.checksum, checksum_of(self._state.text())):
            return
        self._start(content, None)
        self._notify(None)
        raise ConflictError(
            f"{self._file.path.name} was changed by another program; it has been loaded again, look again"
        )

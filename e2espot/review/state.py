"""Labels and verdicts of one game in memory, and the changes that lead from one state to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from e2espot.formats.soccernet_json import dump_document, label_document
from e2espot.review.label_rows import EventKey, event_of_row, insert_by_time

LABEL = "label"
VERDICT = "verdict"
FIELD = "field"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One row or field of the label file, or one verdict, before and after."""

    kind: str
    """``LABEL``, ``VERDICT`` or ``FIELD``."""
    key: str
    """Id of the row, key of the verdict (see :mod:`verdicts`), or name of the field."""
    before: Any
    """Its value before; None if there was none."""
    after: Any
    """Its value after; None if it was removed."""

    def reversed(self) -> Change:
        """The change that undoes this one."""
        return Change(kind=self.kind, key=self.key, before=self.after, after=self.before)


@dataclass(frozen=True, kw_only=True)
class ChangeOrigin:
    """Where a change comes from."""

    tab: str
    """Id of the browser tab."""
    op: str
    """Id that the tab gave the operation; an operation sent twice is applied once."""
    name: str
    """Description for the user, such as ``accept PASS``."""
    seen: int
    """Revision that the tab had seen; a change to something that was changed later is a conflict."""


@dataclass(frozen=True, kw_only=True)
class AppliedChange:
    """Changes that were made together and are on disk."""

    revision: int
    """Number of the change, counted from 1."""
    changes: tuple[Change, ...]
    """What changed."""
    tab: str
    """Id of the browser tab it came from."""
    name: str
    """Description for the user."""
    op: str
    """Id that the tab gave the operation."""
    undoes: int | None = None
    """Revision that this one takes back."""


@dataclass(eq=False)
class LabelState:
    """Rows of the label file by id, and verdicts by key. Ids are never used twice."""

    top: dict[str, Any] = field(default_factory=dict)
    """Fields at the top of the label file, without the rows."""
    rows: dict[int, Any] = field(default_factory=dict)
    """Row id -> row."""
    order: list[int] = field(default_factory=list)
    """Row ids in the order of the file."""
    events: dict[int, EventKey | None] = field(default_factory=dict)
    """Row id -> event; None for a row that cannot be shown."""
    verdicts: dict[str, str] = field(default_factory=dict)
    """Key -> verdict."""
    changed_in: dict[tuple[str, str], int] = field(default_factory=dict)
    """Kind and key -> revision of the last change."""
    next_row: int = 0
    """Id of the next new row."""

    def load(self, top: dict[str, Any], rows: list[Any]) -> None:
        """Replace all rows by those of a file; verdicts stay."""
        self.top = {name: value for name, value in top.items() if name != "annotations"}
        self.order = list(range(self.next_row, self.next_row + len(rows)))
        self.rows = dict(zip(self.order, rows, strict=True))
        self.events = {row_id: event_of_row(row) for row_id, row in self.rows.items()}
        self.next_row += len(rows)

    def apply(self, change: Change, revision: int) -> None:
        """Apply one change."""
        self.changed_in[change.kind, change.key] = revision
        if change.kind in (VERDICT, FIELD):
            values = self.verdicts if change.kind == VERDICT else self.top
            if change.after is None:
                values.pop(change.key, None)
            else:
                values[change.key] = change.after
            return
        row_id = int(change.key)
        self.next_row = max(self.next_row, row_id + 1)
        previous_index = None
        if row_id in self.rows:
            del self.rows[row_id], self.events[row_id]
            previous_index = self.order.index(row_id)
            self.order.remove(row_id)
        if change.after is not None:
            self.rows[row_id], self.events[row_id] = change.after, event_of_row(change.after)
            self.order = insert_by_time(self.order, self.events, row_id, previous_index)

    def value(self, kind: str, key: str) -> Any:
        """Current row, verdict or field; None if there is none."""
        if kind == FIELD:
            return self.top.get(key)
        return self.verdicts.get(key) if kind == VERDICT else self.rows.get(int(key))

    def text(self) -> bytes:
        """Content of the label file."""
        rows = [self.rows[row_id] for row_id in self.order]
        return dump_document({**self.top, "annotations": rows} if self.top else label_document("", rows))

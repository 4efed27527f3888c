"""Labels and verdicts of one game in memory, and the changes that lead from one state to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from e2espot.formats.soccernet import file_text
from e2espot.review.label_rows import Place, inserted, place_of

LABEL = "label"
VERDICT = "verdict"
ACCEPTED = "accepted"
"""Begins the verdict on a prediction that became a label; the label's number follows."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing before and after: a row of the label file, or the verdict on a prediction or label."""

    kind: str
    """``label`` or ``verdict``."""
    key: str
    """Number of the row, or what the verdict is about; see ``verdict_key``."""
    before: Any
    """None where there was nothing."""
    after: Any
    """None where nothing is left."""

    def reversed(self) -> Change:
        """The change that takes it back."""
        return Change(kind=self.kind, key=self.key, before=self.after, after=self.before)


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A change that is on the disk."""

    revision: int
    changes: tuple[Change, ...]
    tab: str
    """The browser tab it came from."""
    name: str
    """What it is called, for the person."""
    op: str
    """The tab's own number of it, so that a change sent twice counts once."""
    undoes: int | None = None
    """The revision it takes back."""


@dataclass(eq=False)
class State:
    """Rows of the label file by number, and verdicts by what they are about."""

    top: dict[str, Any] = field(default_factory=dict)
    rows: dict[int, Any] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    places: dict[int, Place | None] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    touched: dict[tuple[str, str], int] = field(default_factory=dict)
    next_row: int = 0

    def begin(self, top: dict[str, Any], rows: list[Any]) -> None:
        """Take over the rows of a file; verdicts stay."""
        self.top = {name: value for name, value in top.items() if name != "annotations"}
        self.order = list(range(self.next_row, self.next_row + len(rows)))
        self.rows = dict(zip(self.order, rows, strict=True))
        self.places = {number: place_of(row) for number, row in self.rows.items()}
        self.next_row += len(rows)

    def apply(self, change: Change, revision: int) -> None:
        """Go on by one change."""
        self.touched[change.kind, change.key] = revision
        if change.kind == VERDICT:
            if change.after is None:
                self.verdicts.pop(change.key, None)
            else:
                self.verdicts[change.key] = change.after
            return
        number = int(change.key)
        self.next_row = max(self.next_row, number + 1)
        if number in self.rows:
            del self.rows[number], self.places[number]
            place = self.order.index(number)
            self.order.remove(number)
        else:
            place = -1
        if change.after is not None:
            self.rows[number], self.places[number] = change.after, place_of(change.after)
            self.order = inserted(self.order, self.places, number, place)

    def value(self, kind: str, key: str) -> Any:
        """What is there now; None for nothing."""
        return self.verdicts.get(key) if kind == VERDICT else self.rows.get(int(key))

    def text(self) -> bytes:
        """The label file."""
        return file_text(self.top, [self.rows[number] for number in self.order])

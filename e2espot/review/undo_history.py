"""Undo and redo stacks, one pair per browser tab."""

from __future__ import annotations

from collections.abc import Callable

from e2espot.review.state import AppliedChange


class UndoHistory:
    """Every applied change, and which of them each tab can undo or redo."""

    def __init__(self) -> None:
        """Start empty."""
        self._by_revision: dict[int, AppliedChange] = {}
        self._by_op: dict[str, AppliedChange] = {}
        self._undo: dict[str, list[int]] = {}
        self._redo: dict[str, list[int]] = {}

    def applied(self, op: str) -> AppliedChange | None:
        """The change of an operation that was sent before; None for a new one."""
        return self._by_op.get(op)

    def __getitem__(self, revision: int) -> AppliedChange:
        """The change with this revision."""
        return self._by_revision[revision]

    def record(self, applied: AppliedChange) -> None:
        """Add a change and update its tab's stacks."""
        self._by_revision[applied.revision] = applied
        self._by_op[applied.op] = applied
        undo, redo = (stacks.setdefault(applied.tab, []) for stacks in (self._undo, self._redo))
        if applied.undoes is None:
            undo.append(applied.revision)
            redo.clear()
        # An undo is itself a change that can be undone: taking it back is the redo.
        elif undo and undo[-1] == applied.undoes:
            undo.pop()
            redo.append(applied.revision)
        elif redo and redo[-1] == applied.undoes:
            redo.pop()
            undo.append(applied.revision)

    def last(self, tab: str, *, redo: bool, is_closed: Callable[[str], bool]) -> tuple[str, int] | None:
        """What a tab would undo or redo next.

        Args:
            tab: Id of the tab.
            redo: Whether to redo.
            is_closed: Whether a tab is closed. A tab without changes of its own takes back those of closed tabs.

        Returns:
            Tab that made the change, and its revision; None if there is nothing.
        """
        stacks = self._redo if redo else self._undo
        if stacks.get(tab):
            return tab, stacks[tab][-1]
        closed = [(stack[-1], name) for name, stack in stacks.items() if stack and is_closed(name)]
        if not closed:
            return None
        revision, owner = max(closed)
        return owner, revision

    def drop_last(self, tab: str, *, redo: bool) -> None:
        """Remove the top of a tab's stack, because it cannot be undone any more."""
        (self._redo if redo else self._undo)[tab].pop()

    def clear_stacks(self) -> None:
        """Make nothing undoable: the label file was replaced. Operations sent twice are still recognised."""
        self._undo.clear()
        self._redo.clear()

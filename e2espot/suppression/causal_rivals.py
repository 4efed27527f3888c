"""Rivals while scores still arrive: ``weaken_rivals`` for events that are final one by one.

An event is weakened by the events of rival classes within the window on both sides of it. Those before it are decided.
For those after it there are two ways::

    waits         the event is held until no more rival can come within its window: the offline confidences, exactly
    does not wait the rivals after it are those that the suppression gives by the scores known when it is decided

So the second needs no delay beyond that of the suppression, and with a delay longer than the video it is exact as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from e2espot.core.events import Event
from e2espot.suppression.rivals import nearness_of


class CausalRivals:
    """Takes the events of the suppression and returns them with the confidences that rivals leave them.

    Args:
        rivals: Classes that rule each other out; events of others pass.
        window: Frames from which on rivals have no effect.
        strength: 0 for no effect, 1 for all of it; may be changed at any time.
        waits: Whether events are held until all rivals within their windows are decided.
    """

    def __init__(self, rivals: Sequence[str], window: int, *, strength: float, waits: bool) -> None:
        self._rivals, self._window, self.strength, self._waits = tuple(rivals), window, strength, waits
        self._nearness_W = nearness_of(window) if window else None
        self._recent: list[Event] = []
        """Rivals as the suppression gave them, that may still weaken another."""
        self._held: list[Event] = []

    @property
    def is_active(self) -> bool:
        """Whether events change at all."""
        return self.strength > 0 and self._nearness_W is not None

    @property
    def num_held(self) -> int:
        """Events that are remembered or held."""
        return len(self._recent) + len(self._held)

    def add(self, events: Iterable[Event], upcoming: Iterable[Event], undecided: int | None) -> list[Event]:
        """Weaken the next events.

        Args:
            events: What became final in the suppression.
            upcoming: Rivals that are not final, as far as they are known; not used by one that waits.
            undecided: The first frame in which another event may come; None at the end.

        Returns:
            The events that became final, in no particular order.
        """
        passing = []
        for event in events:
            if event.label in self._rivals:
                self._held.append(event)
                self._recent.append(event)
            else:
                passing.append(event)
        if not self._waits or not self.is_active or undecided is None:
            ready, self._held = self._held, []
        else:
            ready = [event for event in self._held if event.frame + self._window <= undecided]
            self._held = [event for event in self._held if event.frame + self._window > undecided]
        others = self._recent if self._waits else [*self._recent, *upcoming]
        passing += [self._weakened(event, others) for event in ready]
        first = min([event.frame for event in self._held] + ([] if undecided is None else [undecided]), default=0)
        self._recent = [event for event in self._recent if event.frame + self._window > first]
        return passing

    def _weakened(self, event: Event, others: Iterable[Event]) -> Event:
        if not self.is_active:
            return event
        assert self._nearness_W is not None
        pull = 0.0
        for other in others:
            distance = other.frame - event.frame
            if other.label != event.label and abs(distance) <= self._window:
                pull = max(pull, self._nearness_W[distance + self._window] * other.confidence)
        return dataclasses.replace(event, confidence=float(event.confidence * (1 - self.strength * pull)))

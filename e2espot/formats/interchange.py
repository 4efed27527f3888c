"""Events as files have them, with every field: what one format is turned into another through.

Training and inference work on whole frames (:class:`e2espot.core.events.Event`). A conversion must not
lose the milliseconds between them, nor fields nobody here uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One event of one video."""

    label: str
    """Class name as spelt in the file."""
    position_ms: int
    """Milliseconds from the start of the video."""
    confidence: float | None = None
    """Score of a prediction; None for a label."""
    team: str = ""
    """``left``, ``right``, ``home``, ``away``, ``not applicable``, or empty where nothing is said."""
    visibility: str = ""
    """``visible``, ``not shown``, or empty where nothing is said."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the entry, by name."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One video and what happens in it."""

    game: str
    """``league/season/game``, or whatever else names the game, with forward slashes."""
    half: int = 1
    """1 or 2; a game in one video is all half 1."""
    split: str = ""
    """train, valid, test, challenge, or empty."""
    moments: tuple[Moment, ...] = ()
    """In the order of the file."""
    video: str = ""
    """Path of the video, relative to the dataset; empty where it is not known."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the video: ``fps``, ``num_frames``, ``width``, ``height``, and what else there is."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the game."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """All that one conversion reads."""

    recordings: tuple[Recording, ...]
    """Each game's halves together, in order."""
    classes: tuple[str, ...] = ()
    """Class names, where the format lists them; else those that occur."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the whole."""
    predictions: bool = False
    """Whether these are predictions, with confidences, and not labels."""

    def class_names(self) -> tuple[str, ...]:
        """Classes listed, and those that occur though they are not, in order."""
        seen = {moment.label for recording in self.recordings for moment in recording.moments}
        return (*self.classes, *sorted(seen - set(self.classes)))


class Losses:
    """What a conversion drops or changes, counted."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._counts: Counter[str] = Counter()

    def add(self, what: str, count: int = 1) -> None:
        """Count something that the other format has no place for."""
        if count:
            self._counts[what] += count

    def add_fields(self, fields: Mapping[str, Any], where: str) -> None:
        """Count fields that say anything, by name."""
        for name, value in fields.items():
            self.add(f"{where} field {name!r}", int(value not in ("", None, [], {})))

    def lines(self) -> list[str]:
        """One line each, in order of what they say."""
        return [f"{count} x {what}" for what, count in sorted(self._counts.items())]


# Reading strictly: what was given, what is expected, and where.

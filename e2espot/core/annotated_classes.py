"""Which classes of a game were annotated. A class that was not has no label, which does not mean that it never happens.

One notion for training (the class is left out of the loss), scoring (its predictions do not count, and a class that no
game annotates is left out of the mean) and calibration::

    label set     PASS  DRIVE  SHOT
    game a        x     x      x        every class: None
    game b        x            x        a DRIVE in b is no background, and its predictions in b count neither way
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LabelSet

AnnotatedClasses = frozenset[str] | None
"""Names of the classes that were annotated; None for all of them."""


class _Labelled(Protocol):
    """An event of either kind."""

    @property
    def label(self) -> str:
        """Name of its class."""


_E = TypeVar("_E", bound=_Labelled)


def parse_annotated_classes(text: str, option: str = "annotated_classes") -> AnnotatedClasses:
    """Names as a person writes them, ``PASS, HIGH PASS``; None for an empty text.

    Raises:
        ConfigurationError: an empty name between commas.
    """
    names = [name.strip() for name in text.split(",")]
    if names == [""]:
        return None
    if not all(names):
        raise ConfigurationError(
            f"{option} is {text!r}; give names of classes with a comma between them, such as PASS,DRIVE", option=option
        )
    return frozenset(names)


def intersect_classes(first: AnnotatedClasses, second: AnnotatedClasses) -> AnnotatedClasses:
    """The classes that both of two statements call annotated."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def of_classes(events: Sequence[_E], classes: AnnotatedClasses) -> list[_E]:
    """The events of annotated classes, in their order."""
    return [event for event in events if classes is None or event.label in classes]


def unannotated(label_set: LabelSet, classes: AnnotatedClasses) -> tuple[str, ...]:
    """Classes of a label set that were not annotated, in its order."""
    return () if classes is None else tuple(name for name in label_set.names if name not in classes)


def annotated_somewhere(label_set: LabelSet, classes: Iterable[AnnotatedClasses]) -> LabelSet:
    """The classes that at least one game annotates: those that a score can be given for.

    The label set itself where that is none, since a set of no classes does not exist.
    """
    every = list(classes)
    if not every or None in every:
        return label_set
    names = tuple(name for name in label_set.names if any(of_game and name in of_game for of_game in every))
    return LabelSet(names) if names else label_set


def count_games_without(label_set: LabelSet, classes: Mapping[str, AnnotatedClasses]) -> dict[str, int]:
    """Class -> number of games that do not annotate it, for those that some do not."""
    missing = [name for of_game in classes.values() for name in unannotated(label_set, of_game)]
    return {name: missing.count(name) for name in label_set.names if name in missing}

"""Label sets: class names in order, built in or read from a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from e2espot.core.errors import AnnotationError, ConfigurationError


@dataclass(frozen=True)
class LabelSet:
    """Class names in order. The class at index ``i`` is ``i + 1`` in targets and logits, where 0 is background."""

    names: tuple[str, ...]
    """Class names, each once."""

    def __post_init__(self) -> None:
        """Refuse an empty set, an empty name and a repeated name."""
        if not self.names or not all(self.names):
            raise ConfigurationError(f"label set {list(self.names)} has no name, or an empty one; list each class once")
        repeated = next((name for name in self.names if self.names.count(name) > 1), None)
        if repeated is not None:
            raise ConfigurationError(f"the label set has {repeated!r:.200} twice; list each class once")

    def __len__(self) -> int:
        """Number of classes, background not counted."""
        return len(self.names)

    def __contains__(self, label: object) -> bool:
        """Whether ``label`` is one of the names, exactly."""
        return label in self.names

    def target_of(self, label: str) -> int:
        """Index of ``label`` in a target or in logits: 1 for the first name.

        Raises:
            AnnotationError: the label is not in the set.
        """
        try:
            return self.names.index(label) + 1
        except ValueError:
            raise AnnotationError(self.unknown(label)) from None

    def other_spelling(self, label: str) -> str | None:
        """The name that ``label`` is but for case, spaces, hyphens and underscores: THROW IN for Throw-in."""
        spelling = _letters(label)
        return next((name for name in self.names if name != label and _letters(name) == spelling), None)

    def unknown(self, label: str) -> str:
        """What to say of a label that is not in the set."""
        spelt = self.other_spelling(label)
        hint = "" if spelt is None else f", which is spelt {spelt!r} here"
        return f"unknown label {label!r}{hint}; known: {', '.join(self.names)}"


def _letters(label: str) -> str:
    return label.casefold().translate(str.maketrans("", "", " -_"))


LABEL_SETS: dict[str, LabelSet] = {
    "ball-2": LabelSet(("PASS", "DRIVE")),
    "ball-12": LabelSet(
        (
            *("PASS", "DRIVE", "HEADER", "HIGH PASS", "OUT", "CROSS", "THROW IN", "SHOT"),
            *("BALL PLAYER BLOCK", "PLAYER SUCCESSFUL TACKLE", "FREE KICK", "GOAL"),
        )
    ),
    "soccernet-v2-17": LabelSet(
        (
            *("Penalty", "Kick-off", "Goal", "Substitution", "Offside", "Shots on target", "Shots off target"),
            *("Clearance", "Ball out of play", "Throw-in", "Foul", "Indirect free-kick", "Direct free-kick"),
            *("Corner", "Yellow card", "Red card", "Yellow->red card"),
        )
    ),
    "footpass": LabelSet(
        (
            *("PASS", "DRIVE", "HEADER", "CROSS", "THROW IN", "SHOT"),
            *("BALL PLAYER BLOCK", "PLAYER SUCCESSFUL TACKLE"),
        )
    ),
    "dfl": LabelSet(("challenge", "play", "throwin")),
}
"""The built-in label sets, in SoccerNet's order. FOOTPASS's classes have SoccerNet's names, so that a run on one starts
from a run on the other."""


def label_set_named(name_or_path: str) -> LabelSet:
    """A label set of ``LABEL_SETS``, or that of a ``class.txt`` with one name per line.

    Raises:
        ConfigurationError: no such label set, or a file that cannot be read.
    """
    if name_or_path in LABEL_SETS:
        return LABEL_SETS[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        raise ConfigurationError(
            f"no label set {name_or_path!r}; choose from {', '.join(LABEL_SETS)}, or give the path of a class.txt"
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from None
    try:
        return LabelSet(tuple(line.strip() for line in lines if line.strip()))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def label_set_of(labels: Iterable[str]) -> LabelSet:
    """The set of exactly these labels: in the order of the first built-in set that has all of them, else sorted.

    ::

        DRIVE, PASS, DRIVE -> PASS, DRIVE   the order of ball-2
        PASS, Goal         -> Goal, PASS    no built-in set has both
    """
    names = set(labels)
    for known in LABEL_SETS.values():
        if names <= set(known.names):
            return LabelSet(tuple(name for name in known.names if name in names))
    return LabelSet(tuple(sorted(names)))

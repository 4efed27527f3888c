"""Which of the twelve ball actions an entry of an event feed is.

Feeds describe the game for statistics, not for video: some entries are one of SoccerNet's ball actions, some touch the
ball in a way that may or may not be one, and the others happen elsewhere::

    pass, carry, shot, ...            a label
    recovery, save, dribble, ...      unsure: it is no label, and the video there is not background either
    card, pressure, substitution      nothing
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2espot.formats.format_names import FeedName

UNSURE = "unsure"
"""Class of an entry that touches the ball and may be an action of any class."""

_PASSES = ("PASS", "HEADER", "HIGH PASS", "CROSS", "THROW IN", "FREE KICK")

FEED_CLASSES: dict[FeedName, tuple[str, ...]] = {
    "statsbomb": (*_PASSES, "DRIVE", "OUT", "SHOT", "BALL PLAYER BLOCK", "PLAYER SUCCESSFUL TACKLE"),
    "wyscout": (*_PASSES, "DRIVE", "OUT", "SHOT"),
    "opta": (*_PASSES, "OUT", "SHOT", "BALL PLAYER BLOCK", "PLAYER SUCCESSFUL TACKLE"),
    "statsperform": (*_PASSES, "OUT", "SHOT", "BALL PLAYER BLOCK", "PLAYER SUCCESSFUL TACKLE"),
    "sportec": ("PASS", "CROSS", "THROW IN", "FREE KICK", "SHOT"),
}
"""Classes that each feed records whenever they happen. No feed has the moment at which a goal is scored, some have no
carries, and Sportec's passes may be of any height and body part."""

_HEADED = ("HEAD", "HEAD_OTHER")
_HIGH = {"HIGH_PASS", "LONG_BALL", "LAUNCH", "CHIPPED_PASS"}
_TOUCHES = ("TAKE_ON", "RECOVERY", "MISCONTROL", "GOALKEEPER", "INTERCEPTION", "DUEL", "CLEARANCE", "SHOT")
"""Types of entries that touch the ball, whatever else they are."""

_CLASSES_BY_NAME = {"block": "BALL PLAYER BLOCK", "ball_out": "OUT"}
_TOUCHES_BY_NAME = (
    *("touch", "ball touch", "other ball contact", "ball recovery", "good skill", "challenge", "shield"),
    *("tacklinggame", "otherballaction", "balldeflection", "goalkeeperaction"),
)
"""The same among entries that kloppy gives no type, by the provider's name in small letters."""


@dataclass(frozen=True, kw_only=True)
class FeedEntry:
    """What decides the class of an entry, in kloppy's words."""

    kind: str
    """Type, such as ``PASS`` or ``GENERIC``."""
    name: str = ""
    """The provider's name of an entry without a type, such as ``Block``."""
    result: str = ""
    """``COMPLETE``, ``WON``, ``GOAL``, ...; empty if it has none."""
    set_piece: str = ""
    """``THROW_IN``, ``CORNER_KICK``, ...; empty in open play."""
    body_part: str = ""
    """``HEAD``, ``LEFT_FOOT``, ...; empty if it is not stated."""
    subtypes: frozenset[str] = field(default_factory=frozenset)
    """Types of a pass or duel, such as ``CROSS`` or ``AERIAL``."""


def class_of(entry: FeedEntry, provider: FeedName) -> str | None:
    """A class of ``ball-12``, :data:`UNSURE`, or None for an entry that has nothing to do with the ball.

    Args:
        entry: An entry of the feed.
        provider: Name of the feed's format, such as ``statsbomb``.
    """
    if entry.kind == "PASS":
        return _class_of_pass(entry)
    if entry.kind == "GENERIC":
        name = entry.name.lower()
        return _CLASSES_BY_NAME.get(name, UNSURE if name in _TOUCHES_BY_NAME else None)
    if entry.kind == "CARRY":
        return "DRIVE"
    if entry.kind == "BALL_OUT":
        return "OUT"
    if entry.kind == "SHOT" and entry.result != "OWN_GOAL":
        return "SHOT"
    if entry.kind == "CLEARANCE" and entry.body_part in _HEADED:
        return "HEADER"
    if entry.kind == "DUEL" and _is_won_tackle(entry, provider):
        return "PLAYER SUCCESSFUL TACKLE"
    return UNSURE if entry.kind in _TOUCHES else None


def _class_of_pass(entry: FeedEntry) -> str:
    if entry.set_piece == "THROW_IN":
        return "THROW IN"
    if entry.set_piece == "FREE_KICK":
        return "FREE KICK"
    if "CROSS" in entry.subtypes or entry.set_piece == "CORNER_KICK":
        return "CROSS"
    if entry.body_part in _HEADED or "HEAD_PASS" in entry.subtypes:
        return "HEADER"
    return "HIGH PASS" if entry.subtypes & _HIGH else "PASS"


def _is_won_tackle(entry: FeedEntry, provider: FeedName) -> bool:
    """Whether a duel is a tackle that wins the ball. Wyscout calls the player who keeps it a winner too."""
    if entry.result != "WON" or "LOOSE_BALL" in entry.subtypes:
        return False
    tackles = {"TACKLE", "SLIDING_TACKLE"} if provider == "wyscout" else {"TACKLE", "SLIDING_TACKLE", "GROUND"}
    return bool(entry.subtypes & tackles)

"""Event feeds of StatsBomb, Wyscout, Opta, Stats Perform and Sportec, read by the kloppy package, as weak labels.

A feed counts each half from its kick-off; a video starts somewhere else. So a position in the video is the feed's time
plus one offset for each half, given here or found later by what a spotter sees::

    feed        kick-off |----x----x--------x----
    video  |-------------|----x----x--------x----        offset of the half: how long the video runs before kick-off
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from e2espot.core.annotated import AnnotatedRanges, merge_ranges
from e2espot.core.errors import AnnotationError, ConfigurationError, one_line, shortened
from e2espot.core.timeline import HALVES, MAX_DURATION_MS
from e2espot.files.json_fields import read_bytes
from e2espot.formats.annotated_field import CLASSES_FIELD, unsure_field
from e2espot.formats.feed_classes import FEED_CLASSES, UNSURE, FeedEntry, class_of
from e2espot.formats.format_names import FeedName
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields

if TYPE_CHECKING:
    from kloppy.domain import Event, EventDataset

UNSURE_MS = 1000
"""How far from an unsure entry an action may be, to either side."""

_SECOND_FILE = {
    "statsbomb": "the lineups of the match (lineups/ID.json)",
    "opta": "the F7 feed of the match",
    "statsperform": "the MA1 feed of the match",
    "sportec": "the match information of the match",
}
"""What each format keeps in a second file; Wyscout's has everything in one."""

_SAME_OUT_MS = 2000
"""Two entries of a ball that goes out nearer than this are one: Opta has one for each team."""

_OFFSET = re.compile(r"(?:([1-5])/)?([+-]?[0-9]{1,6}(?:\.[0-9]{1,6})?)")


@dataclass(frozen=True, kw_only=True)
class _TimedEntry:
    """An entry of a feed with its time."""

    entry: FeedEntry
    """What decides its class."""
    half: int
    """Number of the period; 3 to 5 for extra time and penalties."""
    position_ms: int
    """Milliseconds since the kick-off of that period."""
    team: str
    """``home``, ``away`` or empty."""
    feed_id: str
    """Its name in the feed."""


@dataclass(frozen=True, kw_only=True)
class FeedClock:
    """Where each half of a feed lies in the videos."""

    offset_ms: Mapping[int, int] = field(default_factory=dict)
    """Half -> milliseconds from the start of its video to its kick-off; 0 where none is stated."""
    one_video: bool = False
    """The match is one video: every half is written as half 1."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A feed to read."""

    source: Path
    """File of the events."""
    provider: FeedName
    """Its format."""
    second_file: Path | None = None
    """File of the lineups or of the match; None for StatsBomb's open data, where it is known, and for Wyscout."""
    game: str | None = None
    """Name of the game; None for that of the file."""
    clock: FeedClock = field(default_factory=FeedClock)
    """Where each half lies in the videos."""


def parse_offsets(text: str) -> dict[int, int]:
    """Offsets as a person writes them, in seconds: ``1/12.4,2/-3``, or one for every half, ``12.4``.

    Returns:
        Half -> milliseconds.

    Raises:
        ConfigurationError: not of that form, or a half twice.
    """
    offsets_ms: dict[int, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _OFFSET.fullmatch(part)
        halves = () if match is None else HALVES if match[1] is None else (int(match[1]),)
        if match is None or offsets_ms.keys() & set(halves):
            raise ConfigurationError(
                f"offset is {text!r}; give seconds from the start of a half's video to its kick-off, such as "
                "1/12.4,2/-3",
                option="offset",
            )
        offsets_ms |= dict.fromkeys(halves, round(1000 * float(match[2])))
    return offsets_ms


def read_feed(feed: Feed, dropped: DroppedFields) -> AnnotationSet:
    """The ball actions of a match; what is no ball action is counted as dropped.

    Entries that touch the ball without being a certain action become ``unsure`` stretches. What lies outside of the
    halves was not annotated.

    Raises:
        AnnotationError: kloppy cannot read the files.
        ConfigurationError: kloppy is not installed, or the second file is missing.
    """
    match = _MatchLabels(feed, dropped)
    for timed in _load(feed, dropped):
        match.add(timed)
    if not match.annotations:
        raise AnnotationError(f"{feed.source}: no ball action in it; check the format and the offsets", option="offset")
    return AnnotationSet(videos=tuple(match.videos()))


class _MatchLabels:
    """Sorts the entries of a feed into labels, unsure stretches and dropped ones."""

    def __init__(self, feed: Feed, dropped: DroppedFields) -> None:
        self._feed, self._dropped = feed, dropped
        self.annotations: dict[int, list[Annotation]] = {}
        """Half of the video -> its labels."""
        self._unsure: dict[int, list[tuple[int, int]]] = {}
        """Half of the video -> stretches in milliseconds."""
        self._positions_ms: dict[int, list[int]] = {}
        """Half of the feed -> positions of its ball actions, certain or not."""
        self._last_out_ms: dict[int, int] = {}
        """Half of the feed -> when the ball last went out."""

    def add(self, timed: _TimedEntry) -> None:
        """Take in the next entry."""
        label = class_of(timed.entry, self._feed.provider)
        position_ms = timed.position_ms + self._feed.clock.offset_ms.get(timed.half, 0)
        reason = _reason_to_drop(timed, label, position_ms)
        if label is None or reason:
            self._dropped.add(reason)
            return
        self._positions_ms.setdefault(timed.half, []).append(position_ms)
        half = self._half_of_video(timed.half)
        if label == UNSURE:
            stretch = (max(0, position_ms - UNSURE_MS), position_ms + UNSURE_MS)
            self._unsure.setdefault(half, []).append(stretch)
            self._dropped.add("touch that may be any action (left as an unsure stretch)")
        elif label == "OUT" and self._is_same_out(timed.half, position_ms):
            self._dropped.add("second entry of one ball that goes out")
        else:
            self.annotations.setdefault(half, []).append(
                Annotation(label=label, position_ms=position_ms, team=timed.team, extra={"feed_id": timed.feed_id})
            )

    def _half_of_video(self, half: int) -> int:
        return 1 if self._feed.clock.one_video else half

    def _is_same_out(self, half: int, position_ms: int) -> bool:
        """Whether the ball went out just before; if not, it goes out now."""
        last_ms = self._last_out_ms.get(half)
        if last_ms is not None and position_ms - last_ms < _SAME_OUT_MS:
            return True
        self._last_out_ms[half] = position_ms
        return False

    def videos(self) -> list[AnnotatedVideo]:
        """One video for each half, or one for all of them."""
        ranges: dict[int, list[tuple[int, int]]] = {}
        for half, positions_ms in self._positions_ms.items():
            # A second to each side, for what happens just before the first entry and after the last one.
            stretch = (max(0, min(positions_ms) - UNSURE_MS), max(positions_ms) + UNSURE_MS)
            ranges.setdefault(self._half_of_video(half), []).append(stretch)
        game = self._feed.game or self._feed.source.stem
        metadata = {
            "UrlLocal": game,
            CLASSES_FIELD: list(FEED_CLASSES[self._feed.provider]),
            **unsure_field({half: merge_ranges(stretches) for half, stretches in self._unsure.items()}),
        }
        return [
            AnnotatedVideo(
                game=game,
                half=half,
                annotations=tuple(self.annotations.get(half, ())),
                annotated=merge_ranges(ranges[half]) if half in ranges else AnnotatedRanges(),
                game_metadata=metadata,
            )
            for half in sorted({1, *ranges})
        ]


def _reason_to_drop(timed: _TimedEntry, label: str | None, position_ms: int) -> str:
    """Why an entry is neither a label nor unsure; empty if it is one of them."""
    if label is None:
        name = timed.entry.name if timed.entry.kind == "GENERIC" else timed.entry.kind
        return f"{name!r:.40} of the feed (no ball action)"
    if timed.half not in HALVES:
        return f"event of period {timed.half} (label files have halves 1 to 5)"
    if not 0 <= position_ms <= MAX_DURATION_MS:
        return "event before the start of its video (check the offsets)"
    return ""


def _entry(event: Event, provider: FeedName) -> FeedEntry:
    values: dict[str, str] = {}
    subtypes = set()
    for qualifier in getattr(event, "qualifiers", None) or ():
        name, value = type(qualifier).__name__, getattr(getattr(qualifier, "value", None), "name", "")
        if name in ("PassQualifier", "DuelQualifier"):
            subtypes.add(value)
        values.setdefault(name, value)
    result, name = getattr(event, "result", None), str(event.event_name)
    if provider == "wyscout" and name == "game_interruption" and "ball_out" in event.raw_event["type"]["secondary"]:
        name = "ball_out"
    return FeedEntry(
        kind=str(event.event_type.name),
        name=name,
        result="" if result is None else str(result.name),
        set_piece=values.get("SetPieceQualifier", ""),
        body_part=values.get("BodyPartQualifier", ""),
        subtypes=frozenset(subtypes),
    )


def _position_ms(event: Event, provider: FeedName) -> int:
    """Milliseconds since the kick-off of the event's half, more exactly than kloppy gives them where the feed can.

    kloppy 3.19 reads Wyscout's whole seconds, although the entry has milliseconds, and lets StatsBomb's ball go out at
    the moment of the kick::

        {"minute": 3, "second": 7, "matchTimestamp": "00:03:07.480"}                187.000 s -> 187.480 s
        {"timestamp": "00:00:10.000", "duration": 2.5, "pass": {"outcome": Out}}    the ball is out at 12.5 s
    """
    position_ms: int = round(1000 * event.timestamp.total_seconds())
    raw: Any = event.raw_event
    if provider == "wyscout" and isinstance(raw, dict):
        fraction = re.fullmatch(r"[0-9]+:[0-9]+:[0-9]+\.([0-9]{3})", str(raw.get("matchTimestamp")))
        return position_ms if fraction is None else position_ms + int(fraction[1])
    if provider == "statsbomb" and event.event_type.name == "BALL_OUT":
        return position_ms + round(1000 * float(raw.get("duration") or 0))
    return position_ms


def _load(feed: Feed, dropped: DroppedFields) -> list[_TimedEntry]:
    """The feed as kloppy reads it, in the order of the feed; kloppy's warnings are counted as dropped."""
    contents = [read_bytes(path) for path in _files(feed)]
    if feed.provider == "wyscout" and contents[0].lstrip().startswith(b"["):
        raise AnnotationError(
            f"{feed.source}: is version 2 of Wyscout's events, and version 3 is read; convert version 2 as a table"
        )
    load = _loader(feed.provider)
    for content in contents:
        if re.search(rb"<!(DOCTYPE|ENTITY)", content.replace(b"\0", b"")):
            raise AnnotationError(f"{feed.source}: XML with definitions of its own is not read; export the match again")
    try:
        with warnings.catch_warnings(record=True) as caught, _quiet(logging.getLogger("kloppy")):
            warnings.simplefilter("always")
            entries = [_timed(event, feed.provider) for event in load(*map(BytesIO, contents)).records]
            if feed.provider == "sportec":
                entries = _with_crosses(entries, contents[-1])
    except Exception as error:
        # kloppy takes its input for valid: a missing field is a KeyError, a wrong one an error of any type.
        raise AnnotationError(
            f"{feed.source}: kloppy cannot read it as {feed.provider} "
            f"({type(error).__name__}: {shortened(one_line(error), 200)})"
        ) from None
    dropped.add("warning of kloppy about an entry", len(caught))
    return entries


@contextmanager
def _quiet(log: logging.Logger) -> Iterator[None]:
    """Without the time that each step takes, which kloppy logs."""
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


def _with_crosses(entries: list[_TimedEntry], events: bytes) -> list[_TimedEntry]:
    """Sportec's entries, with the crosses that kloppy 3.19 reads as other passes."""
    crosses = {
        element.get("EventId")
        for element in ElementTree.fromstring(events).iter("Event")
        if element.find(".//Cross") is not None
    }
    return [
        replace(timed, entry=replace(timed.entry, subtypes=timed.entry.subtypes | {"CROSS"}))
        if timed.feed_id in crosses and timed.entry.kind == "PASS"
        else timed
        for timed in entries
    ]


def _timed(event: Event, provider: FeedName) -> _TimedEntry:
    ground = "" if event.team is None else str(event.team.ground)
    return _TimedEntry(
        entry=_entry(event, provider),
        half=int(event.period.id),
        position_ms=_position_ms(event, provider),
        team=ground if ground in ("home", "away") else "",
        feed_id=str(event.event_id),
    )


def _files(feed: Feed) -> list[Path]:
    """The files of a feed, the events last."""
    if feed.provider not in _SECOND_FILE:
        return [feed.source]
    second_file = feed.second_file
    if second_file is None and feed.provider == "statsbomb":
        # Open data: events/15946.json and lineups/15946.json.
        open_data = feed.source.parent.parent / "lineups" / feed.source.name
        second_file = open_data if open_data.is_file() else None
    if second_file is None:
        raise ConfigurationError(
            f"{feed.source}: {feed.provider} needs {_SECOND_FILE[feed.provider]} too; name that file",
            option="second_file",
        )
    return [second_file, feed.source]


def _loader(provider: FeedName) -> Callable[..., EventDataset]:
    """What reads a provider's files, the events last.

    Raises:
        ConfigurationError: kloppy is not installed.
    """
    try:
        from kloppy import opta, sportec, statsbomb, statsperform, wyscout
    except ImportError:
        raise ConfigurationError(
            "event feeds need the kloppy package; install it: pip install 'e2espot[feeds]'"
        ) from None
    loaders: dict[str, Callable[..., EventDataset]] = {
        "statsbomb": lambda lineups, events: statsbomb.load(event_data=events, lineup_data=lineups),
        "wyscout": lambda events: wyscout.load(event_data=events, data_version="V3"),
        "opta": lambda f7, f24: opta.load(f7_data=f7, f24_data=f24),
        "statsperform": lambda ma1, ma3: statsperform.load_event(ma1_data=ma1, ma3_data=ma3),
        "sportec": lambda match, events: sportec.load_event(event_data=events, meta_data=match),
    }
    return loaders[provider]

"""SoccerTrack v2's ball action files: ``bas/ID/ID_12_class_events.json``, times on the match clock.

The files as released differ from their description: the list is called ``actions``, labels are in capitals,
and ``position`` counts from the kick-off of the match, not of the half. Three matches have a third period
that was never filmed; its events mostly name no half.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.files.json_fields import (
    checked_path,
    dump_json,
    load_json,
    read_bytes,
    rest,
    take,
    take_ms,
    take_number,
    take_text,
    take_word,
)
from e2espot.formats.interchange import Collection, Losses, Moment, Recording

_END = "_12_class_events.json"
_CLASSES = LABEL_SETS["ball-12"].names
_CLOCK = re.compile(r"(?:(\d) - )?(\d{1,3}):(\d{2})")
_NOMINAL_MS = {1: 0, 2: 2_700_000}
_LONGEST_HALF_MS = 3_600_000


@dataclass(frozen=True, kw_only=True)
class Period:
    """One half as filmed."""

    start_ms: int
    """Match clock at the first frame of the half's video."""
    end_ms: int
    """Match clock at the end of it."""


Periods = Mapping[str, Mapping[int, Period]]
"""Match id -> half -> when it was filmed."""


def read_periods(path: Path) -> Periods:
    """Read SoccerTrack's ``bas_periods.json``: where on the match clock each video begins and ends.

    Raises:
        AnnotationError: names the file and the field.
    """
    content = load_json(read_bytes(path), str(path))
    out: dict[str, dict[int, Period]] = {}
    for match, told in take(content, "matches", dict, str(path)).items():
        where = f"{path}: matches.{match}"
        periods = take(told, "periods", dict, where)
        out[str(match)] = {}
        for half in (1, 2):
            period = take(periods, str(half), dict, f"{where}.periods")
            start = round(take_number(period, "t0_ms", f"{where}.periods.{half}"))
            frames = take(period, "n_frames", int, f"{where}.periods.{half}")
            out[str(match)][half] = Period(start_ms=start, end_ms=start + 40 * frames)
    return out


def _period(periods: Periods, match: str, half: int) -> Period:
    start = _NOMINAL_MS[half]
    return periods.get(match, {}).get(half, Period(start_ms=start, end_ms=start + _LONGEST_HALF_MS))


def read_soccertrack(source: Path, losses: Losses, periods: Periods, *, predictions: bool) -> Collection:
    """Read every event file below a folder, or one.

    Raises:
        AnnotationError: names the file, the entry and the field.
        ConfigurationError: no such files.
    """
    paths = [source] if source.is_file() else sorted(source.rglob(f"*{_END}"))
    if not paths:
        raise ConfigurationError(f"{source}: no *{_END} below it")
    recordings: list[Recording] = []
    for path in paths:
        match = path.name.removesuffix(_END).removesuffix(".json")
        content = load_json(read_bytes(path), str(path))
        key = "actions" if isinstance(content, dict) and "actions" in content else "annotations"
        entries = take(content, key, list, str(path))
        halves: dict[int, list[Moment]] = {1: [], 2: []}
        for number, entry in enumerate(entries):
            found = _read_event(entry, f"{path}: {key}[{number}]", match, losses, periods, predictions)
            if found is not None:
                halves[found[0]].append(found[1])
        about = {
            name: value for name, value in rest(content, key).items() if not (name == "UrlLocal" and value == match)
        }
        recordings += [
            Recording(game=match, half=half, moments=tuple(moments), about=about) for half, moments in halves.items()
        ]
    return Collection(recordings=tuple(recordings), classes=_CLASSES, predictions=predictions)


def _read_event(
    entry: Any, where: str, match: str, losses: Losses, periods: Periods, predictions: bool
) -> tuple[int, Moment] | None:
    """Half and event; None for one that was not filmed."""
    clock = take_text(entry, "gameTime", where)
    said = _CLOCK.fullmatch(clock)
    if said is None:
        raise AnnotationError(f"{where}: field 'gameTime' is {clock!r}; it must look like \"2 - 47:11\"")
    clock_ms, label = take_ms(entry, "position", where), take_text(entry, "label", where).upper()
    if label not in _CLASSES:
        raise AnnotationError(f"{where}: field 'label' is {entry['label']!r}; expected one of {', '.join(_CLASSES)}")
    half = int(said[1] or 3)
    if half not in (1, 2):
        losses.add("event of a period that was not filmed (its time names no half)")
        return None
    period = _period(periods, match, half)
    if not period.start_ms <= clock_ms < period.end_ms:
        losses.add(f"event outside the filmed part of half {half}")
        return None
    if half == 2 and clock_ms >= 2 * _NOMINAL_MS[2] and match not in periods:
        losses.add("event of half 2 past 90:00 kept, though some matches have a third period there: see --periods")
    more = rest(entry, "gameTime", "position", "label", "team", "visibility", "confidence")
    if clock != _clock(clock_ms, half):
        more["matchTime"] = clock
    return half, Moment(
        label=label,
        position_ms=clock_ms - period.start_ms,
        confidence=take_number(entry, "confidence", where) if predictions or "confidence" in entry else None,
        team=take_word(entry, "team", where),
        visibility=take_word(entry, "visibility", where),
        more=more,
    )


def _clock(clock_ms: int, half: int) -> str:
    minutes, seconds = divmod(clock_ms // 1000, 60)
    return f"{half} - {minutes:02d}:{seconds:02d}"


def soccertrack_files(collection: Collection, target: Path, losses: Losses, periods: Periods) -> dict[Path, bytes]:
    """``bas/ID/ID_12_class_events.json``, as the released files are.

    Raises:
        ConfigurationError: the target is a file, or two games have one id.
    """
    if target.is_file():
        raise ConfigurationError(f"{target} is a file; SoccerTrack's layout is a folder")
    losses.add_fields(collection.about, "dataset")
    files: dict[Path, bytes] = {}
    ordered = sorted(collection.recordings, key=lambda recording: (recording.game, recording.half))
    for game, group in groupby(ordered, key=lambda recording: recording.game):
        recordings = list(group)
        match = checked_path(game, "name of a game").split("/")[-1]
        path = target / "bas" / match / f"{match}{_END}"
        if path in files:
            raise ConfigurationError(f"two games end with {match!r}, which would name both; convert them one by one")
        losses.add("folders above a game", int("/" in game))
        rows = [
            _row(moment, recording.half, match, losses, periods)
            for recording in recordings
            for moment in recording.moments
        ]
        for recording in recordings:
            losses.add_fields(recording.facts, "video")
            losses.add("split of a video", int(bool(recording.split)))
        content = {"UrlLocal": match, **rest(recordings[0].about, "UrlLocal"), "actions": [row for row in rows if row]}
        files[path] = dump_json(content)
    return files


def _row(moment: Moment, half: int, match: str, losses: Losses, periods: Periods) -> dict[str, Any] | None:
    if moment.label.upper() not in _CLASSES:
        losses.add(f"event of class {moment.label!r} (SoccerTrack has the twelve of ball-12)")
        return None
    clock_ms = moment.position_ms + _period(periods, match, half).start_ms
    more = dict(moment.more)
    row: dict[str, Any] = {
        "gameTime": more.pop("matchTime", _clock(clock_ms, half)),
        "position": str(clock_ms),
        "label": moment.label.upper(),
        "team": moment.team,
    }
    row |= {"visibility": moment.visibility} if moment.visibility else {}
    row |= {"confidence": moment.confidence} if moment.confidence is not None else {}
    return {**row, **more}

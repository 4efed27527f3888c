"""What one line of a review's journal must hold. Pure."""

from __future__ import annotations

from typing import Any

from e2espot.review.rows import place_of

_MOST = 10**9


def check_record(record: dict[str, Any]) -> None:
    """Refuse a line that the store would trip over, now or when somebody takes it back.

    Raises:
        ValueError: a field of another type or an absurd number.
        KeyError: a field is missing.
    """
    _need(_is_number(record["revision"]), "revision")
    _need(record["sha"] is None or isinstance(record["sha"], str), "sha")
    if "start" in record:
        _need(_is_number(record["start"]), "start")
        _need(isinstance(record["top"], dict), "top")
        _need(isinstance(record["rows"], list), "rows")
        return
    _need(all(isinstance(record[name], str) for name in ("tab", "name", "op")), "tab, name, op")
    _need(record.get("undoes") is None or _is_number(record["undoes"]), "undoes")
    _need(isinstance(record["changes"], list), "changes")
    for change in record["changes"]:
        _check_change(change)


def _check_change(change: Any) -> None:
    _need(isinstance(change, dict) and change["kind"] in ("label", "verdict") and isinstance(change["key"], str), "key")
    kept = [value for value in (change["before"], change["after"]) if value is not None]
    if change["kind"] == "verdict":
        _need(all(isinstance(value, str) for value in kept), "verdict")
        return
    _need(change["key"].isascii() and change["key"].isdecimal() and len(change["key"]) < 10, "number of a row")
    _need(all(place_of(value) is not None for value in kept), "row")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _need(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"{what} cannot be")

"""Defaults of options are checked as tyro checks them, without typeguard."""

from pathlib import Path
from typing import Any, Literal

import pytest
import tyro._resolver

import e2espot.cli.parsing  # noqa: F401  # puts the quick checks in place

KINDS: list[tuple[Any, Any]] = [
    (str | None, None),
    (str | None, "a"),
    (str | None, 1),
    (Path | None, Path("a")),
    (Path | None, "a"),
    (int | float | None, 1.5),
    (tuple[str, ...], ()),
    (tuple[str, ...], ("a", "b")),
    (tuple[str, ...], ("a", 1)),
    (tuple[str, ...], ["a"]),
    (tuple[Literal["a", "b"], ...], ("b",)),
    (tuple[Literal["a", "b"], ...], ("c",)),
    (tuple[int, int] | None, (1, 2)),
    (tuple[int, int] | None, (1, "b")),
    (lambda: None, None),
]


@pytest.mark.parametrize(("kind", "value"), KINDS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_quick_checks_answer_as_typeguard(kind: Any, value: Any) -> None:
    typeguard = pytest.importorskip("typeguard")
    try:
        typeguard.check_type(value, kind, collection_check_strategy=typeguard.CollectionCheckStrategy.ALL_ITEMS)
        expected = True
    except typeguard.TypeCheckError:
        expected = False
    assert tyro._resolver.is_instance(kind, value) == expected

"""Texts of other libraries' exceptions become one line."""

import pytest

from e2espot.core.errors import first_line, one_line


@pytest.mark.parametrize(
    ("text", "whole", "first"),
    [
        ("damaged", "damaged", "damaged"),
        ("\n  damaged\n  at 3\n", "damaged at 3", "damaged"),
        ("", "ValueError", "ValueError"),
        (" \n ", "ValueError", "ValueError"),
    ],
)
def test_one_line_joins_and_first_line_cuts(text: str, whole: str, first: str) -> None:
    assert one_line(ValueError(text)) == whole
    assert first_line(ValueError(text)) == first

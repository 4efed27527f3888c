"""Errors have one root, and texts of other libraries' exceptions become one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core import errors
from e2espot.core.errors import DamagedVideoError, E2ESpotError, VideoError, first_line, one_line, shortened


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


def test_shortened_ends_after_a_word() -> None:
    text = "we cannot find the files in the cache; check your connection and try again"
    assert shortened(text, len(text)) == text
    assert shortened(text, len(text) - 1) == "we cannot find the files in the cache; check your connection and try ..."
    assert shortened("word " * 100) == "word " * 31 + "..."
    assert shortened("w" * 500, 20) == "w" * 16 + " ..."


def test_errors_carry_the_parameter_that_settles_them() -> None:
    error = VideoError("breaks off", option="allow_truncated")
    assert (str(error), error.option) == ("breaks off", "allow_truncated")
    assert E2ESpotError("wrong").option is None


@given(st.text(max_size=40))
def test_one_line_has_no_line_break_and_is_never_empty(text: str) -> None:
    for line in (one_line(OSError(text)), first_line(OSError(text))):
        assert line
        assert len(line.splitlines()) == 1


def test_every_error_of_a_user_is_caught_by_the_root() -> None:
    """``run_command`` catches the root; any other would show a traceback."""
    children = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(children) == 8
    assert all(issubclass(kind, E2ESpotError) for kind in children)
    assert issubclass(DamagedVideoError, VideoError)

"""``2/7``: one part of several."""

import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.core.parts import parse_part


def test_parse_part_returns_number_and_count() -> None:
    assert parse_part("2/7", "fold") == (2, 7)
    assert parse_part("1/1", "shard") == (1, 1)


@pytest.mark.parametrize(
    "text", ["", "2", "2/", "/7", "0/7", "8/7", "-1/7", "2/7/9", " 2/7", "²/7", "٢/7", "1/" + "9" * 99]
)
def test_parse_part_refuses_another_form_and_names_the_parameter(text: str) -> None:
    with pytest.raises(ConfigurationError, match="fold is") as caught:
        parse_part(text, "fold")
    assert caught.value.option == "fold"


def test_parse_part_refuses_fewer_parts_than_allowed() -> None:
    with pytest.raises(ConfigurationError, match="fold is '1/1'"):
        parse_part("1/1", "fold", min_count=2)

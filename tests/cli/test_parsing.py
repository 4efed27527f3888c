"""The help of a command reads well at any width: lines end where the terminal ends, each example has its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import tyro

from e2espot.cli.parsing import parse
from e2espot.core.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Inherited:
    inherited: int = 0
    """Number whose help is broken
    in the source."""


@dataclass(frozen=True, kw_only=True)
class Nested(Inherited):
    nested: str = "a"
    """Name whose help is broken
    in the source."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Do a thing.

    Examples: prog --flag; prog --nested b
    --inherited 3
    """

    flag: bool = False
    """Flag whose help is broken
    in the source."""
    group: tyro.conf.OmitArgPrefixes[Nested] = field(default_factory=Nested)
    """A group."""
    bare: int = 1


def test_help_breaks_lines_where_the_terminal_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as caught:
        parse(Options, ["--help"], "prog")
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for kind in ("Flag", "Number", "Name"):
        assert f"{kind} whose help is broken in the source." in text
    assert "Do a thing.\n\nExamples:\n  prog --flag\n  prog --nested b --inherited 3\n" in text


def test_options_take_the_defaults_that_are_given() -> None:
    assert parse(Options, ["--nested", "b"], "prog") == Options(group=Nested(nested="b"))
    default = Options(flag=True, group=Nested(inherited=5))
    assert parse(Options, ["--inherited", "6"], "prog", default) == Options(flag=True, group=Nested(inherited=6))
    with pytest.raises(ConfigurationError, match=r"no option --unknown; see prog --help"):
        parse(Options, ["--unknown"], "prog")

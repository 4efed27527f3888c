"""What is wrong with a command line, as one line like all errors of a user, instead of tyro's box of several.

::

    e2espot train DATA                       error: e2espot train needs --save_dir PATH; see e2espot train --help
    e2espot train DATA -s RUN --epochs 3     error: no option --epochs; did you mean --num_epochs? See e2espot ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from e2espot.core.errors import ConfigurationError


@contextmanager
def one_line_errors(known: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Let tyro raise what it would print. The hook is private to tyro: without it, it prints the box.

    Args:
        known: Returns the names of all options, such as ``num_epochs``, from which some are suggested for another.

    Raises:
        ConfigurationError: the command line that is read in this context is wrong.
    """
    try:
        from tyro import _errors

        errors: Any = _errors
        on_parse_error = errors.on_parse_error
    except (ImportError, AttributeError):
        yield
        return

    def raise_line(event: Any) -> None:
        line = _line(event, type(event).__name__, known)
        if line is not None:
            raise ConfigurationError(f"{line} {_program(event)} --help")

    with on_parse_error(raise_line):
        yield


def _line(event: Any, kind: str, known: Callable[[], Sequence[str]]) -> str | None:
    """What a message says in front of the command that shows the help; None for events that are not known."""
    if kind == "MissingArgs":
        needed = ", ".join(_with_values(argument.arg) for argument in event.missing_arguments)
        unknown = f", and there is no {event.unrecognized_tokens[0]!r:.60}" if event.unrecognized_tokens else ""
        return f"{_program(event)} needs {needed}{unknown}; see"
    if kind == "InvalidChoice":
        return f"{_name(event.argument)} is {event.value!r:.60}; choose from {_choices(event)}; see"
    if kind == "BadValue":
        return f"{_name(event.argument)} lacks a value; see" if event.reason == "too_few_values" else None
    if kind == "InstantiationFailure" and event.argument is not None:
        return f"{_with_values(event.argument)}: {event.message}; see"
    if kind == "UnrecognizedArgs":
        return _unknown(event.tokens, known)
    return None


def _unknown(tokens: Sequence[str], known: Callable[[], Sequence[str]]) -> str:
    token = next((token for token in tokens if token.startswith("-")), None)
    if token is None:
        return f"{tokens[0]!r:.60} is one word too many; see"
    word = token.partition("=")[0].lstrip("-").replace("-", "_").lower()
    names = known()
    # epochs -> num_epochs, which holds the word, and names that look like it
    close = [name for name in names if len(word) > 2 and word in name.split("_")]
    close += [name for name in get_close_matches(word, names, n=3) if name not in close]
    meant = " or ".join(f"--{name}" for name in close[:3])
    return f"no option {token:.60}; did you mean {meant}? See" if meant else f"no option {token:.60}; see"


def _program(event: Any) -> str:
    """``e2espot convert labels``, of which the event may know the first two words alone."""
    missing = getattr(event, "missing_arguments", None)
    suffix = missing[0].source_parser.prog_suffix if missing else ""
    return f"{event.prog} {suffix}".strip()


def _name(argument: Any) -> str:
    """``--save_dir``, or ``TARGET`` of what has no flag."""
    if argument.is_positional():
        return str(argument.field.intern_name).upper()
    return "--" + str(argument.lowered.name_or_flags[-1]).lstrip("-").replace("-", "_")


def _with_values(argument: Any) -> str:
    """``--save_dir PATH``."""
    name = _name(argument)
    return name if argument.is_positional() else f"{name} {argument.lowered.metavar or ''}".strip()


def _choices(event: Any) -> str:
    """In the order of the declaration, which the event itself may have lost."""
    listed = re.search(r"\{([^{}]+)\}", str(event.argument.lowered.metavar))
    return ", ".join(event.choices) if listed is None else listed[1].replace(",", ", ")

"""The command line of a command: a dataclass whose docstrings are its help, read by tyro."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import typing
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, TypeVar

import tyro

from e2espot.cli.parse_errors import one_line_errors
from e2espot.cli.quick_checks import use_quick_checks

use_quick_checks()
T = TypeVar("T")

Words = Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(help_behavior_hint="(required)")]
"""Words of which a command needs some, though its parser takes none."""
Paths = Annotated[tuple[Path, ...], tyro.conf.arg(help_behavior_hint="(default: none)")]
"""Any number of paths."""


def parse(options: type[T], arguments: Sequence[str], prog: str, default: T | None = None) -> T:
    """Read a command line, or show its help and exit.

    Args:
        options: Dataclass with one field per option.
        arguments: Words of the command line.
        prog: The command, such as ``e2espot infer``.
        default: Values of the options that are not given; None for those of the dataclass.

    Raises:
        ConfigurationError: an option that is missing or unknown, or a value that it does not take.
    """
    if asks_for_help(arguments):
        join_field_docs(options)
    given: dict[str, Any] = {} if default is None else {"default": default}
    description = examples_on_lines(inspect.getdoc(options) or "")
    with one_line_errors(lambda: option_names(options)):
        parsed: T = tyro.cli(options, args=arguments, use_underscores=True, prog=prog, description=description, **given)
    return parsed


def option_names(options: type) -> list[str]:
    """Names of the options of a dataclass, with those of the dataclasses among its fields."""
    names: list[str] = []
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        names += option_names(hints[field.name]) if dataclasses.is_dataclass(hints[field.name]) else [field.name]
    return names


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for help, so that it is worth laying out."""
    return not {"-h", "--help"}.isdisjoint(arguments)


def examples_on_lines(text: str) -> str:
    """The help with each example on a line of its own.

    ::

        Examples: e2espot train DATA -s RUN; e2espot train ...    ->    Examples:
                                                                          e2espot train DATA -s RUN
                                                                          e2espot train ...
    """
    head, word, examples = re.split(r"\b(Examples?): ", text, maxsplit=1) if "Example" in text else (text, "", "")
    if not word:
        return text
    lines = re.sub(r"\s+", " ", examples).strip().split("; ")
    return f"{head.rstrip()}\n\n{word}:\n" + "\n".join(f"  {line}" for line in lines)


def join_field_docs(options: type) -> None:
    """Let the terminal decide where the help of a field is broken: tyro keeps the line breaks of indented docstrings.

    Args:
        options: Dataclass; those among its fields are treated as well.
    """
    docs: dict[str, str] = {}
    for base in reversed(options.__mro__):
        if dataclasses.is_dataclass(base):
            docs |= _field_docs(base)
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        if dataclasses.is_dataclass(hints[field.name]):
            join_field_docs(hints[field.name])
        if field.name in docs:
            field.metadata = MappingProxyType({**field.metadata, "help": docs[field.name]})


def _field_docs(options: Any) -> dict[str, str]:
    """Field -> its docstring on one line, of the fields that a dataclass defines itself."""
    body = _classes_of(sys.modules[options.__module__])[options.__name__]
    return {
        field.target.id: " ".join(doc.value.value.split())
        for field, doc in pairwise(body.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
        and isinstance(doc.value, ast.Constant)
        and isinstance(doc.value.value, str)
    }


@cache
def _classes_of(module: ModuleType) -> dict[str, ast.ClassDef]:
    """Name -> definition of the classes of a module, which is parsed once for all of them."""
    return {
        node.name: node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.ClassDef)
    }

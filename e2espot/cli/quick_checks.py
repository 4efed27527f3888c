"""Checks of default values without ``typeguard``, whose import takes as long as all of tyro.

tyro checks that the default of each option has its type: plain types itself, others with ``typeguard``. Here are the
other kinds that our options have, ``X | None`` and ``tuple[X, ...]``, and functions as commands.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from types import FunctionType, UnionType
from typing import Any

from tyro import _resolver


def use_quick_checks() -> None:
    """Let tyro check these kinds here. The function is private to tyro: without it, it checks them as before."""
    module: Any = _resolver
    check = getattr(module, "is_instance", None)
    if check is not None and check.__module__ != __name__:
        module.is_instance = _quick(check)


def _quick(check: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def is_instance(kind: Any, value: Any) -> bool:
        if isinstance(kind, FunctionType):  # has no instances, and typeguard allows any value
            return True
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is UnionType:
            return any(is_instance(one, value) for one in arguments)
        if origin is tuple and arguments[1:] == (...,):
            return isinstance(value, tuple) and all(is_instance(arguments[0], item) for item in value)
        return check(kind, value)

    return is_instance

"""``import e2espot``: every public name resolves, to the same object for type checkers and at run time."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import e2espot

SOURCE = Path(e2espot.__file__).read_text(encoding="utf-8")


def test_public_names_resolve_to_their_definitions() -> None:
    for name, module in e2espot._MODULE_OF.items():
        assert getattr(e2espot, name) is getattr(importlib.import_module(f"e2espot.{module}"), name)
    assert set(e2espot.__all__) <= set(dir(e2espot))


def test_type_checkers_see_the_names_that_exist_at_run_time() -> None:
    guard = next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in guard.body for alias in node.names}
    assert seen == {name: f"e2espot.{module}" for name, module in e2espot._MODULE_OF.items()}
    assert (Path(e2espot.__file__).parent / "py.typed").is_file()


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'spott'"):
        e2espot.spott  # noqa: B018


def test_values_come_without_torch_or_decoder() -> None:
    heavy = ("torch", "av", "decord", "timm")
    code = "import e2espot, sys; e2espot.Event; e2espot.evaluate; e2espot.find_games; "
    code += f"print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""The files of the review page fit together; ``make lint-js`` checks the types of its JavaScript."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "e2espot" / "review" / "static"
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in STATIC.iterdir() if path.suffix != ".svg"}
SCRIPTS = [name for name in TEXTS if name.endswith(".js")]


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_lines_are_at_most_120_characters(name: str) -> None:
    assert [line for line in TEXTS[name].splitlines() if len(line) > 120] == []


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_elements_and_modules_that_a_script_names_exist(name: str) -> None:
    ids = set(re.findall(r'\bid="([\w-]+)"', TEXTS["index.html"]))
    assert set(re.findall(r'\bbyId\("([\w-]+)"', TEXTS[name])) <= ids
    assert set(re.findall(r'from "/static/([\w.]+)"', TEXTS[name])) <= set(SCRIPTS)


def test_every_element_with_an_id_is_used() -> None:
    ids = set(re.findall(r'\bid="([\w-]+)"', TEXTS["index.html"]))
    others = "".join(text for name, text in TEXTS.items() if name != "index.html")
    unused = {name for name in ids if not re.search(rf"[#\"]{name}\b", others)}
    assert unused <= {"help-title"}  # named by aria-labelledby

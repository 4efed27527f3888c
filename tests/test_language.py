"""The code speaks the field's language: usual words, messages without flags, everything documented and typed.

``python -m tests.test_language`` lists the number of findings per room, ``python -m tests.test_language ROOM`` the
findings of one room, ``python -m tests.test_language table`` the table of words for CONTRIBUTING.md.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.words import NAMES, PROSE, WHOLE_NAMES, names_in, prose_in, table

ROOT = Path(__file__).parents[1]
CODE = ("e2espot", "dali_pipelines")
"""Packages whose documentation and messages are checked too."""
PAGES = sorted(
    path
    for pattern in ("README.md", "CHANGELOG.md", "Makefile", "docs/*.md", "e2espot/recipes/*.yaml", "e2espot/*/*.html")
    for path in ROOT.glob(pattern)
)
"""Texts other than Python; CONTRIBUTING.md holds the word list itself."""
WORD_LISTS = ("tests/support/words.py", "tests/test_language.py")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z_-]+")
COMMAND = re.compile(r"(?<![\w/])tools/|(?<![\w-])python (?=[\w-])")


@cache
def files() -> tuple[Path, ...]:
    """Every Python file of the project."""
    return tuple(path for top in (*CODE, "tools", "tests") for path in sorted((ROOT / top).rglob("*.py")))


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file; each check goes through them, and to find them takes longer."""
    return tuple(ast.walk(parse(path)))


@cache
def room_of(path: Path) -> str:
    """``e2espot/video``, ``tests/video``, ``tools``; files directly below ``tests`` are a room of their own."""
    parts = path.relative_to(ROOT).parts[:-1]
    return "/".join(parts[:2])


ROOMS = sorted({room_of(path) for path in files()})


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that a file defines: functions, classes, arguments, variables, attributes."""
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.lineno, node.name


def docstrings(path: Path) -> set[int]:
    """Identities of the constants that document something: bare strings of a body."""
    return {
        id(node.value)
        for node in nodes(path)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }


@cache
def texts(path: Path) -> tuple[tuple[int, str, bool], ...]:
    """(line, text, whether it documents) of every string constant, those in f-strings included."""
    documents = docstrings(path)
    return tuple(
        (node.lineno, node.value, id(node) in documents)
        for node in nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def names_findings(path: Path) -> Iterator[tuple[int, str]]:
    for line, name in identifiers(path):
        for word in names_in(name):
            yield line, f"name {name}: instead of {word!r} use {(WHOLE_NAMES | NAMES)[word]}"


def prose_findings(path: Path) -> Iterator[tuple[int, str]]:
    passages = list(comments(path))
    # A single word is data, such as the key of a file format.
    passages += [(line, text) for line, text, documents in texts(path) if documents or " " in text]
    for line, text in passages:
        for word in prose_in(text):
            yield line, f"prose: instead of {word!r} write {PROSE[word][1]}"


def message_findings(path: Path) -> Iterator[tuple[int, str]]:
    """The library does not know the command line: no flag, no script in its strings."""
    inside = path.relative_to(ROOT).parts
    if inside[0] not in CODE or inside[:2] == ("e2espot", "cli"):
        return
    for line, text, documents in texts(path):
        if documents or FLAG.fullmatch(text):  # a flag alone declares another spelling of an argument
            continue
        for match in (FLAG.search(text), COMMAND.search(text)):
            if match:
                yield line, f"message: {match[0]!r} belongs to e2espot/cli; name the parameter and pass option="


def documentation_findings(path: Path) -> Iterator[tuple[int, str]]:
    """Public functions, classes and methods and all dataclass fields are documented, and arguments typed."""
    if path.relative_to(ROOT).parts[0] not in CODE:
        return
    tree = parse(path)
    if not ast.get_docstring(tree):
        yield 1, "documentation: the module has no docstring"
    yield from _undocumented(tree, public=True)
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            extra = [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
            for argument in [*arguments, *extra]:
                if argument.annotation is None and argument.arg not in ("self", "cls"):
                    yield node.lineno, f"documentation: argument {argument.arg} of {node.name} has no type"
        elif isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(how) for how in node.decorator_list):
            yield from _undocumented_fields(node)


def _undocumented(node: ast.Module | ast.ClassDef, *, public: bool) -> Iterator[tuple[int, str]]:
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if public and not child.name.startswith("_") and not ast.get_docstring(child):
                yield child.lineno, f"documentation: {child.name} has no docstring"
            if isinstance(child, ast.ClassDef):
                yield from _undocumented(child, public=public and not child.name.startswith("_"))


def _undocumented_fields(node: ast.ClassDef) -> Iterator[tuple[int, str]]:
    for field, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and not (
            isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        ):
            yield field.lineno, f"documentation: field {ast.unparse(field.target)} of {node.name} has no docstring"


CHECKS = (names_findings, prose_findings, message_findings, documentation_findings)


def findings(room: str) -> list[str]:
    """``file:line: what`` of everything to change in a room."""
    lines = []
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        if room_of(path) == room and name not in WORD_LISTS:
            found = sorted({finding for check in CHECKS for finding in check(path)})
            lines += [f"{name}:{line}: {what}" for line, what in found]
    return lines


@pytest.mark.parametrize("room", ROOMS)
def test_room_uses_the_words_of_the_field(room: str) -> None:
    lines = findings(room)
    assert not lines, f"{len(lines)} findings in {room}:\n" + "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_uses_the_words_of_the_field(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    wrong = [f"{page.name}:{number}: {words}" for number, line in enumerate(lines, 1) if (words := prose_in(line))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ToldReader", ["told"]),
        ("tell_all", ["tell"]),
        ("untold", []),
        ("_place", ["place"]),
        ("place_of", []),
        ("lay_out_x", ["lay_out"]),
    ],
)
def test_names_in_splits_at_underscores_and_capitals(name: str, words: list[str]) -> None:
    assert names_in(name) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It is told anew.", ["anew", "told"]),
        ("Reads ``told`` from trunk.pth and https://x.org/road.", []),
        ("the data set", ["data set"]),
        ("broadcast, abroad, crossroads", []),
    ],
)
def test_prose_in_ignores_quoted_text_and_file_names(text: str, words: list[str]) -> None:
    assert prose_in(text) == words


if __name__ == "__main__":
    if sys.argv[1:] == ["table"]:
        output = [table()]
    elif sys.argv[1:]:
        output = [line for room in sys.argv[1:] for line in findings(room)]
    else:
        kinds = ("name", "prose:", "message:", "documentation:")
        output = [f"{'room':26}" + "".join(f"{kind.rstrip(':'):>15}" for kind in kinds)]
        for room in ROOMS:
            counts = [sum(f": {kind}" in line for line in findings(room)) for kind in kinds]
            output.append(f"{room:26}" + "".join(f"{count:>15}" for count in counts))
    sys.stdout.write("\n".join(output) + "\n")

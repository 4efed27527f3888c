"""README and docs are true: their commands run as they are written, and every command, flag and link in them exists."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from e2espot.cli.main import COMMANDS
from tests.support.tiny_dataset import write_game
from tests.support.tools import tool
from tests.support.words import table

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = {name for commands in COMMANDS.values() for name in commands}
PROGRAMS = ("e2espot ", "torchrun ", "python ", "make ", "pip ")
LINK = re.compile(r"(?<!`)\[[^\]]+\]\(([^)\s]+)\)")
SMALLER = {
    "train": ["--size", "96x64", "--clip_len", "16", "--epoch_clips", "4", "--num_epochs", "1", "-j", "0"],
    "live": ["--unpaced"],
    "clips": ["--min_confidence", "0"],
}
"""Options that cut a long command down, or suit a run of one step, which is sure of nothing; the rest of the line stays
as it is written."""


def code_blocks(page: Path, language: str = "") -> Iterator[str]:
    """Fenced blocks of one language."""
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
        if match[1] == language:
            yield match[2]


def command_lines(page: Path) -> list[list[str]]:
    """Command lines of the page's code blocks as words, comments left out, continued lines joined."""
    lines = [line for block in code_blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    commands = [line.partition(" #")[0] for line in lines if line.startswith(PROGRAMS)]
    return [shlex.split(command) for command in commands]


@cache
def help_of(command: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        return tool(*command.split(), "--help").stdout


def e2espot_lines() -> list[tuple[str, list[str]]]:
    """(page, words after ``e2espot``) of every command line in the README and docs, torchrun's included."""
    lines = []
    for page in PAGES:
        for words in command_lines(page):
            if "e2espot" in words[:6] and words[0] in ("e2espot", "torchrun", "python"):
                lines.append((page.name, words[words.index("e2espot") + 1 :]))
    return lines


def anchors_of(text: str) -> set[str]:
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.+)$", text, re.M)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in LINK.findall(re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors_of(linked.read_text(encoding="utf-8")), target


def test_every_command_and_flag_exists() -> None:
    assert len(e2espot_lines()) > 40
    for page, words in e2espot_lines():
        assert words[0] in NAMES | {"--help"}, (page, words)
        if words[0] == "--help":
            continue
        name = " ".join(words[:2] if words[0] == "convert" else words[:1])
        flags = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        for flag in flags:
            spellings = (flag, flag.replace("_", "-"))
            known = re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", help_of(name))
            assert any(spelling in known for spelling in spellings), (page, name, flag)


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for page in PAGES:
        named = re.findall(r"`make\s+([a-z0-9-]+)", page.read_text(encoding="utf-8"))
        named += [words[1] for words in command_lines(page) if words[0] == "make"]
        assert set(named) <= targets, (page.name, set(named) - targets)


def test_extras_exist() -> None:
    declared = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for page in PAGES:
        for extras in re.findall(r"e2espot\[([\w,-]+)\]|'\.\[([\w,-]+)\]'", page.read_text(encoding="utf-8")):
            for extra in "".join(extras).split(","):
                assert re.search(rf"^{extra} =", declared, re.M), (page.name, extra)


def test_index_and_site_list_every_page() -> None:
    index, site = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/index.md", "mkdocs.yml"))
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == pages
    assert set(re.findall(r": ([\w-]+\.md)$", site, re.M)) == pages | {"index.md"}


def test_training_page_lists_every_recipe() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    recipes = {path.stem for path in (ROOT / "e2espot" / "recipes").glob("*.yaml")}
    assert {name for name in recipes if f"`{name}`" not in text} == set()


def test_readme_is_short_and_draws_the_tree() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    packages = {path.parent.name for path in (ROOT / "e2espot").glob("*/__init__.py")} | {"dali_pipelines"}
    tree = next(block for block in code_blocks(README) if block.startswith("e2espot/\n"))
    assert set(re.findall(r"(\w+)/\)?(?=\s)", tree)) == packages | {"e2espot"}


def test_contributing_lists_the_words_that_are_enforced() -> None:
    assert table().strip() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny dataset DATA and a video, in which the README's commands run in order."""
    folder = tmp_path_factory.mktemp("readme")
    games = {split: f"league/season/{split}" for split in ("train", "valid", "test")}
    for seed, game in enumerate(games.values()):
        write_game(folder / "DATA" / game, seed)
    (folder / "DATA" / "splits.json").write_text(str({s: [g] for s, g in games.items()}).replace("'", '"'))
    (folder / "match.mp4").write_bytes((folder / "DATA" / games["test"] / "224p.mp4").read_bytes())
    return folder


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_readme_commands_run_in_order(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    lines = [words[1:] for words in command_lines(README) if words[0] == "e2espot"]
    trained = next(i for i, words in enumerate(lines) if words[0] == "train")
    # A run must exist before the line that uses it; the README shows inference first.
    for words in [*lines[trained : trained + 1], *lines[:trained], *lines[trained + 1 :]]:
        if words[0] == "review":
            continue  # serves until it is stopped; see below
        words = [*words, *SMALLER.get(words[0], [])]
        # Inference engines get a process without the many other native libraries.
        done = run([sys.executable, "-m", "e2espot", *words], workspace) if words[0] == "export" else tool(*words)
        if words[0] == "submit":  # checks that all games of a SoccerNet split are there, and names those that are not
            assert done.returncode == 2
            assert done.stderr.startswith("error: ")
        else:
            assert done.returncode == 0, (words, done.stderr)
    assert (workspace / "out/match/results_spotting.json").is_file()
    assert (workspace / "report.html").stat().st_size > 10_000
    for name in ("best.safetensors", "calibration.json", "metrics.jsonl", "config.yaml", "last"):
        assert (workspace / "RUN" / name).exists()


@pytest.mark.slow
def test_readme_python_example_gives_the_commands_events(workspace: Path) -> None:
    (example,) = code_blocks(README, "python")
    done = run([sys.executable, "-c", example + "\nprint(len(events), scores.scores_TK.shape)"], workspace)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()[:-1]
    rerun = tool("infer", workspace / "RUN", workspace / "match.mp4", "-o", workspace / "again")
    assert f"{len(printed)} events -> " in rerun.stdout


@pytest.mark.slow
def test_readme_review_command_serves_the_page(workspace: Path) -> None:
    words = next(words for words in command_lines(README) if words[:2] == ["e2espot", "review"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    log = workspace / "review.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "e2espot", *words[1:], "--port", "0"]
        process = subprocess.Popen(command, cwd=workspace, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        address = None
        while address is None and process.poll() is None:
            time.sleep(0.05)
            address = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())
        assert address is not None, log.read_text()
        with urllib.request.urlopen(address[0], timeout=300) as page:
            assert b"<html" in page.read().lower()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=300)

"""``e2espot COMMAND``: every command is reached, listed once and has the flags that errors name."""

import ast
import io
import re
import runpy
import sys
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path

import pytest

import e2espot
from e2espot.cli.main import COMMANDS, dispatch, help_text, main
from e2espot.cli.subcommand import run_subcommand, split_words
from e2espot.core.errors import ConfigurationError, E2ESpotError

ROOT = Path(__file__).parents[2]
NAMES = sorted(name for commands in COMMANDS.values() for name in commands)
SUBCOMMANDS = {"convert": ("labels", "predictions", "checkpoint")}


@cache
def help_of(*words: str) -> str:
    """What ``e2espot WORDS --help`` prints."""
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        dispatch([*words, "--help"])
    return printed.getvalue()


def printed_by(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    dispatch(arguments)
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_commands_are_the_modules_that_have_a_main() -> None:
    modules = {
        path.stem
        for path in (ROOT / "e2espot" / "cli").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "main"
    }
    assert modules - {"main"} == set(NAMES)
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["--help", "infer"]])
def test_help_lists_every_command_once_below_its_heading(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = printed_by(arguments, capsys)
    assert (out, err) == (help_text(), "")
    listed, heading = {}, ""
    for line in out.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            heading = line[:-1]
        elif line.startswith("  "):
            name, _, description = line.strip().partition(" ")
            assert name not in listed
            listed[name] = (heading, description.strip())
    assert listed == {
        name: (heading, text) for heading, commands in COMMANDS.items() for name, text in commands.items()
    }
    assert all(len(line) <= 100 for line in out.splitlines())


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_by(["--version"], capsys) == (f"e2espot {e2espot.__version__}\n", "")
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", e2espot.__version__)


@pytest.mark.parametrize("name", ["spot", "INFER", "infer ", "", "--verbose", "main", "errors", "os.path"])
def test_unknown_command_is_refused_and_the_known_ones_listed(name: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"no command {name!r}")) as caught:
        dispatch([name])
    assert all(f" {known}" in str(caught.value) for known in NAMES)


def test_main_takes_the_arguments_of_the_process_and_exits_2_on_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["e2espot", "spot"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: no command 'spot'")
    main(["--version"])  # given arguments come before those of the process
    assert capsys.readouterr().out.startswith("e2espot ")


@pytest.mark.parametrize("words", [["train", "URL", "-s", "run"], ["review", "URL"], ["evaluate", "x", "--labels=URL"]])
def test_refused_url_is_shown_as_it_was_given_without_its_secrets(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main([word.replace("URL", "https://me:secret@host/match.mp4?signature=abc") for word in words])
    assert caught.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: https://host/match.mp4: ")
    assert "secret" not in line and "abc" not in line


@pytest.mark.parametrize("name", NAMES)
def test_help_of_command_names_itself_and_its_flags(name: str) -> None:
    text = help_of(name)
    assert text.startswith(f"usage: e2espot {name}")
    assert "--help" in text


def options_in_errors() -> set[str]:
    """Every ``option="name"`` that an error of the library carries."""
    return {
        keyword.value.value
        for package in ("e2espot", "dali_pipelines")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "option" and isinstance(keyword.value, ast.Constant) and keyword.value.value
    }


def test_every_option_that_an_error_names_is_a_flag_of_a_command() -> None:
    commands = [(name, *rest) for name in NAMES for rest in ((), *((sub,) for sub in SUBCOMMANDS.get(name, ())))]
    # The parser takes a flag with underscores and with hyphens.
    flags = {flag.replace("-", "_") for words in commands for flag in re.findall(r"--([a-z][a-z_-]*)", help_of(*words))}
    options = options_in_errors()
    assert len(options) > 10
    assert options <= flags, f"no command has {sorted(options - flags)}"


@pytest.mark.parametrize("script", sorted((ROOT / "tools").glob("*.py")), ids=lambda script: script.name)
def test_script_passes_its_arguments_to_the_command_of_its_name(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(script), "--no_such_flag_anywhere"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(script), run_name="__main__")
    assert caught.value.code == 2
    captured = capsys.readouterr()
    command = script.stem.replace("render_match", "render")
    assert f"e2espot {command}" in captured.out + captured.err
    assert "no command" not in captured.err


def test_run_subcommand_runs_a_process_and_reports_how_it_failed(capfd: pytest.CaptureFixture[str]) -> None:
    run_subcommand("--version", show=True)
    assert capfd.readouterr().out == f"\n$ e2espot --version\ne2espot {e2espot.__version__}\n"
    with pytest.raises(E2ESpotError, match="e2espot nothing failed with exit status 2"):
        run_subcommand("nothing")
    assert capfd.readouterr().err.startswith("error: no command 'nothing'")


def test_an_interrupted_command_waits_until_its_subcommand_has_saved_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "python"
    # The first wait lets the command begin to wait for this one.
    slow.write_text(f"#!/bin/sh\nsleep 0.3; kill -INT $PPID; sleep 0.5; echo saved > {tmp_path}/work\n")
    slow.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(slow))
    with pytest.raises(KeyboardInterrupt):
        run_subcommand("train")
    assert (tmp_path / "work").read_text() == "saved\n"


def test_split_words_refuses_an_open_quote() -> None:
    assert split_words("--fps 25 --title 'a match'", "train") == ["--fps", "25", "--title", "a match"]
    with pytest.raises(ConfigurationError, match="not a command line") as caught:
        split_words("--title 'a match", "train")
    assert caught.value.option == "train"

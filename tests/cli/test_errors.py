"""Errors on the command line: one line, an exit code, and a traceback only for bugs."""

import errno
import logging
import os
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.cli import errors
from e2espot.cli.errors import run_command
from e2espot.core.errors import ConfigurationError, E2ESpotError, VideoError


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def os_error(code: int, filename: str | None = None) -> OSError:
    return OSError(code, os.strerror(code), filename) if filename else OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    ("error", "code", "stderr"),
    [
        (E2ESpotError("wrong"), 2, "error: wrong\n"),
        (VideoError("breaks off", option="allow_truncated"), 2, "error: breaks off (--allow_truncated)\n"),
        (ConfigurationError("no such device", option="device"), 2, "error: no such device (--device)\n"),
        (E2ESpotError("a\nb\x1b[31m"), 2, "error: a\\nb\\x1b[31m\n"),
        (E2ESpotError("Fußball"), 2, "error: Fußball\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (SystemExit(3), 3, ""),
    ],
    ids=repr,
)
def test_run_command_prints_one_line_and_exits(
    error: BaseException, code: int, stderr: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(raising(error))
    assert caught.value.code == code
    assert capsys.readouterr() == ("", stderr)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_run_command_names_the_path_of_a_failed_system_call(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(raising(os_error(code, "out/x.json")))
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: out/x.json: {os.strerror(code)}; ")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_run_command_explains_a_full_disk_without_a_path(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(raising(os_error(code)))
    assert caught.value.code == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith(f"error: {os.strerror(code)}; make room")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    "error", [ValueError("bug"), KeyError("bug"), os_error(errno.EIO), MemoryError(), AssertionError()], ids=repr
)
def test_run_command_lets_a_bug_pass_with_its_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(type(error)) as caught:
        run_command(raising(error))
    assert caught.value is error
    assert capsys.readouterr().err == ""


def test_run_command_of_a_command_that_succeeds_returns(capsys: pytest.CaptureFixture[str]) -> None:
    run_command(lambda: sys.stdout.write("done\n"))
    assert capsys.readouterr() == ("done\n", "")


def test_run_command_prints_what_the_terminal_cannot_encode(capfd: pytest.CaptureFixture[str]) -> None:
    run_command(lambda: sys.stdout.write("name \udcff\n"))  # a file name that is not UTF-8
    assert capfd.readouterr().out == "name \\udcff\n"


@given(st.text(max_size=30))
def test_printed_errors_are_one_printable_line(message: str) -> None:
    written: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(errors.sys, "stderr", type("Stream", (), {"write": lambda _, text: written.append(text)})())
        errors._print_error(message)
    (line,) = written
    assert line.startswith("error: ") and line.endswith("\n")
    assert line[:-1].isprintable()


def test_run_command_logs_messages_without_level_or_time(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # as in a process of its own
    try:
        run_command(lambda: logging.getLogger("e2espot.x").info("reader pyav: asked for"))
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert capsys.readouterr() == ("", "reader pyav: asked for\n")

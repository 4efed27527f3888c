"""Run a command in this process: one of its own would import torch again, which takes seconds."""

import contextlib
import io
import logging
import subprocess

from e2espot.cli.main import main
from e2espot.video.backend import choose_backend


def tool(name: object, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``e2espot NAME ARGUMENTS``: its exit status, and what it prints and logs."""
    words = [str(name), *map(str, arguments)]
    choose_backend.cache_clear()  # a process reports its choice once
    stdout, stderr = io.StringIO(), io.StringIO()
    log, level = logging.StreamHandler(stderr), logging.root.level
    logging.root.addHandler(log)
    logging.root.setLevel(logging.INFO)
    code: object = 0
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            main(words)
    except SystemExit as end:
        code = end.code
    finally:
        logging.root.setLevel(level)
        logging.root.removeHandler(log)
    assert isinstance(code, int)
    return subprocess.CompletedProcess(words, code, stdout.getvalue(), stderr.getvalue())

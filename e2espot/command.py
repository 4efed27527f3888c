"""What every command line shares: one clear line for a user's error, and a log worth reading."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from e2espot.errors import E2ESpotError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run_command(main: Callable[[], None]) -> None:
    """Run a tool; exit 2 with one line for an error of the user's, 130 when interrupted, 141 when nobody reads on.

    Anything else is a defect of ours and keeps its traceback.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who called us
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may hold what cannot be encoded
    try:
        main()
        sys.stdout.flush()
    except E2ESpotError as error:
        _tell(str(error))
        sys.exit(2)
    except BrokenPipeError:
        # Who read the output, such as head, has had enough; what the interpreter still holds goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.filename is not None:
            _tell(f"{error.filename}: {error.strerror}; check the path, its permissions and the disk")
        elif error.errno in _NO_ROOM:
            _tell(f"{error.strerror}; make room on the disk, or raise the limit on the size of files (ulimit -f)")
        else:
            raise
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


def _tell(problem: str) -> None:
    """One line, whatever the names of files and the fields in it hold."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in problem)
    sys.stderr.write(f"error: {plain}\n")

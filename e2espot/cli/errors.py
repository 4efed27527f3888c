"""What all commands share: one clear line for a user's error, exit codes, and the log."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from e2espot.core.errors import E2ESpotError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run_command(main: Callable[[], None]) -> None:
    """Run a command; exit 2 after one line for a user's error, 130 when interrupted, 141 on a broken pipe.

    Any other exception is a bug of ours and keeps its traceback.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the calling process
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may hold what cannot be encoded
    try:
        main()
        sys.stdout.flush()
    except E2ESpotError as error:
        _print_error(str(error) if error.option is None else f"{error} (--{error.option})")
        sys.exit(2)
    except BrokenPipeError:
        # The reader of the output, such as head, has closed it; discard what the interpreter still buffers.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        line = _line_of_os_error(error)
        if line is None:
            raise
        _print_error(line)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


def _line_of_os_error(error: OSError) -> str | None:
    """What the user can do; None for a bug of ours."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path, its permissions and the disk"
    if error.errno in _DISK_FULL:
        return f"{error.strerror}; make room on the disk, or raise the limit on the size of files (ulimit -f)"
    return None


def _print_error(message: str) -> None:
    """Print one line, whatever control characters the file names and fields in it hold."""
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    sys.stderr.write(f"error: {printable}\n")

"""What all commands share: one clear line for a user's error, exit codes, and the log."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from e2espot.core.errors import E2ESpotError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run_command(main: Callable[[], None], arguments: Sequence[str] = ()) -> None:
    """Run a command; exit 2 after one line for a user's error, 130 when interrupted, 141 on a broken pipe.

    Any other exception is a bug of ours and keeps its traceback.

    Args:
        main: The command.
        arguments: Its words; URLs among them are shown as they were given, without their secrets.
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
        text = _with_urls(str(error), arguments)
        _print_error(text if error.option is None else f"{text} (--{error.option})")
        sys.exit(2)
    except BrokenPipeError:
        # The reader of the output, such as head, has closed it; discard what the interpreter still buffers.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        line = _line_of_os_error(error)
        if line is None:
            raise
        _print_error(_with_urls(line, arguments))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


def _with_urls(text: str, arguments: Sequence[str]) -> str:
    """``text`` with URLs as they were given, where a command took one for a path: https:/host/a -> https://host/a."""
    words = [word.partition("=")[2] if word.startswith("--") else word for word in arguments if "://" in word]
    if words:
        from e2espot.sources.remote import is_url, redact

        for url in filter(is_url, words):
            text = text.replace(str(Path(url)), redact(url))
    return text


def _line_of_os_error(error: OSError) -> str | None:
    """What the user can do; None for a bug of ours."""
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename is not None:
        return f"{error.filename}: a file is there, where a folder is needed; name another path"
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path, its permissions and the disk"
    if error.errno in _DISK_FULL:
        return f"{error.strerror}; make room on the disk, or raise the limit on the size of files (ulimit -f)"
    return None


def _print_error(message: str) -> None:
    """Print one line, whatever control characters the file names and fields in it hold."""
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    sys.stderr.write(f"error: {printable}\n")

"""The end of a command's process."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process after its threads and exit handlers, without the destructors of C++ libraries.

    Those of torch built for CUDA alone read 110 MB of libraries from the disk, which raises the peak of a whole match,
    and take half a second. Without torch, and where the interpreter has no such hooks, it ends as always.

    Args:
        code: Exit status.
    """
    end_threads = getattr(threading, "_shutdown", None)
    run_handlers = getattr(atexit, "_run_exitfuncs", None)
    if "torch" not in sys.modules or end_threads is None or run_handlers is None:
        sys.exit(code)
    end_threads()
    run_handlers()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or its reader has gone
            stream.flush()
    os._exit(code)

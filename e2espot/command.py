"""What every command line shares: one clear line for a user's error, and a log worth reading."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from e2espot.errors import E2ESpotError


def run_command(main: Callable[[], None]) -> None:
    """Run a tool; exit 2 with one line for an error of the user's, 130 when interrupted.

    Anything else is a defect of ours and keeps its traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        main()
    except E2ESpotError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        sys.stderr.write(f"error: {error.filename}: {error.strerror}; check the path, its permissions and the disk\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)

"""Single key presses on a terminal, while a command runs."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def on_key(key: str, act: Callable[[], None]) -> Iterator[None]:
    """Call ``act`` whenever ``key`` is pressed; nothing where standard input is no terminal.

    Args:
        key: One character.
        act: Called in a thread of its own.
    """
    try:
        import termios
        import tty

        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except Exception:  # not a terminal (termios.error is no OSError), closed, or a system without terminals
        yield
        return

    def listen() -> None:
        while True:
            pressed = sys.stdin.read(1)
            if not pressed:
                return
            if pressed.lower() == key:
                act()

    tty.setcbreak(descriptor)  # keys come at once, and Ctrl-C still interrupts
    threading.Thread(target=listen, name="keys", daemon=True).start()
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

"""A review server as a user starts it, and a page on it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]

NUMBER = """() => {
  const video = document.querySelector("video"), canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const g = canvas.getContext("2d", { willReadFrequently: true });
  g.drawImage(video, 0, 0);
  const data = g.getImageData(0, 0, canvas.width, canvas.height).data;
  let number = 0;
  for (let bit = 0; bit < 12; bit++) {
    const row = Math.floor(bit / 4), column = bit % 4;
    const y = Math.floor((2 * row + 1) * canvas.height / 6), x = Math.floor((2 * column + 1) * canvas.width / 8);
    if (data[(y * canvas.width + x) * 4] > 125) number |= 1 << bit;
  }
  return number;
}"""
"""The number drawn into the picture on screen, as tests/support/numbered_video.py draws it."""

RESTS = """!e2espotReview.loading && e2espotReview.decisions.numPending === 0 && e2espotReview.player.settled"""
"""Every decision is answered, and the requested picture is on screen."""


class Server:
    """``e2espot review`` in a process of its own."""

    def __init__(self, *arguments: object, port: int = 0) -> None:
        command = [sys.executable, "-m", "e2espot", "review", *map(str, arguments), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        output = ""
        while "open http" not in output:
            line = self.process.stdout.readline()
            if not line:
                assert self.process.stderr is not None
                raise AssertionError(f"the server did not start: {output}{self.process.stderr.read()}")
            output += line
        self.url = re.findall(r"http://\S+/", output)[0]
        self.port = int(self.url.split(":")[2].strip("/"))

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close()

    def stop(self) -> None:
        """Stop it, as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
        self._close()

    def _close(self) -> None:
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *what: object) -> None:
        self.stop()


def until(page: Any, expression: str, seconds: float = 60) -> None:
    """Wait until an expression is true; the page's content security policy forbids playwright's own way."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(15)


def opened(context: Any, url: str) -> Any:
    """A page that is ready; its console messages and errors are collected in ``page.complaints``."""
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(url)
    until(page, "document.documentElement.dataset.ready === 'yes'")
    until(page, RESTS)
    return page


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
    until(page, RESTS)


def number(page: Any) -> int:
    """Number in the picture on screen."""
    return int(page.evaluate(NUMBER))

"""Closed pipes, closed streams and full disks end a command without a traceback."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
from e2espot.cli.errors import run_command
def main():
    for number in range(100_000):
        print(number)
run_command(main)
"""
SHORT = (
    SCRIPT.replace("100_000", "10")
    .replace("def main", "import time\ndef main")
    .replace("print(", "time.sleep(.05) or print(")
)


def test_broken_pipe_exits_141_without_output(tmp_path: Path) -> None:
    for text in (SCRIPT, SHORT):
        (tmp_path / "tool.py").write_text(text)
        with subprocess.Popen(
            [sys.executable, str(tmp_path / "tool.py")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait() == 141


def test_full_disk_or_closed_stream_prints_at_most_one_line(tmp_path: Path) -> None:
    (tmp_path / "tool.py").write_text(SCRIPT)
    for streams, code in ((">/dev/full", 2), (">&-", 0), (">/dev/full 2>&-", 2)):
        done = subprocess.run(
            ["sh", "-c", f"{sys.executable} {tmp_path / 'tool.py'} {streams}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, streams
        assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 1, done.stderr

"""A reader that has had enough, such as head, is no reason for a traceback."""

import subprocess
import sys
from pathlib import Path

TOOL = """
from e2espot.cli.errors import run_command
def main():
    for number in range(100_000):
        print(number)
run_command(main)
"""
SHORT = (
    TOOL.replace("100_000", "10")
    .replace("def main", "import time\ndef main")
    .replace("print(", "time.sleep(.05) or print(")
)


def test_head_ends_a_tool_quietly(tmp_path: Path) -> None:
    for text in (TOOL, SHORT):
        (tmp_path / "tool.py").write_text(text)
        with subprocess.Popen(
            [sys.executable, str(tmp_path / "tool.py")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait() == 141


def test_a_full_disk_or_a_closed_stream_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "tool.py").write_text(TOOL)
    for streams, code in ((">/dev/full", 2), (">&-", 0), (">/dev/full 2>&-", 2)):
        done = subprocess.run(
            ["sh", "-c", f"{sys.executable} {tmp_path / 'tool.py'} {streams}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, streams
        assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 1, done.stderr

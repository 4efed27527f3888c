"""A reader that has had enough, such as head, is no reason for a traceback."""

import subprocess
import sys
from pathlib import Path

TOOL = """
from e2espot.command import run_command
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

"""Asking for help is answered at once: nothing heavy is imported for it."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = sorted((Path(__file__).parents[2] / "tools").glob("*.py"))
HEAVY = ("torch", "timm", "decord", "SoccerNet", "nvidia", "cv2", "ray")
SAY = f"""
import atexit, runpy, sys
atexit.register(lambda: print("HEAVY", [name for name in {HEAVY} if name in sys.modules]))
"""


def heavy(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", SAY + code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_help_imports_nothing_heavy(tool: Path) -> None:
    code = f"sys.path.insert(0, {str(tool.parent)!r}); sys.argv = ['tool', '--help']\n"
    assert heavy(code + f"runpy.run_path({str(tool)!r}, run_name='__main__')") == "HEAVY []"


def test_the_library_imports_nothing_heavy() -> None:
    assert heavy("import e2espot") == "HEAVY []"

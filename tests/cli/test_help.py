"""Help is shown at once: no heavy import, under half a second of CPU time; it shows an example."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2espot.cli.main import COMMANDS

NAMES = sorted(name for commands in COMMANDS.values() for name in commands)
SCRIPTS = sorted((Path(__file__).parents[2] / "tools").glob("*.py"))
SUBCOMMANDS = [("convert", kind) for kind in ("labels", "predictions", "checkpoint")]
HEAVY = ("torch", "timm", "decord", "SoccerNet", "nvidia", "cv2", "ray", "numpy", "typeguard")
PRELUDE = f"""
import atexit, runpy, sys
atexit.register(lambda: print("HEAVY", [name for name in {HEAVY} if name in sys.modules]))
"""
LONGEST_S = 0.5
OF_NUMPY = 4
"""On a machine that needs long to import numpy, so many times that."""


def heavy_imports(code: str) -> str:
    """Heavy modules that ``code`` imports, as ``HEAVY [...]``."""
    done = subprocess.run([sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def help_of(*words: str) -> tuple[str, float]:
    """Help of ``python -m e2espot ...`` with the heavy modules imported in its last line, and its CPU seconds."""
    return run(f"sys.argv = {['e2espot', *words, '--help']}; runpy.run_module('e2espot', run_name='__main__')")


def run(code: str) -> tuple[str, float]:
    """What ``code`` prints, and its CPU seconds."""
    with subprocess.Popen([sys.executable, "-c", PRELUDE + code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return text, usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_help_of_script_imports_nothing_heavy(script: Path) -> None:
    code = f"sys.path.insert(0, {str(script.parent)!r}); sys.argv = ['script', '--help']\n"
    assert heavy_imports(code + f"runpy.run_path({str(script)!r}, run_name='__main__')") == "HEAVY []"


@pytest.mark.parametrize("words", [(), *((name,) for name in NAMES), *SUBCOMMANDS], ids=" ".join)
def test_help_of_command_is_light_quick_and_shows_an_example(words: tuple[str, ...]) -> None:
    (text, seconds), longest_s = help_of(*words), LONGEST_S
    for _ in range(5):
        if seconds >= longest_s:  # other processes may have slowed it down, or the machine is slow
            longest_s = max(longest_s, OF_NUMPY * run("import numpy")[1])
            seconds = min(seconds, help_of(*words)[1])
    assert text.splitlines()[-1] == "HEAVY []"
    assert seconds < longest_s
    assert f"usage: e2espot {' '.join(words)}".rstrip() in text
    if words and words != ("convert",):
        assert f"e2espot {' '.join(words)} " in text.partition("usage:")[2].partition("\n")[2], "no example"


def test_every_script_has_a_command_of_its_name() -> None:
    names = {script.stem.replace("render_match", "render") for script in SCRIPTS}
    assert names == set(NAMES)


def test_library_imports_nothing_heavy() -> None:
    assert heavy_imports("import e2espot") == "HEAVY []"

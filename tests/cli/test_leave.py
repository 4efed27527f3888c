"""How the process of a command ends."""

import subprocess
import sys

import pytest

ENDING = """
import atexit, ctypes, sys, threading, types
from concurrent.futures import ThreadPoolExecutor
from e2espot.cli import main

if {torch}:
    sys.modules["torch"] = types.ModuleType("torch")
libc = ctypes.CDLL(None)
libc.strdup.restype = ctypes.c_void_p
libc.__cxa_atexit(libc.puts, ctypes.c_void_p(libc.strdup(b" destructor")), None)
atexit.register(lambda: print("handler", end=" "))
pool = ThreadPoolExecutor(2)
pool.submit(print, "pool", end=" ").result()

def command():
    print("result", end=" ")
    threading.Timer(0.1, lambda: print("thread", end=" ")).start()
    {end}

main.main = command
main.console()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="__cxa_atexit is that of glibc")
@pytest.mark.parametrize(("end", "code"), [("pass", 0), ("sys.exit()", 0), ("sys.exit(2)", 2), ("sys.exit('no')", 1)])
@pytest.mark.parametrize("torch", [True, False])
def test_a_process_ends_after_threads_and_handlers_but_without_destructors(torch: bool, end: str, code: int) -> None:
    script = ENDING.format(torch=torch, end=end)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    words = done.stdout.split()
    assert {"result", "pool", "thread", "handler"} <= set(words)
    assert ("destructor" in words) == (not torch or code == 1)
    assert done.stderr == ("no\n" if code == 1 else "")

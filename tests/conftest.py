"""Environment and fixtures of all tests."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
SHARED = Path(__file__).parents[2] / "shared"
"""Real footage next to the project, if there is any."""


# Small networks gain nothing from threads, and lose much while other work runs on the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests and the commands they start keep their video indexes in a folder of their own.
os.environ["E2ESPOT_INDEX_CACHE"] = tempfile.mkdtemp(prefix="e2espot-indexes-")
# Examples have no time limit: a disk or a machine busy with other work would make tests fail by chance.
hypothesis.settings.register_profile("untimed", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("untimed")
# A shell's background jobs ignore Ctrl-C, and so would the commands that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


LONG_FILES = (
    "test_agreement.py",
    "robustness/test_ray.py",
    "robustness/test_kills.py",
    "benchmarks/test_real_clips.py",
    "review/test_browser.py",
    "training/test_recipe_steps.py",
    "cli/test_main_job.py",
    "video/test_real_clips.py",
    "live/test_stream_reader.py",
    "review/test_browser_files.py",
    "test_readme.py",
    "inference/test_predict.py",
    "dali/test_command_lines.py",
    "dali/test_stream.py",
    "cli/test_demo.py",
    "test_no_strangers.py",
    "robustness/test_processes.py",
    "models/test_parity.py",
    "test_wheel.py",
    "cli/test_bench.py",
)
"""Files of about twenty seconds and more each, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files: were one the last of all, the other process would wait for it, idle."""
    rank = {Path(__file__).parent / name: number for number, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Leave what the imports make out of garbage collection: half a million objects that stay.

    To search them takes 0.7 s: ten seconds in all while they are made, and again wherever a test asks for it.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    shutil.rmtree(os.environ["E2ESPOT_INDEX_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for all tests of pages; without one they are skipped, or fail under CI=true."""

    def skip_or_fail(reason: str) -> None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true and {reason}", pytrace=False)
        pytest.skip(reason)

    if not CHROMIUM.is_file():
        skip_or_fail(f"no Chromium at {CHROMIUM}; apt-get install chromium, or name one in CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip_or_fail('playwright is not installed; pip install "e2espot[dev]"')
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        new_context = opened.new_context

        def patient_context(**options: Any) -> Any:
            context = new_context(**options)
            context.set_default_timeout(300_000)  # a machine busy with other work is slow, not wrong
            return context

        opened.new_context = patient_context  # type: ignore[method-assign]
        yield opened
        opened.close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if torch.cuda.is_available():
        return
    if os.environ.get("FAIL_WITHOUT_CUDA") == "1":
        pytest.fail("FAIL_WITHOUT_CUDA=1 and there is no CUDA device", pytrace=False)
    pytest.skip("needs CUDA; FAIL_WITHOUT_CUDA=1 turns this into a failure")

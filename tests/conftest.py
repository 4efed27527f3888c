"""What all tests share; this file's folder is importable, and ``numbered`` with it."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"
"""Footage that may lie beside the project."""


# Small networks gain nothing from threads, and lose much where other work runs beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests keep their indexes to themselves, tools they start included.
os.environ["E2ESPOT_INDEX_CACHE"] = tempfile.mkdtemp(prefix="e2espot-indexes-")


def pytest_sessionfinish() -> None:
    shutil.rmtree(os.environ["E2ESPOT_INDEX_CACHE"], ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if torch.cuda.is_available():
        return
    if os.environ.get("FAIL_WITHOUT_CUDA") == "1":
        pytest.fail("FAIL_WITHOUT_CUDA=1 and there is no CUDA device", pytrace=False)
    pytest.skip("needs CUDA; FAIL_WITHOUT_CUDA=1 turns this into a failure")

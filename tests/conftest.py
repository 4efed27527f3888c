"""What all tests share; this file's folder is importable, and ``numbered`` with it."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"
"""Footage that may lie beside the project."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if torch.cuda.is_available():
        return
    if os.environ.get("FAIL_WITHOUT_CUDA") == "1":
        pytest.fail("FAIL_WITHOUT_CUDA=1 and there is no CUDA device", pytrace=False)
    pytest.skip("needs CUDA; FAIL_WITHOUT_CUDA=1 turns this into a failure")

"""The kernels' benchmark compares what it says: with kernels and without."""

import pytest
import torch

from e2espot.benchmarks.kernels import Maps, convolution_table, network_work
from e2espot.core.device import compute_dtype
from e2espot.models.kernels import native
from e2espot.models.kernels.native import SWITCH, kernel


@pytest.mark.parametrize("is_native", [True, False])
def test_a_network_runs_with_kernels_unless_they_are_off(is_native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel("motion", torch.device("cpu"), torch.float32) is None:
        pytest.skip("this machine has no C++ compiler")
    monkeypatch.setenv(SWITCH, "1")  # what the work sets is undone after the test
    native._library.cache_clear()
    try:
        assert network_work("small_gsm", (48, 32), is_native)() == 32
        assert (kernel("motion", torch.device("cpu"), torch.float32) is not None) == is_native
    finally:
        native._library.cache_clear()


def test_a_convolution_is_compared_where_there_is_a_kernel_for_it() -> None:
    table = convolution_table(Maps(channels=32, height=6, width=9), 1)
    has_kernel = kernel("winograd", torch.device("cpu"), compute_dtype(torch.device("cpu"))) is not None
    if torch.backends.cpu.get_cpu_capability() != "AVX2" or not has_kernel:
        assert table is None
    else:
        assert table is not None and [row.name for row in table.rows] == ["oneDNN", "compiled kernel"]
    assert convolution_table(Maps(channels=24, height=6, width=9), 1) is None, "too narrow for the kernel"

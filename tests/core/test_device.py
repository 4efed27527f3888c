"""Names of devices and number formats; the choice of a format is explained once."""

import logging

import pytest
import torch

from e2espot.core import device as device_module
from e2espot.core.device import compute_dtype, leave_core_to_decoder, parse_device
from e2espot.core.errors import ConfigurationError

NUM_GPUS = torch.cuda.device_count() if torch.cuda.is_available() else 0


def test_parse_device_of_cpu_is_the_cpu_on_every_machine() -> None:
    assert parse_device("cpu") == torch.device("cpu")


def test_parse_device_of_auto_is_cuda_only_where_there_is_a_gpu() -> None:
    assert parse_device("auto").type == ("cuda" if NUM_GPUS else "cpu")


@pytest.mark.parametrize("name", ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:9999", "cpu:0", "mps", "meta"])
def test_parse_device_refuses_what_this_machine_lacks_and_lists_what_it_has(name: str) -> None:
    with pytest.raises(ConfigurationError, match="this machine has cpu") as caught:
        parse_device(name)
    assert caught.value.option == "device"
    assert ("cuda:0" in str(caught.value)) == bool(NUM_GPUS)


@pytest.mark.skipif(NUM_GPUS > 0, reason="this machine has a GPU")
def test_parse_device_refuses_cuda_without_a_gpu() -> None:
    with pytest.raises(ConfigurationError, match=r"device is 'cuda'; this machine has cpu;"):
        parse_device("cuda")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_compute_dtype_is_the_precision_asked_for_on_any_device(device: str, precision, dtype: torch.dtype) -> None:
    assert compute_dtype(torch.device(device), precision) == dtype


@pytest.mark.parametrize(
    ("instructions", "onednn", "dtype"),
    [
        ((False, False), True, torch.float32),  # emulation in oneDNN is slower than fp32
        ((True, False), True, torch.bfloat16),
        ((False, True), True, torch.bfloat16),
        ((True, True), False, torch.float32),  # limited by ONEDNN_MAX_CPU_ISA
    ],
)
def test_compute_dtype_of_auto_is_bf16_only_where_the_cpu_and_onednn_compute_in_it(
    instructions: tuple[bool, bool],
    onednn: bool,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, has in zip(("_is_avx512_bf16_supported", "_is_amx_tile_supported"), instructions, strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda has=has: has, raising=False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn, raising=False)
    compute_dtype.cache_clear()
    try:
        with caplog.at_level(logging.INFO):
            assert compute_dtype(torch.device("cpu")) == dtype
            assert compute_dtype(torch.device("cpu")) == dtype
    finally:
        compute_dtype.cache_clear()
    (record,) = caplog.records  # the second call is answered from the cache
    assert record.getMessage().startswith(f"computing in {str(dtype).removeprefix('torch.')}: ")


def test_compute_dtype_of_auto_is_fp32_where_torch_lacks_the_private_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    compute_dtype.cache_clear()
    try:
        assert compute_dtype(torch.device("cpu")) == torch.float32
    finally:
        compute_dtype.cache_clear()


def test_reuse_freed_memory_does_nothing_outside_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: None) -> None:
        raise AssertionError("the C library was loaded")

    monkeypatch.setattr(device_module.sys, "platform", "darwin")
    monkeypatch.setattr(device_module.ctypes, "CDLL", load)
    device_module.reuse_freed_memory()


def test_reuse_freed_memory_accepts_a_c_library_without_mallopt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module.sys, "platform", "linux")
    monkeypatch.setattr(device_module.ctypes, "CDLL", lambda name: object())  # as musl
    device_module.reuse_freed_memory()


@pytest.mark.parametrize(("threads", "variable", "expected"), [(2, "", 1), (2, "2", 2), (1, "", 1), (4, "", 4)])
def test_one_of_two_cores_is_left_to_the_decoder(
    threads: int, variable: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    try:
        torch.set_num_threads(threads)
        leave_core_to_decoder()
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)

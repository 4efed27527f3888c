"""The bench counts what it says and writes what it prints."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from numbered import constant, write

from e2espot.benchmarks.infer import volume_spotter
from e2espot.benchmarks.timing import Variant, interleaved
from e2espot.benchmarks.train import TrainSettings, bench_train
from e2espot.models import Spotter, SpotterSpec
from e2espot.models.gate_shift import GateShift

ROOT = Path(__file__).parents[2]


def test_variants_take_turns_and_ratios_are_of_medians() -> None:
    order = []

    def work(name: str, loops: int) -> int:
        order.append(name)
        sum(range(loops))
        return 10

    variants = [
        Variant(name="slow", work=lambda: work("slow", 4_000_000)),
        Variant(name="fast", work=lambda: work("fast", 400_000)),
    ]
    table = interleaved("loops", "loop", variants, 3)
    assert order == ["slow", "fast"] * 4
    assert [len(row.cpu_ms) for row in table.rows] == [3, 3]
    slow, fast = table.rows
    assert min(slow.cpu_ms) > 2 * max(fast.cpu_ms)
    assert table.text().splitlines()[2].endswith("1.00x |")


def test_decode(tmp_path: Path) -> None:
    path = write(tmp_path / "short", constant(Fraction(25), 80, codec="libvpx-vp9", suffix=".webm"))
    told = ["--clip_len", "8", "--num_clips", "4", "--repeats", "1", "--json", str(tmp_path / "out.json")]
    command = [sys.executable, str(ROOT / "tools" / "bench.py"), "decode", str(path), *told]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "out.json").read_text())
    assert "CPU" in content["machine"]
    names = [row["name"] for table in content["tables"] for row in table["rows"]]
    assert any("DALI" in name for name in names)
    assert all(row["cpu_ms"][0] > 0 for table in content["tables"] for row in table["rows"])
    assert all(name in done.stdout for name in names)


@pytest.mark.parametrize("arch", ["rny002_gsm", "small_gsm"])
def test_the_baseline_is_the_same_network(arch: str) -> None:
    torch.manual_seed(0)
    spec = SpotterSpec(feature_arch=arch, temporal_arch="gru", classes=("PASS",))
    spotter = Spotter(spec).eval()
    for layer in spotter.modules():
        if isinstance(layer, GateShift):
            torch.nn.init.normal_(layer.conv3D.weight, std=0.1)
    frames = torch.randn(2, 10, 3, 64, 96)
    with torch.inference_mode():
        ours, theirs = spotter(frames), volume_spotter(spotter)(frames)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_training_step_is_timed_beside_the_baseline() -> None:
    (table,) = bench_train(TrainSettings(feature_arch="small_gsm", clip_len=4, repeats=1))
    assert [row.name.split(",")[0] for row in table.rows] == ["E2E-Spot's way: fp32", "e2espot", "e2espot"]
    assert all(row.cpu_ms[0] > 0 for row in table.rows)

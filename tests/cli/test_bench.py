"""The benchmark counts what it claims and writes what it prints."""

import json
import subprocess
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.benchmarks import decode, roofline
from e2espot.benchmarks.features import extraction, plain_extraction
from e2espot.benchmarks.infer import baseline_pipeline, baseline_spotter, e2espot_pipeline, network_alone
from e2espot.benchmarks.results import Row, Table, Target, targets_text
from e2espot.benchmarks.roofline import ConvolutionCounter, floor_s
from e2espot.benchmarks.scaling import repeat_video
from e2espot.benchmarks.startup import bench_startup
from e2espot.benchmarks.timing import InProcess, Subprocess, Work, interleaved
from e2espot.benchmarks.train import TrainSettings, baseline_step, bench_train, e2espot_step
from e2espot.cli.bench import main
from e2espot.core.errors import ConfigurationError
from e2espot.models import Spotter, SpotterSpec
from e2espot.models.temporal_shift import GateShift
from e2espot.video import stream_frames
from tests.support.benchmark_work import allocate, fail
from tests.support.budget import LONG
from tests.support.numbered_video import constant, numbers_in, write
from tests.support.tools import tool

pytestmark = pytest.mark.slow


def test_interleaved_runs_variants_in_turn_and_compares_medians() -> None:
    order = []

    def work(name: str, loops: int) -> int:
        order.append(name)
        sum(range(loops))
        return 10

    variants = [
        InProcess(name="slow", work=lambda: work("slow", 800_000)),
        InProcess(name="fast", work=lambda: work("fast", 40_000)),
    ]
    lines: list[str] = []
    table = interleaved("loops", "loop", variants, 3, print_line=lines.append)
    assert [line.partition(":")[0] for line in lines] == ["slow", "fast"] * 3
    assert lines[0].startswith("slow: 10 loops in ")
    assert order == ["slow", "fast"] * 4
    assert [len(row.cpu_ms) for row in table.rows] == [3, 3]
    slow, fast = table.rows
    assert min(slow.cpu_ms) > 2 * max(fast.cpu_ms)
    assert table.text().splitlines()[2].endswith("1.00x |")


@pytest.mark.slow
def test_bench_decode_prints_and_writes_every_variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "FILE_COUNTS", (2, 8))
    path = write(tmp_path / "short", constant(Fraction(25), 80, codec="libvpx-vp9", suffix=".webm"))
    options = ["--clip_len", "8", "--num_clips", "4", "--repeats", "1", "--json", str(tmp_path / "out.json")]
    done = tool("bench", "decode", path, *options)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "out.json").read_text())
    assert "CPU" in content["machine"]
    names = [row["name"] for table in content["tables"] for row in table["rows"]]
    assert any("DALI" in name for name in names)
    assert all(row["cpu_ms"][0] > 0 for table in content["tables"] for row in table["rows"])
    assert all(name in done.stdout for name in names)


@pytest.mark.parametrize("arch", ["rny002_gsm", "small_gsm"])
def test_baseline_spotter_gives_the_same_logits(arch: str) -> None:
    torch.manual_seed(0)
    spec = SpotterSpec(feature_arch=arch, temporal_arch="gru", classes=("PASS",))
    spotter = Spotter(spec).eval()
    for layer in spotter.modules():
        if isinstance(layer, GateShift):
            torch.nn.init.normal_(layer.conv3D.weight, std=0.1)
    frames = torch.randn(2, 10, 3, 64, 96)
    with torch.inference_mode():
        ours, theirs = spotter(frames), baseline_spotter(spotter)(frames)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "build",
    [partial(baseline_pipeline, keep_memory=False), e2espot_pipeline, network_alone],
    ids=["baseline", "e2espot", "network"],
)
def test_inference_pipelines_process_every_frame(build: Callable[[str, Path], Work], tmp_path: Path) -> None:
    path = write(tmp_path / "short", constant(Fraction(25), 30))
    assert build("small_gsm", path)() == 30


def test_pipeline_takes_a_first_look_only_if_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "short", constant(Fraction(25), 30))
    looks = []
    monkeypatch.setattr("e2espot.inference.adapt.adapt_to_clips", lambda spotter, *_: (spotter, looks.append(path)))
    assert e2espot_pipeline("small_gsm", path)() == 30 and not looks
    assert e2espot_pipeline("small_gsm", path, adapt="auto")() == 30 and looks


@pytest.mark.parametrize("build", [baseline_step, e2espot_step])
def test_training_step_learns_from_every_frame(build: Callable[[str, int], Work]) -> None:
    assert build("small_gsm", 2)() == 2


@pytest.mark.skipif(not LONG, reason="three processes take half a minute; make stress runs it")
def test_bench_train_compares_with_the_baseline() -> None:
    results = bench_train(TrainSettings(feature_arch="small_gsm", clip_len=4, repeats=1, wait_steps=0))
    (table,), (target,) = results.tables, results.targets
    assert [row.name.split(",")[0] for row in table.rows] == [
        "E2E-Spot's pipeline: fp32",
        "e2espot",
        "e2espot",
    ]
    assert all(row.cpu_ms[0] > 0 and row.peak_mb > 50 for row in table.rows)
    assert target.measured == table.rows[0].cpu / table.rows[1].cpu
    assert target.met == (target.measured >= 2.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--backbones", "resnet999"), "timm has no 'resnet999'"),
        (("--minutes", "0"), "minutes above 0"),
        (("--halves", "0"), "give 1 to"),
    ],
)
def test_bench_features_refuses_sizes_before_minutes_are_spent(options: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        main(["features", *options])


@pytest.mark.skipif(not LONG, reason="five processes take minutes; make stress runs it")
def test_bench_features_prints_each_row_and_all_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write(tmp_path / "short", constant(Fraction(25), 100))
    sizes = ("--minutes", "0.1", "--long_minutes", "0.2", "--halves", "2", "--repeats", "1")
    main(["features", str(video), "--backbones", "test_resnet", *sizes])
    printed = capsys.readouterr().out
    assert "e2espot features: 16 rows in" in printed  # eight rows a time, the video twice
    assert "e2espot features: 24 rows in" in printed
    assert printed.count("| CPU ms per row, median") == 3  # extraction, the long match, scores
    assert "| peak memory, training on features |" in printed


def test_bench_start_times_the_help_of_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2espot.cli.main.COMMANDS", {"Data": {"convert": "convert labels"}})
    main(["start", "--repeats", "1", "--json", str(tmp_path / "out.json")])
    content = json.loads((tmp_path / "out.json").read_text())
    assert [row["name"] for row in content["tables"][0]["rows"]] == [
        "python, nothing imported",
        "import e2espot",
        "e2espot convert --help",
    ]
    assert 0 < content["targets"][0]["measured"] < 10


def test_bench_start_keeps_bytecode_as_interpreters_do_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr("e2espot.benchmarks.startup.subprocess.run", partial(started, run=subprocess.run))
    bench_startup([], 1)


def started(command: list[str], *, run: Callable[..., object], env: dict[str, str], **options: object) -> None:
    script = "import os, sys; assert not sys.dont_write_bytecode and os.path.isdir(sys.pycache_prefix)"
    run([command[0], "-c", script], check=True, env=env)


def test_bench_evaluate_has_as_many_rounds_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("SoccerNet")
    rounds = []

    def measured(title: str, unit: str, variants: list[Subprocess], repeats: int, *, warm_up: bool) -> Table:
        rounds.append(repeats)
        rows = [Row(name=variant.name, unit=unit, cpu_ms=[1.0], wall_ms=[1.0], grown_mb=1.0) for variant in variants]
        return Table(title=title, rows=rows)

    monkeypatch.setattr("e2espot.benchmarks.scoring.interleaved", measured)
    main(["evaluate", "--repeats", "5"])
    assert rounds == [5]


def test_subprocess_reports_its_own_peak_memory() -> None:
    table = interleaved("memory", "MB", [Subprocess("much", allocate, 300), Subprocess("little", allocate, 3)], 1)
    much, little = table.rows
    assert 290 < much.grown_mb < 360
    assert little.grown_mb < 60


def test_subprocess_failure_raises_with_its_message() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        interleaved("failure", "run", [Subprocess("fails", fail)], 1)


def test_targets_text_gives_the_reason_of_a_missed_target() -> None:
    met = Target(what="a", baseline="b", target="2x", least=2, measured=3.14)
    missed = Target(what="c", baseline="d", target="at most 1.1x", most=1.1, measured=1.5, why="the moon")
    assert met.met and not missed.met
    lines = targets_text([met, missed]).splitlines()
    assert lines[2] == "| a | b | 2x | 3.14x | met |"
    assert lines[3] == "| c | d | at most 1.1x | 1.5x | **missed**: the moon |"


def test_repeat_video_repeats_all_pictures(tmp_path: Path) -> None:
    once = write(tmp_path / "once", constant(Fraction(25), 30))
    thrice = repeat_video(once, tmp_path / "thrice.mp4", 3)
    seen = np.concatenate([chunk.frames_THWC for chunk in stream_frames(thrice)])
    assert numbers_in(seen) == [*range(30)] * 3


def test_extraction_compares_the_same_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "short", constant(Fraction(25), 60))
    assert extraction(path, "test_resnet")() == plain_extraction(path, "test_resnet")() == 4


def test_floor_s_takes_the_slower_of_arithmetic_and_memory() -> None:
    with ConvolutionCounter() as counter:
        torch.nn.functional.conv2d(torch.zeros(2, 4, 10, 10), torch.zeros(8, 4, 3, 3), padding=1)
    assert counter.counts == [(2 * (2 * 8 * 100) * 36, 2 * 4 * 100 + 2 * 8 * 100 + 8 * 36)]
    assert floor_s([(100.0, 10.0)], 10.0, 1e9, 2) == 10
    assert floor_s([(100.0, 10.0)], 1e9, 2.0, 2) == 10


@pytest.mark.parametrize(("dtype", "names"), [(torch.float32, ["fp32"]), (torch.bfloat16, ["fp32", "bf16"])])
def test_roofline_has_the_rate_of_the_format_that_is_computed_in(
    dtype: torch.dtype, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roofline, "compute_dtype", lambda _: dtype)
    monkeypatch.setattr(roofline, "matrix_rate", lambda _: 72e9)
    monkeypatch.setattr(roofline, "bandwidth", lambda: 12e9)
    monkeypatch.setattr(roofline, "score_frames", lambda *_: sum(range(10_000)))
    machine, network = roofline.bench_roofline("small_gsm").tables
    assert machine.rows == (
        *((f"{name} products, 1536x1536", "72 GFLOP/s") for name in names),
        ("copying 256 MiB, bytes read and written", "12.0 GB/s"),
    )
    assert [row[0] for row in network.rows] == [f"{arch}, 398x224, {names[-1]}" for arch in ("small_gsm", "small")]

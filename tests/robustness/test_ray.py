"""Inference on Ray gives the results of one process, whatever process dies on the way."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from e2espot.cli.main import main
from tests.support.budget import LONG, print_figure, sized
from tests.support.forked import fork
from tests.support.tiny_dataset import write_game, write_spotter
from tests.support.tools import tool

TOOL = Path(__file__).parents[2] / "tools" / "infer.py"
ray = pytest.importorskip("ray", reason="Ray is not installed; pip install 'e2espot[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
GAMES = sized(4, 24)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spotter(tmp_path_factory.mktemp("run") / "run.safetensors")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for number in range(GAMES):
        write_game(root / "toy" / f"{number:02d}", number, num_frames=200)
    return root


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of two workers."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "include_dashboard": False, "object_store_memory": 200 << 20},
    )
    yield cluster.address
    cluster.shutdown()


def start(weights: Path, sources: list[Path], out: Path, *more: str) -> subprocess.Popen[str]:
    arguments = [TOOL, weights, *sources, "-o", out, "--device", "cpu", "--save_scores", *more]
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def results(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def at_work() -> list[int]:
    """Processes that predict a video now, on a cluster of this process or of the command it started."""
    parents, busy = {}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if (entry / "cmdline").read_bytes().startswith(b"ray::spot_video"):
                    busy.append(int(entry.name))

    def is_ours(process: int) -> bool:
        return process == os.getpid() or (process in parents and is_ours(parents[process]))

    return [process for process in busy if is_ours(process)]


def killed_at_work(worker: int) -> bool:
    """Stop it, check that it has not finished its video in the meantime, and kill it."""
    with contextlib.suppress(OSError):
        os.kill(worker, signal.SIGSTOP)
        # A worker that decodes has reported that it has begun; a decoder that waits for another file has no ring.
        children = [path.read_text().split() for path in Path(f"/proc/{worker}/task").glob("*/children")]
        decodes = any("memfd:e2espot" in Path(f"/proc/{child}/maps").read_text() for child in chain(*children))
        if worker in at_work() and decodes:
            os.kill(worker, signal.SIGKILL)
            return True
        os.kill(worker, signal.SIGCONT)
    return False


def test_results_equal_one_process_though_a_worker_is_killed_and_a_video_is_bad(
    weights: Path, data: Path, address: str, tmp_path: Path
) -> None:
    alone = tool("infer", weights, data, "-o", tmp_path / "alone", "--device", "cpu", "--save_scores")
    assert alone.returncode == 0, alone.stderr
    expected = results(tmp_path / "alone")
    assert len(expected) == 2 * GAMES

    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    process = start(weights, [bad, data], tmp_path / "ray", "--engine", "ray", "--ray_address", address)
    while process.poll() is None:
        half_way = len(list((tmp_path / "ray").rglob("results_spotting.json"))) >= GAMES // 2
        if half_way and any(killed_at_work(worker) for worker in at_work()):
            break
        time.sleep(0.02)
    else:
        pytest.fail(f"it ended before it was half-way: {process.communicate()[0]}")
    output = process.communicate()[0]
    assert process.returncode == 2, output
    assert output.splitlines()[-1].startswith(f"error: 1 of {GAMES + 1} games have no results: "), output
    assert len(re.findall(r"its worker died; started again", output)) == 1, output
    assert results(tmp_path / "ray") == expected
    print_figure(f"ray: {GAMES} videos, 1 worker of 2 killed half-way, 0 lost, 0 different")
    resumed = tool("infer", weights, data, "-o", tmp_path / "ray", "--save_scores", "--engine", "ray", "--resume")
    assert f"{GAMES} of {GAMES} games have results" in resumed.stdout


@pytest.mark.parametrize("more", [("--ray_address", "127.0.0.1:1"), ("--task_cpus", "5000")])
def test_unusable_cluster_is_refused(
    more: tuple[str, str], weights: Path, data: Path, address: str, tmp_path: Path
) -> None:
    arguments = more if more[0] == "--ray_address" else (*more, "--ray_address", address)
    words = ["infer", str(weights), str(data), "-o", str(tmp_path / "out"), "--engine", "ray", *arguments]
    errors = tmp_path / "stderr"
    process = fork(main, words, errors=errors)
    process.join(300)
    assert process.exitcode == 2, errors.read_text()
    assert more[0] in errors.read_text().splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not LONG, reason="takes half a minute; make stress runs it")
@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_own_cluster_ends_with_the_command(
    end: signal.Signals, code: int, weights: Path, data: Path, tmp_path: Path
) -> None:
    process = start(weights, [data], tmp_path / "out", "--engine", "ray")
    while process.poll() is None and not list((tmp_path / "out").rglob("results_spotting.json")):
        time.sleep(0.05)
    process.send_signal(end)
    process.communicate()
    assert process.returncode == code
    deadline = time.monotonic() + 60
    while at_work() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not at_work()
    again = start(weights, [data], tmp_path / "out", "--engine", "ray", "--resume")
    assert " games have results in " in again.communicate()[0]
    assert len(results(tmp_path / "out")) == 2 * GAMES

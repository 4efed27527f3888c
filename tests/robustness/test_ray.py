"""A season on Ray ends as one process would end it, whoever dies on the way."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.budget import LONG, print_figure, sized
from tests.support.tiny_dataset import write_game, write_spotter

TOOL = Path(__file__).parents[2] / "tools" / "infer.py"
ray = pytest.importorskip("ray", reason="Ray is not installed; pip install 'e2espot[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
GAMES = sized(8, 24)


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
        # A suite that runs in a shell's background ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def results(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def at_work() -> list[int]:
    """Processes that spot a video at this moment, on a cluster that this process or its tool has started."""
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
    """Stop it, see that it has not come to the end of its video in the meantime, and kill it."""
    with contextlib.suppress(OSError):
        os.kill(worker, signal.SIGSTOP)
        # Whose decoder runs has told that it has begun.
        decoders = [path.read_text() for path in Path(f"/proc/{worker}/task").glob("*/children")]
        if worker in at_work() and any(map(str.strip, decoders)):
            os.kill(worker, signal.SIGKILL)
            return True
        os.kill(worker, signal.SIGCONT)
    return False


def test_a_killed_worker_costs_nothing(weights: Path, data: Path, address: str, tmp_path: Path) -> None:
    alone = start(weights, [data], tmp_path / "alone")
    assert alone.communicate()[0] and alone.returncode == 0
    expected = results(tmp_path / "alone")
    assert len(expected) == 2 * GAMES

    tool = start(weights, [data], tmp_path / "ray", "--engine", "ray", "--ray_address", address)
    while tool.poll() is None:
        half_way = len(list((tmp_path / "ray").rglob("results_spotting.json"))) >= GAMES // 2
        if half_way and any(killed_at_work(worker) for worker in at_work()):
            break
        time.sleep(0.02)
    else:
        pytest.fail(f"it ended before it was half-way: {tool.communicate()[0]}")
    told = tool.communicate()[0]
    assert tool.returncode == 0, told
    assert len(re.findall(r"its worker died; started again", told)) == 1, told
    assert results(tmp_path / "ray") == expected
    print_figure(f"ray: {GAMES} videos, 1 worker of 2 killed half-way, 0 lost, 0 different")


def test_what_is_done_is_left_out_and_a_bad_video_takes_its_own_game(
    weights: Path, data: Path, address: str, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    good = data / "toy" / "00" / "224p.mp4"
    tool = start(weights, [bad, good], tmp_path / "out", "--engine", "ray", "--ray_address", address)
    told = tool.communicate()[0]
    assert tool.returncode == 2, told
    assert told.splitlines()[-1].startswith("error: 1 of 2 games have no results: "), told
    assert sorted(results(tmp_path / "out")) == ["224p/results_spotting.json", "224p/scores.npz"]
    tool = start(weights, [good], tmp_path / "out", "--engine", "ray", "--resume")
    assert "1 of 1 games have results" in tool.communicate()[0]


@pytest.mark.parametrize("more", [("--ray_address", "127.0.0.1:1"), ("--task_cpus", "5000")])
def test_a_cluster_that_will_not_do(
    more: tuple[str, str], weights: Path, data: Path, address: str, tmp_path: Path
) -> None:
    arguments = more if more[0] == "--ray_address" else (*more, "--ray_address", address)
    tool = start(weights, [data], tmp_path / "out", "--engine", "ray", *arguments)
    told = tool.communicate()[0]
    assert tool.returncode == 2, told
    assert more[0] in told.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not LONG, reason="takes half a minute; make stress runs it")
@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_its_own_cluster_ends_with_it(
    end: signal.Signals, code: int, weights: Path, data: Path, tmp_path: Path
) -> None:
    tool = start(weights, [data], tmp_path / "out", "--engine", "ray")
    while tool.poll() is None and not list((tmp_path / "out").rglob("results_spotting.json")):
        time.sleep(0.05)
    tool.send_signal(end)
    tool.communicate()
    assert tool.returncode == code
    deadline = time.monotonic() + 60
    while at_work() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not at_work()
    again = start(weights, [data], tmp_path / "out", "--engine", "ray", "--resume")
    assert " games have results in " in again.communicate()[0]
    assert len(results(tmp_path / "out")) == 2 * GAMES

"""A process that spots one video after another does not grow."""

import gc
import os
import threading
from pathlib import Path

import pytest

from e2espot.inference.predict import spot_video
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.suppression.nms import suppress
from e2espot.video.decoder_child import end_idle_child
from tests.support.budget import print_figure, sized
from tests.support.tiny_dataset import write_game

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(600, 7200))]


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def children() -> set[str]:
    """Child processes of this one; other tests leave a browser and servers running."""
    return {child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()}


def test_inference_leaks_no_memory_threads_or_handles(tmp_path: Path) -> None:
    write_game(tmp_path / "game", 0, num_frames=40)
    spec = SpotterSpec(
        feature_arch="small_gsm", temporal_arch="gru", classes=("PASS",), clip_len=16, fps="12.5", width=96, height=64
    )
    spotter, many = Spotter(spec).eval(), sized(8, 500)
    settle = max(4, many // 10)
    usage, before = [], children()
    for _ in range(many):
        suppress(spot_video(spotter, tmp_path / "game" / "224p.mp4"))
        gc.collect()
        usage.append((resident_mb(), threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))))
    sizes, threads, handles = zip(*usage[settle:], strict=True)
    print_figure(
        f"{many} inferences: {sizes[0]:.0f} MB to {sizes[-1]:.0f} MB, {threads[-1]} threads, {handles[-1]} handles"
    )
    assert sizes[-1] < 1.05 * sizes[0]
    assert threads[-1] == threads[0]
    assert handles[-1] == handles[0]
    end_idle_child()
    assert children() <= before

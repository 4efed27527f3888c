"""A stream whose sender misbehaves every minute: no crash, no hang, no event in a gap, and memory stays flat."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from e2espot.cli import live
from tests.live.misbehaving import RATE, Act, Sender
from tests.live.senders import free_port, in_background, numbered_stream
from tests.support.budget import LONG, print_figure, sized
from tests.support.tiny_dataset import write_spotter

pytestmark = pytest.mark.timeout(sized(120, 5400))
MINUTES = float(os.environ.get("E2ESPOT_SOAK_MINUTES", "60"))
LATENCY_S = 2.0
GIVE_UP_S = 30.0


def short_acts() -> list[Act]:
    """Every fault once, in some seconds."""
    count = 2 * RATE
    return [
        Act(num_pictures=count, fault="drop", pause_s=2),
        Act(num_pictures=count, fault="jump back"),
        Act(num_pictures=count, fault="restart"),
        Act(num_pictures=count, fault="silence", pause_s=2),
        Act(num_pictures=count, fault="stop"),
    ]


def acts_of_an_hour(minutes: float) -> list[Act]:
    """One fault a minute; silences of 10 s are longer than the reader waits before it connects again."""
    faults = itertools.cycle(
        [
            Act(num_pictures=0, fault="drop", pause_s=3),
            Act(num_pictures=0, fault="jump back"),
            Act(num_pictures=0, fault="silence", pause_s=3),
            Act(num_pictures=0, fault="restart"),
            Act(num_pictures=0, fault="silence", pause_s=10),
            Act(num_pictures=0, fault="drop", pause_s=20),
        ]
    )
    chosen = [next(faults) for _ in range(max(1, round(minutes) - 1))]
    acts = [Act(num_pictures=round((60 - act.pause_s) * RATE), fault=act.fault, pause_s=act.pause_s) for act in chosen]
    return [*acts, Act(num_pictures=60 * RATE, fault="stop")]


def resident_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def check_results(out: Path, acts: list[Act]) -> list[dict[str, Any]]:
    """The lines, once they agree with the results and lie where pictures were seen."""
    lines = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    results = json.loads((out / "match" / "results_spotting.json").read_text())
    assert len(lines) == len(results["predictions"]) > len(acts)
    seen_ms = [(row["from"], row["to"]) for row in results["readable"][0]["stretches"]]
    for line in lines:
        assert any(start <= line["position_ms"] < stop for start, stop in seen_ms), line
    gaps_ms = [start - stop for (_, stop), (start, _) in pairwise(seen_ms)]
    pauses_s = [act.pause_s for act in acts if act.is_gap]
    assert len(gaps_ms) >= len(pauses_s) and sum(gaps_ms) >= 1000 * (sum(pauses_s) - len(pauses_s))
    print_figure(
        f"{len(lines)} events in {seen_ms[-1][1] / 1000:.0f} s, of which {sum(gaps_ms) / 1000:.0f} s were not seen, in "
        f"{len(gaps_ms)} gaps; the sender paused {len(pauses_s)} times, {sum(pauses_s):.0f} s in all"
    )
    return lines


def test_live_results_are_right_after_a_short_series_of_faults(tmp_path: Path) -> None:
    run, port = write_spotter(tmp_path / "toy.safetensors"), free_port()
    sender, acts, out = Sender(numbered_stream(tmp_path, 50), port, speed=4.0), short_acts(), tmp_path / "out"
    words = [str(run), f"tcp://127.0.0.1:{port}", "--listen", "-o", str(out), "--latency", str(LATENCY_S)]
    with in_background(lambda: sender.play(acts)), pytest.raises(SystemExit) as caught:
        live.main([*words, "--give_up", "3"])
    assert caught.value.code == live.EXIT_LOST
    check_results(out, acts)


@pytest.mark.skipif(not LONG, reason="make soak takes an hour")
def test_an_hour_of_faults(tmp_path: Path) -> None:
    run, port = write_spotter(tmp_path / "toy.safetensors"), free_port()
    sender, acts, out = Sender(numbered_stream(tmp_path, 50), port), acts_of_an_hour(MINUTES), tmp_path / "out"
    command = [sys.executable, "-m", "e2espot", "live", str(run), f"tcp://127.0.0.1:{port}", "--listen"]
    command += ["-o", str(out), "--latency", str(LATENCY_S), "--give_up", str(GIVE_UP_S), "--threshold", "0.3"]
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    sizes: list[float] = []

    def watch() -> None:
        while process.poll() is None:
            sizes.append(resident_mb(process.pid))
            time.sleep(10)

    threading.Thread(target=watch, daemon=True).start()
    sender.play(acts, lambda act: print_figure(f"{datetime.now():%H:%M:%S} {act} {sizes[-1:]} sent {sender.num_sent}"))
    assert process.wait(timeout=4 * GIVE_UP_S) == live.EXIT_LOST, (tmp_path / "log").read_text()[-2000:]
    lines = check_results(out, acts)
    latencies = sorted(line["latency_s"] for line in lines if "latency_s" in line)
    print_figure(
        f"{len(lines)} events; latency median {latencies[len(latencies) // 2]:.2f} s, 95 % "
        f"{latencies[int(0.95 * len(latencies))]:.2f} s, longest {latencies[-1]:.2f} s"
    )
    settled = sizes[max(1, len(sizes) // 6) :]
    print_figure(
        f"memory {min(settled):.0f} to {max(settled):.0f} MB; {sender.num_sent} of {sender.num_pictures} pictures"
    )
    assert max(settled) < 1.05 * min(settled)

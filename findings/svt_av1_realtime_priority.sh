#!/usr/bin/env bash
# SVT-AV1 4.1.0 (through PyAV 18.1.0): encoding five small pictures as root leaves the caller with real-time priority.
#
# Opening the encoder sets the scheduling of the thread that calls it to SCHED_FIFO, priority 99, if the system permits
# that, as it does to root in most containers. Closing the encoder does not take it back, and every process that is
# started afterwards inherits it. Other AV1 and H.264 encoders leave the scheduling alone. Without the right to use
# real-time scheduling nothing happens, so this script needs root. os.sched_setscheduler(0, *before) restores it.
set -euo pipefail
if [ "$(id -u)" != 0 ]; then
  echo "run this as root, for example in a container" >&2
  exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 av==18.1.0
cd "$work"
"$work/venv/bin/python" - 2>/dev/null <<'PY'
import os
import subprocess
import sys

import av
import numpy as np

NAMES = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_FIFO: "SCHED_FIFO", os.SCHED_RR: "SCHED_RR"}


def scheduling():
    return NAMES[os.sched_getscheduler(0)], os.sched_getparam(0).sched_priority


def encode(codec):
    """Encodes five pictures; returns the scheduling of this thread afterwards."""
    with av.open(f"{codec}.mkv", "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(5):
            picture = np.full((96, 128, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return scheduling()


print("PyAV", av.__version__, "libavcodec", av.library_versions["libavcodec"])
print("expected: encoding leaves the scheduling of the caller as it is")
before = scheduling()
others = {codec: encode(codec) for codec in ("libx264", "libvpx-vp9")}
after = encode("libsvtav1")
child = subprocess.run(
    [sys.executable, "-c", "import os; print(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)"],
    capture_output=True, text=True, check=True,
).stdout.split()
print(f"before {before}; after {others}; after libsvtav1 {after}; a child started then: policy and priority {child}")
as_recorded = (
    before == ("SCHED_OTHER", 0)
    and all(value == before for value in others.values())
    and after == ("SCHED_FIFO", 99)
    and child == [str(os.SCHED_FIFO), "99"]
)
print("observed: real-time priority, inherited by children" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

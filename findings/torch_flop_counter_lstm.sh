#!/usr/bin/env bash
# torch 2.14.1, torch.utils.flop_counter.FlopCounterMode: an LSTM on the CPU counts as nothing.
#
# Guess: recurrent layers are counted alike, since each is a product with its inputs and one with its state for every
# frame: 2 * frames * gates * units * (channels + units) operations, with 1, 3 and 4 gates for RNN, GRU and LSTM. So it is
# for RNN and GRU. An LSTM counts as 0 without a warning: it runs as one fused oneDNN operation, for which the counter has
# no formula, and it leaves out what it has no formula for. A table that compares temporal heads by such counts makes the
# most expensive of the three the cheapest. Without oneDNN the LSTM is counted in full.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 torch==2.14.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
import warnings

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

FRAMES, CHANNELS, UNITS = 50, 64, 32


def counted(layer):
    with warnings.catch_warnings(action="error"), FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(1, FRAMES, CHANNELS))
    return counter.get_total_flops()


print(f"torch {torch.__version__}; operations of {FRAMES} frames, {CHANNELS} channels, {UNITS} units")
as_recorded = True
for kind, gates in ((nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)):
    layer = kind(CHANNELS, UNITS, batch_first=True).eval()
    expected = 2 * FRAMES * gates * UNITS * (CHANNELS + UNITS)
    with_onednn = counted(layer)
    with warnings.catch_warnings(action="ignore"), torch.backends.mkldnn.flags(enabled=False):
        without = counted(layer)
    print(f"{kind.__name__:4}  expected {expected:9,}  counted {with_onednn:9,}  without oneDNN {without:9,}")
    as_recorded &= with_onednn == (0 if kind is nn.LSTM else expected) and without == expected
sys.exit(not as_recorded)
PY

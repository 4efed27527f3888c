#!/usr/bin/env bash
# torch 2.14.1 on a CPU: whether picking frames keeps channels_last depends on which of two equal calls picks them.
#
# Guess: frames[order], frames.index_select(0, order) and frames.take_along_dim() copy the same frames, so the copies have
# the layout of the source; and so do repeat_interleave() and repeat(). The values are equal. Only frames[order] keeps
# channels_last; the others return contiguous (NCHW) tensors without a warning, and each convolution after them converts
# its input or runs in the slower layout.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 torch==2.14.1
cd "$work"
"$work/venv/bin/python" -W error - <<'PY'
import sys

import torch

frames_TCHW = torch.randn(6, 16, 5, 7).contiguous(memory_format=torch.channels_last)
order = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
picked = {
    "frames[order]": frames_TCHW[order],
    "frames.index_select(0, order)": frames_TCHW.index_select(0, order),
    "frames.take_along_dim(order, 0)": frames_TCHW.take_along_dim(order.view(-1, 1, 1, 1), 0),
    "frames.repeat_interleave(2, 0)": frames_TCHW.repeat_interleave(2, 0),
}
print(f"torch {torch.__version__}; the source is channels_last")
keeps = {}
for name, copy_TCHW in picked.items():
    assert torch.equal(copy_TCHW, picked["frames[order]"]), name
    keeps[name] = copy_TCHW.is_contiguous(memory_format=torch.channels_last)
    print(f"{name:32} channels_last: {keeps[name]}")
sys.exit(list(keeps.values()) != [True, False, False, False])
PY

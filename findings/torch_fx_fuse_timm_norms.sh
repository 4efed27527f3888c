#!/usr/bin/env bash
# torch 2.14.1 with timm 1.0.31: torch.fx's fuse() folds none of the batch norms of a timm RegNet, and looks as if it did.
#
# Guess: torch.fx.experimental.optimization.fuse() folds each batch norm after a convolution into it, or raises. It
# matches torch.nn's own modules. timm's RegNets use BatchNormAct2d, a subclass of BatchNorm2d from outside torch.nn, so
# tracing goes through it and leaves a call of functional.batch_norm. No BatchNorm2d module is left to be counted, the
# output is the same to the bit, nothing was folded, and nothing became faster. ResNets of timm, whose norms are
# torch.nn's, are folded whole.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 torch==2.14.1 torchvision==0.29.1 timm==1.0.31
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys

import timm
import torch
from torch import nn
from torch.fx.experimental.optimization import fuse


def norms(name):
    """Batch norms of a network; after fuse(), modules and calls that are left; whether the output is equal."""
    network = timm.create_model(name, pretrained=False, num_classes=0).eval()
    before = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    fused = fuse(network)
    modules = sum(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    calls = sum(node.target is nn.functional.batch_norm for node in fused.graph.nodes)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        equal = torch.equal(network(images), fused(images))
    print(f"{name}: {before} batch norms; after fuse() {modules} modules and {calls} calls; equal to the bit: {equal}")
    return before, modules, calls, equal


print("torch", torch.__version__, "timm", timm.__version__)
print("expected: none is left, neither as a module nor as a call")
resnet, regnet = norms("resnet18"), norms("regnety_002")
as_recorded = resnet[1:3] == (0, 0) and regnet[0] == regnet[2] == 44 and regnet[1] == 0 and regnet[3]
print("observed: all of the RegNet's are left, as calls" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

#!/usr/bin/env bash
# timm 1.0.31: with a warmup, the cosine schedule never reaches the learning rate that it is given.
#
# Guess: CosineLRScheduler(optimizer, t_initial=20, warmup_t=10) rises for ten epochs to the learning rate of the optimizer
# and falls from there, as warmups in torch and in papers do. It rises towards it, and then jumps to where a cosine that
# began at epoch 0 would be: from 0.9 of the rate to 0.5 of it, so the highest is 0.9 and half of the cosine is left
# out. With a warmup of 5 epochs the highest is 0.85. create_scheduler_v2(), which timm's own training uses, does the
# same, and so does PolyLRScheduler. warmup_prefix=True gives what was expected; then t_initial counts from the end of
# the warmup.
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
from timm.scheduler import CosineLRScheduler, PolyLRScheduler, create_scheduler_v2

EPOCHS = 20


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def rates(scheduler, sgd):
    rates_of = []
    for epoch in range(EPOCHS):
        scheduler.step(epoch)
        rates_of.append(round(sgd.param_groups[0]["lr"], 3))
    return rates_of


def schedule(make, warmup, **more):
    sgd = optimizer()
    return rates(make(sgd, t_initial=EPOCHS, warmup_t=warmup, warmup_lr_init=0.0, **more), sgd)


print("timm", timm.__version__, "torch", torch.__version__)
ten, five = (schedule(CosineLRScheduler, warmup) for warmup in (10, 5))
poly = schedule(PolyLRScheduler, 10)
sgd = optimizer()
by_options, _ = create_scheduler_v2(sgd, sched="cosine", num_epochs=EPOCHS, warmup_epochs=10, warmup_lr=0.0)
of_options = rates(by_options, sgd)
prefixed = schedule(CosineLRScheduler, 10, warmup_prefix=True)
print("expected: the highest rate is 1.0, at the end of the warmup, and the next epochs are close to it")
for name, one, end in (("10 epochs", ten, 10), ("5 epochs", five, 5), ("10 epochs, polynomial", poly, 10)):
    print(f"observed, warmup of {name}: highest {max(one)}; epochs {end - 1} and {end}: {one[end - 1]} and {one[end]}")
print(f"with warmup_prefix=True: highest {max(prefixed)}; epochs 9 to 11: {prefixed[9:12]}")
as_recorded = (
    (max(ten), ten[9:11]) == (0.9, [0.9, 0.5])
    and (max(five), five[4:6]) == (0.854, [0.8, 0.854])
    and (max(poly), poly[9:11]) == (0.9, [0.9, 0.707])
    and of_options == ten
    and prefixed[9:11] == [0.9, 1.0]
)
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY

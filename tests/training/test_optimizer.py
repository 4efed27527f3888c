"""The optimizer is AdamW, and training starts without PyTorch's compiler."""

import subprocess
import sys

import torch

from e2espot.training.optimizer import EagerAdamW


def trained(kind: type[torch.optim.AdamW]) -> tuple[list[torch.Tensor], torch.optim.Optimizer]:
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 4)
    groups = [{"params": [layer.weight], "weight_decay": 0.1}, {"params": [layer.bias], "weight_decay": 0.0}]
    optimizer = kind(groups, lr=0.01)
    for step in range(4):
        if step == 2:  # as a resumed run does
            optimizer.load_state_dict(optimizer.state_dict())
        optimizer.zero_grad(set_to_none=True)
        layer(torch.randn(5, 8)).square().sum().backward()
        optimizer.step()
    return [layer.weight, layer.bias], optimizer


def test_steps_are_those_of_adamw() -> None:
    (ours, our_state), (theirs, their_state) = trained(EagerAdamW), trained(torch.optim.AdamW)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    their_state.load_state_dict(our_state.state_dict())
    assert torch.equal(their_state.state[theirs[0]]["exp_avg"], our_state.state[ours[0]]["exp_avg"])


def test_a_step_does_not_import_the_compiler() -> None:
    code = (
        "import sys, torch; from e2espot.training.optimizer import EagerAdamW;"
        "weight = torch.nn.Parameter(torch.ones(2));"
        "optimizer = EagerAdamW([weight]); weight.sum().backward(); optimizer.step(); optimizer.zero_grad();"
        "optimizer.load_state_dict(optimizer.state_dict()); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0

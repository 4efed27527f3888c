"""AdamW without PyTorch's compiler.

The methods of PyTorch's optimizers import ``torch._dynamo`` when they are first called, in case they are compiled:
150 MB and some seconds. Nothing is compiled here, so the functions below those wrappers are called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import AdamW


class EagerAdamW(AdamW):
    """The same steps as ``AdamW``, to the bit."""

    # Each of them is wrapped with functools.wraps, which says what is below.
    add_param_group = inspect.unwrap(AdamW.add_param_group)
    state_dict = inspect.unwrap(AdamW.state_dict)
    load_state_dict = inspect.unwrap(AdamW.load_state_dict)
    zero_grad = inspect.unwrap(AdamW.zero_grad)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step."""
        return inspect.unwrap(AdamW.step)(self, closure)

"""Learning rate schedule: a linear warm-up, followed by a cosine to zero.

E2E-Spot chains the two from step 0 on, so that its rate is zero before the end of training and rises again. Here the
cosine begins where the warm-up ends, and reaches zero after the last step.
"""

from __future__ import annotations

import math


def lr_factor(step: int, warm_up_steps: float, total_steps: int) -> float:
    """Learning rate at ``step``, 0 to 1: a linear rise, then a cosine that reaches zero after the very last step."""
    if step < warm_up_steps:
        return (step + 1) / (warm_up_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up_steps) / max(1, total_steps - warm_up_steps)))

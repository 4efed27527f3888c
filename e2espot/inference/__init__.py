"""Videos to scores, and scores to result files: one video, many in this process, or many on a Ray cluster.

``dali_pipelines`` decodes whole matches on the GPU. It uses values of ``e2espot.video`` and
``e2espot.clips``, and inference imports it only when that backend is chosen.

The names below are imported on first use, because ``predict`` imports torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from e2espot.inference.options import InferenceOptions

if TYPE_CHECKING:
    from e2espot.inference.predict import average_scores, spot_video

__all__ = ["InferenceOptions", "average_scores", "spot_video"]


def __getattr__(name: str) -> Any:
    """Import ``average_scores`` or ``spot_video`` on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("e2espot.inference.predict"), name)

"""Videos to scores, and scores to result files, one video after another or on a Ray cluster.

``dali_pipelines`` decodes whole matches on the GPU when it is asked for; it imports values of
``e2espot.video`` and ``e2espot.clips``, so the two packages import each other, by name and late.
"""

from e2espot.inference.predict import InferenceOptions, average_scores, spot_video

__all__ = ["InferenceOptions", "average_scores", "spot_video"]

"""e2espot: raw soccer video in, the exact moments of passes, drives and other ball actions out.

    import e2espot

    events = e2espot.spot("RUN", "match.mp4")        # what `e2espot infer RUN match.mp4` writes
    for event in events:
        print(event.position_ms, event.label, event.confidence)

The names below are imported when they are first used, so ``import e2espot`` costs nothing: no torch,
no decoder. Packages point one way, as the tree reads: ``cli`` uses ``training`` uses ``inference`` ...
down to ``core``, which imports nothing of ours.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from e2espot.core.version import __version__

if TYPE_CHECKING:
    from e2espot.core.coverage import ReadCoverage as ReadCoverage
    from e2espot.core.errors import AnnotationError as AnnotationError
    from e2espot.core.errors import CheckpointError as CheckpointError
    from e2espot.core.errors import ConfigurationError as ConfigurationError
    from e2espot.core.errors import E2ESpotError as E2ESpotError
    from e2espot.core.errors import VideoError as VideoError
    from e2espot.core.events import Event as Event
    from e2espot.core.label_sets import LABEL_SETS as LABEL_SETS
    from e2espot.core.label_sets import LabelSet as LabelSet
    from e2espot.core.scores import Scores as Scores
    from e2espot.formats.game import Game as Game
    from e2espot.formats.game import Video as Video
    from e2espot.formats.games import find_games as find_games
    from e2espot.inference.options import InferenceOptions as InferenceOptions
    from e2espot.inference.predict import spot_video as spot_video
    from e2espot.inference.spot import spot as spot
    from e2espot.models.spotter import Spotter as Spotter
    from e2espot.models.weights.checkpoint import load_spotter as load_spotter
    from e2espot.models.weights.checkpoint import shipped_spotter as shipped_spotter
    from e2espot.scoring.metric import Report as Report
    from e2espot.scoring.metric import evaluate as evaluate
    from e2espot.scoring.metric import evaluate_events as evaluate_events
    from e2espot.suppression.calibration import Calibration as Calibration
    from e2espot.suppression.calibration import apply_calibration as apply_calibration
    from e2espot.suppression.calibration import read_calibration as read_calibration
    from e2espot.suppression.nms import Suppression as Suppression
    from e2espot.suppression.nms import suppress as suppress

_MODULE_OF = {
    "AnnotationError": "core.errors",
    "Calibration": "suppression.calibration",
    "CheckpointError": "core.errors",
    "ConfigurationError": "core.errors",
    "E2ESpotError": "core.errors",
    "Event": "core.events",
    "Game": "formats.game",
    "InferenceOptions": "inference.options",
    "LABEL_SETS": "core.label_sets",
    "LabelSet": "core.label_sets",
    "ReadCoverage": "core.coverage",
    "Report": "scoring.metric",
    "Scores": "core.scores",
    "Spotter": "models.spotter",
    "Suppression": "suppression.nms",
    "Video": "formats.game",
    "VideoError": "core.errors",
    "apply_calibration": "suppression.calibration",
    "evaluate": "scoring.metric",
    "evaluate_events": "scoring.metric",
    "find_games": "formats.games",
    "load_spotter": "models.weights.checkpoint",
    "read_calibration": "suppression.calibration",
    "shipped_spotter": "models.weights.checkpoint",
    "spot": "inference.spot",
    "spot_video": "inference.predict",
    "suppress": "suppression.nms",
}
"""Public name -> module that defines it, below this package."""

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'e2espot' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"e2espot.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, imported or not."""
    return sorted({*globals(), *_MODULE_OF})

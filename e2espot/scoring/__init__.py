"""Scoring: SoccerNet's mAP, the matches behind it, and a periodic baseline to compare with."""

from e2espot.core.events import ScoredEvent
from e2espot.scoring.metric import METRICS, Report, evaluate, evaluate_events

__all__ = ["METRICS", "Report", "ScoredEvent", "evaluate", "evaluate_events"]

"""Scoring: SoccerNet's mAP and the blind guesser beside it."""

from e2espot.core.events import Entry
from e2espot.scoring.metric import METRICS, Report, evaluate, evaluate_events

__all__ = ["METRICS", "Entry", "Report", "evaluate", "evaluate_events"]

"""Scoring: SoccerNet's mAP and the blind guesser beside it."""

from e2espot.scoring.metric import METRICS, Entry, Report, evaluate, evaluate_events

__all__ = ["METRICS", "Entry", "Report", "evaluate", "evaluate_events"]

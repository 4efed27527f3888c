"""Spotters: ``load_spotter(path)`` gives one ready for use."""

from e2espot.models.spotter import Spotter, SpotterSpec, normalise
from e2espot.models.weights.checkpoint import load_spotter

__all__ = ["Spotter", "SpotterSpec", "load_spotter", "normalise"]

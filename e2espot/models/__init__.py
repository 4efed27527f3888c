"""Spotters: ``load_spotter(path)`` gives one ready for use."""

from e2espot.models.spotter import Spotter, SpotterSpec, load_spotter, normalise

__all__ = ["Spotter", "SpotterSpec", "load_spotter", "normalise"]

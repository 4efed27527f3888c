"""Weights: our checkpoints, and those of other packages."""

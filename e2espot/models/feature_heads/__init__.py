"""Heads that learn from features: poolings over a window, CALF's chunks, and rows in their context."""

"""Matches of Google Research Football, rendered off screen: players with real movements, and the engine's own truth."""

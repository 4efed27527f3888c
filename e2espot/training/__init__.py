"""Training a spotter from raw video."""

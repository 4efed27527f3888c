"""Which frames to learn from, and what to learn from them."""

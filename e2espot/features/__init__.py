"""Features of any match: a network's rows of numbers at a constant rate, and their projection."""

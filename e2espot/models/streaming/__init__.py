"""A backbone run over a whole video chunk by chunk, equal to one pass over all of it."""

"""Ball actions of a stream while it is sent: sources, clock, spotter, and where events go."""

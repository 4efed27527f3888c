"""Report on a result: its numbers (``analysis``), figures (``charts``), frames (``frame_strips``) and ``page``."""

"""Matches in object stores: anything fsspec opens, through local copies of bounded total size.

Decoders need files: they seek, they are C libraries, and a match is read from end to end anyway. So a
video is copied whole, predicted, and kept until another copy needs its room.
"""

from e2espot.sources.remote.cache import VideoCache, default_cache, default_cache_dir
from e2espot.sources.remote.games import find_remote_games
from e2espot.sources.remote.url import is_url, redact, result_name, scrub

__all__ = [
    "VideoCache",
    "default_cache",
    "default_cache_dir",
    "find_remote_games",
    "is_url",
    "redact",
    "result_name",
    "scrub",
]

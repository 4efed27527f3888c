"""Matches in object stores: whatever fsspec opens, through a folder of local copies of bounded size.

Decoders want files: they seek, they are C, and a match is read from end to end anyway. So a video is
copied whole, spotted, and left in the folder until another one needs its room.
"""

from e2espot.sources.remote.cache import VideoCache
from e2espot.sources.remote.games import find_remote_games
from e2espot.sources.remote.url import is_url, result_name

__all__ = ["VideoCache", "find_remote_games", "is_url", "result_name"]

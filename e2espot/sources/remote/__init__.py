"""Matches in object stores: whatever fsspec opens, through a folder of local copies of bounded size.

Decoders want files: they seek, they are C, and a match is read from end to end anyway. So a video is
copied whole, spotted, and left in the folder until another one needs its room.
"""

from e2espot.sources.remote.cache import CopyFolder
from e2espot.sources.remote.games import games_in_store
from e2espot.sources.remote.url import is_url, name_of

__all__ = ["CopyFolder", "games_in_store", "is_url", "name_of"]

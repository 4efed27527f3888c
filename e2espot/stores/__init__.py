"""Matches in object stores: whatever fsspec opens, through a folder of local copies of bounded size.

Decoders want files: they seek, they are C, and a match is read from end to end anyway. So a video is
copied whole, spotted, and left in the folder until another one needs its room.
"""

from e2espot.stores.address import is_url, name_of
from e2espot.stores.copies import CopyFolder
from e2espot.stores.games import games_in_store

__all__ = ["CopyFolder", "games_in_store", "is_url", "name_of"]

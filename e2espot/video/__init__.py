"""Video in, frames out: what a player shows when, read at random or streamed in order.

Terms: a *packet* is a coded picture in file order; a *picture* is a decoded image with its own time stamp, counted in
display order; a *frame* is an index on the constant grid (25 fps by default). See ``docs/video.md``.
"""

from e2espot.video.backend import Backend, BackendOption, HostBackend, choose_backend
from e2espot.video.index import COLOUR_RULE, VideoIndex, pictures_of_grid
from e2espot.video.indexing import index_of, index_video, require_readable
from e2espot.video.parts import indexes_of, parts_of
from e2espot.video.reader import FrameReader, VideoInfo, open_reader, probe
from e2espot.video.stream import Chunk, stream_clips, stream_frames, stream_pictures

__all__ = [
    "COLOUR_RULE",
    "Backend",
    "BackendOption",
    "Chunk",
    "FrameReader",
    "HostBackend",
    "VideoIndex",
    "VideoInfo",
    "choose_backend",
    "index_of",
    "index_video",
    "indexes_of",
    "open_reader",
    "parts_of",
    "pictures_of_grid",
    "probe",
    "require_readable",
    "stream_clips",
    "stream_frames",
    "stream_pictures",
]

"""Video in, frames out: what a player shows when, read at random or streamed in order."""

from e2espot.video.backend import Reader, ReaderChoice, choose_reader
from e2espot.video.index import COLOUR_RULE, Presentation, pictures_of_grid
from e2espot.video.indexing import index_of, index_video
from e2espot.video.reader import FrameReader, ReaderName, VideoInfo, open_reader, probe
from e2espot.video.stream import Chunk, stream_frames

__all__ = [
    "COLOUR_RULE",
    "Chunk",
    "FrameReader",
    "Presentation",
    "Reader",
    "ReaderChoice",
    "ReaderName",
    "VideoInfo",
    "choose_reader",
    "index_of",
    "index_video",
    "open_reader",
    "pictures_of_grid",
    "probe",
    "stream_frames",
]

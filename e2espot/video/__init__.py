"""Video files as frames on a constant grid: ``probe``, ``open_reader``, ``stream_frames``."""

from e2espot.video.reader import FrameReader, VideoInfo, open_reader, probe
from e2espot.video.stream import Chunk, stream_frames

__all__ = ["Chunk", "FrameReader", "VideoInfo", "open_reader", "probe", "stream_frames"]

"""Pictures for the browser that it cannot decode itself: decoded by PyAV, and encoded again while they are shown.

A file is divided into fragments of some pictures. Each is a small MP4 of its own that begins with a keyframe at time
zero. The page asks for those around the picture on show and puts them on one time line, by Media Source Extensions::

    pictures     0 ... 24 | 25 ... 49 | 50 ...
    fragment      0        | 1         | 2
    on the page  0 s      | time_25   | time_50      the time of its first picture is added to all of a fragment
"""

from __future__ import annotations

import io
import threading
from fractions import Fraction
from typing import Any

import numpy as np

from e2espot.core.picture_options import PictureOptions
from e2espot.video.container import open_container, select_stream
from e2espot.video.index import VideoIndex
from e2espot.video.orientation import upright
from e2espot.video.preparation import preparation_of
from e2espot.video.pyav_reader import PyavDecoder

FRAGMENT_PICTURES = 25
"""Pictures of a fragment: few enough that the first one is on screen at once, enough that playing does not stop."""

_MAX_SIDE = 1280
"""Longest side of an encoded picture, so that encoding keeps up with playing."""
_CLOCK = Fraction(1, 90_000)
"""Seconds of one tick; a picture is off by half a tick at most, far less than the page tolerates."""
_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20", "g": str(FRAGMENT_PICTURES)}
_BT709, _LIMITED_RANGE = 1, 1
"""FFmpeg's numbers of the colours that browsers assume."""


def visible_pictures(index: VideoIndex) -> np.ndarray:
    """Bool ``(P,)``; pictures that are ever on screen: of several with one time stamp only the last one."""
    return np.append(np.diff(index.pts_P) > 0, True)


class FragmentEncoder:
    """Fragments of one file; the decoder keeps running from one to the next. Safe for threads."""

    def __init__(self, index: VideoIndex) -> None:
        """Prepare to encode; the file is opened when a fragment is first asked for.

        Args:
            index: The index of the file, all of which is readable.
        """
        self._index = index
        self._ranks = np.flatnonzero(visible_pictures(index))
        pts = index.pts_P[self._ranks]
        begins_s = [(int(tick) - int(pts[0])) * index.time_base for tick in pts]
        self._ticks = [round(begin_s / _CLOCK) for begin_s in [*begins_s, index.duration_s]]
        self._size, self._aspect_ratio = (0, 0), Fraction(0)
        self._decoder: PyavDecoder | None = None
        self._lock = threading.Lock()

    def encode(self, fragment: int) -> bytes:
        """One fragment as a fragmented MP4 with H.264.

        Raises:
            IndexError: There is no such fragment.
            VideoError: Its pictures cannot be decoded.
        """
        pictures = range(len(self._ranks))[fragment * FRAGMENT_PICTURES :][:FRAGMENT_PICTURES]
        if fragment < 0 or not pictures:
            raise IndexError(f"there is no fragment {fragment}")
        with self._lock:
            decoder = self._decoder = self._decoder or self._open()
            return self._encode(decoder, pictures)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._decoder is not None:
                self._decoder.close()
            self._decoder = None

    def _open(self) -> PyavDecoder:
        index = self._index
        with open_container(index.path) as container:
            stream: Any = select_stream(container, index.path, index.stream_index)
            ratio = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
        is_on_its_side = index.rotation_degrees in (90, 270)
        self._aspect_ratio = 1 / ratio if is_on_its_side else ratio
        scale = min(1.0, _MAX_SIDE / max(index.width, index.height))
        width, height = self._size = _even(index.width * scale), _even(index.height * scale)
        # A person judges the whole picture, so bars stay.
        preparation = preparation_of(index, PictureOptions(crop_bars="off"))
        return PyavDecoder(index, (height, width) if is_on_its_side else (width, height), preparation)

    def _encode(self, decoder: PyavDecoder, pictures: range) -> bytes:
        import av

        begin = self._ticks[pictures.start]
        duration_of = {self._ticks[k] - begin: self._ticks[k + 1] - self._ticks[k] for k in pictures}
        written = io.BytesIO()
        with av.open(written, "w", format="mp4", options={"movflags": "empty_moov+default_base_moof"}) as output:
            stream = self._add_stream(output)

            def mux(packets: list[Any]) -> None:
                for packet in packets:
                    # The muxer knows the duration of the last picture from here alone.
                    packet.duration = duration_of[packet.pts]
                    output.mux(packet)

            decoded = decoder.decode([int(self._ranks[k]) for k in pictures])
            for k, (_, picture_HWC) in zip(pictures, decoded, strict=True):
                upright_HWC = np.ascontiguousarray(
                    upright(picture_HWC, self._index.rotation_degrees, self._index.is_mirrored)
                )
                picture = av.VideoFrame.from_ndarray(upright_HWC, "rgb24").reformat(
                    format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE
                )
                picture.pts, picture.time_base = self._ticks[k] - begin, _CLOCK
                mux(stream.encode(picture))
            mux(stream.encode(None))
        return written.getvalue()

    def _add_stream(self, output: Any) -> Any:
        stream = output.add_stream("libx264", rate=25, options=_OPTIONS)
        stream.width, stream.height = self._size
        stream.pix_fmt, stream.profile = "yuv420p", "Baseline"
        stream.time_base = stream.codec_context.time_base = _CLOCK
        context = stream.codec_context
        context.sample_aspect_ratio = self._aspect_ratio
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        return stream


def _even(length: float) -> int:
    """The nearest even number: chroma is stored for every second line and column."""
    return max(2, 2 * round(length / 2))

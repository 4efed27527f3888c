"""Which frames of a video the statistics of its batch norms come from: short clips spread over all of it.

Decoding can only begin at a keyframe, so a clip begins at one where that is near::

    video        |----------------------------------------------------------------|
    keyframes    k         k         k         k         k         k         k
    even starts  |                |               |                |
    clips        [..]              [..]      [..]                  [..]
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np

from e2espot.inference.options import InferenceOptions
from e2espot.video import VideoIndex, pictures_of_grid, stream_clips
from e2espot.video.index import frames_of_file
from e2espot.video.parts import indexes_of

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """How much of a video is sampled."""

    num_clips: int = 16
    """Most clips."""
    clip_len: int = 16
    """Most frames of a clip: more than most networks look to each side, so that the ends count for little."""
    clips_per_batch: int = 4
    """Clips that are normalised together; those of a batch are spread over the video."""
    batch_pixels: int = 64 * 398 * 224
    """Most pixels of a batch, which bounds memory: clips of larger frames are shorter, down to four frames."""


class SampledClips:
    """Batches of clips, uint8 RGB ``BTHWC``, none if nothing decodes; to be iterated as often as wanted.

    The clips lie in a temporary file, so that one batch is in memory at a time: a network looks at large batches, and
    that decides how much memory a whole match needs. Clips that no temporary file can take stay in memory.

    Args:
        clips_THWC: In order, all of one shape.
        clips_per_batch: Those that are normalised together.
    """

    def __init__(self, clips_THWC: Iterable[np.ndarray], clips_per_batch: int) -> None:
        self._file = _temporary_file()
        self._shape: tuple[int, ...] = ()
        self._held: dict[int, np.ndarray] = {}
        count = 0
        for number, clip_THWC in enumerate(clips_THWC):
            self._shape = clip_THWC.shape
            if not self._write(number, clip_THWC):
                self._held[number] = clip_THWC
            count += 1
        self._batches = interleave(list(range(count)), clips_per_batch)

    def __iter__(self) -> Iterator[np.ndarray]:
        for numbers in self._batches:
            batch_BTHWC = np.empty((len(numbers), *self._shape), dtype=np.uint8)
            for number, clip_THWC in zip(numbers, batch_BTHWC, strict=True):
                if number in self._held:
                    clip_THWC[:] = self._held[number]
                else:
                    self._read(number, clip_THWC)
            yield batch_BTHWC
            del batch_BTHWC, clip_THWC  # or they are held while the next ones are read

    def _write(self, number: int, clip_THWC: np.ndarray) -> bool:
        """Whether the file took the clip: the disk may be full."""
        if self._file is None:
            return False
        try:
            self._file.seek(number * clip_THWC.nbytes)
            return self._file.write(clip_THWC.tobytes()) == clip_THWC.nbytes
        except OSError:
            return False

    def _read(self, number: int, clip_THWC: np.ndarray) -> None:
        assert self._file is not None
        self._file.seek(number * clip_THWC.nbytes)
        if self._file.readinto(clip_THWC.data) != clip_THWC.nbytes:
            raise OSError("the temporary file of sampled clips is shorter than what was written to it")


def _temporary_file() -> io.FileIO | None:
    """A file without a buffer, which would report a full disk later; None where there is no writable folder."""
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError:
        return None


def sample_clips(
    path: Path, fps: Fraction, size: tuple[int, int], options: InferenceOptions, sampling: SampleOptions | None = None
) -> SampledClips:
    """Batches of clips of a video, each with clips from all over it.

    PyAV reads them whatever reads the rest, so that they are the same for every reader. Clips with frames that do not
    decode are left out: that is reported when the whole video is read.

    Args:
        path: The video.
        fps: Rate of the grid.
        size: (width, height) of the frames.
        options: How the video is read.
        sampling: How much of it is read.

    Raises:
        VideoError: the file is missing or not a video, or its decoder died.
    """
    sampling = sampling or SampleOptions()
    indexes = indexes_of(path, **options.opening)
    chunks = stream_clips(
        path,
        spread_clips(indexes, fps, size, sampling),
        fps=fps,
        size=size,
        reader="pyav",
        **options.opening,
        pictures=options,
    )
    return SampledClips((chunk.frames_THWC for chunk in chunks), sampling.clips_per_batch)


def spread_clips(
    indexes: Sequence[VideoIndex], fps: Fraction, size: tuple[int, int], sampling: SampleOptions
) -> list[range]:
    """Frames of the clips, in order and without overlap, all of one length, each within one file."""
    parts = [frames_of_file(index, fps) for index in indexes]
    num_frames = parts[-1].stop
    clip_len = min(clip_len_of(size, sampling), max(map(len, parts)))
    if not clip_len:
        return []
    num_clips = max(1, min(sampling.num_clips, num_frames // clip_len))
    step = Fraction(num_frames - clip_len, max(1, num_clips - 1))
    keys = _keyframes(indexes, fps)
    clips: list[range] = []
    for number in range(num_clips):
        even = int(number * step)  # 100 frames, 4 clips of 16 -> 0, 28, 56, 84
        near = keys[np.abs(keys - even) <= step / 2]
        start = int(near[np.abs(near - even).argmin()]) if len(near) else even
        start = max(start, clips[-1].stop if clips else 0)
        part = next((part for part in parts if start in part), parts[-1])
        start = min(start, part.stop - clip_len)
        # At the end of a file there may be no room left behind the clip before.
        if start >= max(part.start, clips[-1].stop if clips else 0):
            clips.append(range(start, start + clip_len))
    return clips


def clip_len_of(size: tuple[int, int], sampling: SampleOptions) -> int:
    """Frames of a clip for frames of (width, height)."""
    fitting = sampling.batch_pixels // (sampling.clips_per_batch * size[0] * size[1])
    return min(sampling.clip_len, max(4, fitting))


def _keyframes(indexes: Sequence[VideoIndex], fps: Fraction) -> np.ndarray:
    """The first frame of the match at or after each point at which decoding can begin."""
    starts = [
        frames_of_file(index, fps).start
        + np.searchsorted(pictures_of_grid(index, fps), index.start_picture_S, side="left")
        for index in indexes
    ]
    return np.concatenate(starts)


def interleave(clips: list[_T], clips_per_batch: int) -> list[list[_T]]:
    """Batches of clips, each spread over the video.

    ::

        8 clips, 4 a batch -> [0 2 4 6], [1 3 5 7];  5 clips -> [0 2 4], [1 3]
    """
    num_batches = -(-len(clips) // clips_per_batch)
    return [clips[first::num_batches] for first in range(num_batches)]

"""A file in place of a stream: read as inference reads it, at its own pace or as fast as it goes."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from e2espot.inference.options import InferenceOptions
from e2espot.live.ring import FrameRing, LiveFrame

if TYPE_CHECKING:
    from e2espot.live.stream_reader import End

_CHUNK_LEN = 8


class FileReplay:
    """The thread that plays a file; the same interface as ``StreamReader``.

    Args:
        path: The file, or those of one match joined by ``+``.
        fps: Frames per second of the grid.
        size: (width, height) to scale to.
        options: How the file is read.
        ring_len: Frames that may wait for the spotter.
        is_paced: Frame k comes when the file would show it; else as soon as there is room.
    """

    def __init__(
        self,
        path: Path,
        *,
        fps: Fraction,
        size: tuple[int, int],
        options: InferenceOptions,
        ring_len: int,
        is_paced: bool = True,
    ) -> None:
        from e2espot.video.clock_gaps import log_gaps, seen_frames
        from e2espot.video.parts import indexes_of

        self._path, self._fps, self._size, self._options, self._is_paced = path, fps, size, options, is_paced
        indexes = indexes_of(path, **options.opening)
        log_gaps(indexes)
        self._indexes = indexes
        self._seen_K = np.concatenate([seen_frames(index, fps) for index in indexes])
        self.ring = FrameRing(ring_len, waits=not is_paced)
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self._stopped = threading.Event()
        self.error: BaseException | None = None
        self.end: End = "ended"
        self.reason = "the file ended"
        self.num_connections = 1

    def num_frames(self, fps: Fraction) -> int | None:
        """Frames of the whole file on a grid; None if it was stopped before."""
        from e2espot.video.reader import match_info

        return None if self._stopped.is_set() else match_info(self._path, self._indexes, fps).num_frames

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def stop(self) -> None:
        """End before the next frame."""
        self._stopped.set()
        self.ring.close()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread."""
        self._thread.join(timeout_s)

    def show_last(self) -> None:
        """Nothing to do: the frames of a file are known."""

    def _run(self) -> None:
        from e2espot.video import stream_frames

        try:
            begun_s, missing = time.monotonic(), list[range]() if self._options.allow_truncated else None
            chunks = stream_frames(
                self._path,
                fps=self._fps,
                size=self._size,
                chunk_len=_CHUNK_LEN,
                missing=missing,
                pictures=self._options,
                **self._options.opening,
            )
            for chunk in chunks:
                for number, frame_HWC in enumerate(chunk.frames_THWC, chunk.first_frame):
                    # The frame is known when the next picture is there.
                    due_s = begun_s + float((number + 1) / self._fps)
                    if self._is_paced:
                        self._stopped.wait(max(0.0, due_s - time.monotonic()))
                    if self._stopped.is_set():
                        return
                    is_lost = missing is not None and any(number in frames for frames in missing[-_CHUNK_LEN:])
                    if self._seen_K[number] and not is_lost:
                        shown_s = due_s - float(1 / self._fps) if self._is_paced else time.monotonic()
                        self.ring.put(LiveFrame(number, frame_HWC, shown_s))
        except BaseException as error:
            self.error = error
        finally:
            self.ring.close()

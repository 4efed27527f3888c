"""Frames of a stream in, final events out: the network, the head with its look-ahead, the causal calibration.

    frames -> ScoreStream -> rows that are final -> CausalCalibration -> events that are final
           -> StreamAdapter -> an adapted ScoreStream, which takes over

Frames that were not seen are black for the network and get no event, as in a file. After a longer gap the network
starts again, as at the start of a video: that costs nothing, however long the gap is.

Shapes: T frames, H height, W width, C colours, K classes.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections import deque
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch

from e2espot.core.adaptation import Adaptation, unlikeness
from e2espot.core.coverage import ReadCoverage
from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.events import Event
from e2espot.core.timeline import clock_text
from e2espot.inference.options import InferenceOptions
from e2espot.inference.score_stream import ScoreStream
from e2espot.live.adaptation import Handover, Scorer, StreamAdapter
from e2espot.live.ring import LiveFrame
from e2espot.models.spotter import Spotter
from e2espot.suppression.calibration import Calibration
from e2espot.suppression.causal_calibration import CausalCalibration

_LOG = logging.getLogger(__name__)

_FED_GAP_S = 5
"""Longest gap that the network sees as black frames."""
_PIECE = 1000


class LiveSpotter:
    """Takes the frames of a stream in order and returns events as soon as they are final.

    Args:
        spotter: In evaluation mode.
        calibration: How scores become events.
        options: How frames are processed; ``look_ahead`` is that of the head.
        delay_s: Seconds after its score within which an event is decided; None for the offline events.
        adaptation: How the spotter was adapted to the whole video before; None if it was not.
        adapter: Adapts the spotter while the stream is seen; None to leave it.
    """

    def __init__(
        self,
        spotter: Spotter,
        calibration: Calibration,
        options: InferenceOptions,
        delay_s: float | None,
        *,
        adaptation: Adaptation | None = None,
        adapter: StreamAdapter | None = None,
    ) -> None:
        self._spotter, self._options, self._networks = spotter, options, [spotter]
        self.adaptation, self._adapter = adaptation, adapter
        self._calibration = CausalCalibration(
            calibration,
            spotter.label_set,
            spotter.grid_fps,
            delay_s,
            rivals_strength=0.0 if adaptation is None else unlikeness(adaptation.distance),
        )
        self._columns = len(spotter.label_set)
        unlimited = delay_s is None and options.look_ahead is None
        self._fed_gap = 10**9 if unlimited else round(_FED_GAP_S * float(spotter.fps))
        self._stream: Scorer | None = None
        self._stride = 1
        """Every how many frames of the grid the network sees one."""
        self._pushed = 0
        """Frames that the stream has been given, those that were not seen included."""
        self._into_section = 0
        self._scored = 0
        """Frames whose scores are final."""
        self._rows_done = 0
        self._seen: deque[bool] = deque()
        """Whether each frame that is not scored yet was seen."""
        self._ranges: list[range] = []
        self._uses_mirror = options.flip
        self._settled_TK: np.ndarray | None = None
        """Rows of the frames that are not scored yet, if nothing came after them; None until they are needed."""
        self._late: list[Event] = []
        """Events of a section that ended between two pushes; the next push returns them."""
        self._ahead = 0
        """Rows that were settled and that the stream is still to give."""
        # The smoothing of ``peaks`` ends with the video, and cannot go on after that.
        self._can_settle_all = all(
            part.method != "peaks" for part in (calibration.suppression, *calibration.by_class.values())
        )

    def warm_up(self, piece: int) -> None:
        """Run the network once on empty frames: its first run takes seconds, in which a stream would not wait.

        Args:
            piece: Frames that will be processed at a time.
        """
        height, width = self._spotter.spec.height, self._spotter.spec.width
        stream = ScoreStream(self._spotter, self._options)
        with torch.inference_mode():
            for length in (piece, 16, piece):
                stream.add(torch.zeros(length, height, width, 3, dtype=torch.uint8))

    @property
    def num_frames(self) -> int:
        """Frames up to now."""
        return self._pushed

    @property
    def num_scored(self) -> int:
        """Frames whose scores are final."""
        return self._scored

    @property
    def decision_frames(self) -> int | None:
        """Frames from a final score to its event at most; None for no bound."""
        delay = self._calibration.delay
        return None if delay is None else -(-delay // self._spotter.grid_factor)

    @property
    def coverage(self) -> ReadCoverage | None:
        """What was seen, on the output grid; None for everything."""
        factor = self._spotter.grid_factor
        if not self._pushed or self._ranges == [range(self._pushed)]:
            return None
        return ReadCoverage(ranges=tuple(range(part.start * factor, part.stop * factor) for part in self._ranges))

    @property
    def num_held(self) -> int:
        """Entries that are held for frames that are not decided: bounded, however long the stream."""
        return len(self._seen)

    def push(self, frames: Sequence[LiveFrame]) -> list[Event]:
        """Process frames in order; numbers that are left out were not seen."""
        events: list[Event] = []
        start = 0
        for position, frame in enumerate(frames):
            if frame.frame != self._pushed + position - start:
                events += self._feed(np.stack([f.rgb_HWC for f in frames[start:position]])) if position > start else []
                start = position
                events += self._gap(frame.frame - self._pushed, frame.rgb_HWC)
        if start < len(frames):
            events += self._feed(np.stack([frame.rgb_HWC for frame in frames[start:]]))
        return events

    def settle(self, stop: int, *, decides_all: bool = False) -> list[Event]:
        """Make scores final by what has been pushed, since no picture comes and they can wait no longer.

        Pictures that come after all change nothing about these frames, and the others are scored as if there had been
        no pause:

        ::

            push       ... 95 96 97 98 99              then nothing for a while
            settle(97) ... 95 96                       the scores of a video that ends with frame 99
            push                 97 98 99 100 101 ...  those of the whole video

        Args:
            stop: The first frame that can still wait.
            decides_all: With ``stop`` beyond the last frame: events are decided by these scores alone, without those
                that the suppression would wait for.

        Returns:
            The events that became final.
        """
        events: list[Event] = []
        count = (min(stop, self._pushed) - self._scored) // self._stride * self._spotter.grid_factor
        if self._stream is not None and count > 0:
            if self._settled_TK is None:
                # A copy of the stream is finished; the stream itself goes on. Both share the weights.
                ending = copy.deepcopy(self._stream, {id(spotter): spotter for spotter in self._networks})
                with torch.inference_mode():
                    self._settled_TK = ending.finish()[self._ahead :]
            rows_TK, self._settled_TK = self._settled_TK[:count], self._settled_TK[count:]
            self._ahead += len(rows_TK)
            events += self._final_rows(rows_TK)
        if decides_all and self._scored == self._pushed and self._can_settle_all:
            events += self._calibration.finish()
        return events

    def finish(self, num_rows: int | None = None) -> list[Event]:
        """The events that the end of the stream makes final.

        Args:
            num_rows: Frames of the output grid in all; None for as many as there are.
        """
        self._stop_adapting()
        # A grid of twice the rate may have one frame more or less than twice those of the network.
        last = self._end_section(num_rows)
        return sorted([*last, *self._calibration.finish()], key=lambda event: (event.frame, event.label))

    def do_less(self) -> str | None:
        """Drop work, since the machine is too slow: adapting, then the mirror image, then every second frame.

        Returns:
            What is dropped, for the user; None if there is nothing left.
        """
        if self._adapter is not None:
            self._stop_adapting()
            return "the adaptation to it"
        if isinstance(self._stream, Handover) and not self._stream.is_over:
            self._late = self._end_section(None)
            return "the network that was not adapted"
        if self._uses_mirror:
            self._uses_mirror, self._settled_TK = False, None
            if self._stream is not None:
                self._stream.drop_mirror()
            return "the mirrored image"
        if self._stride == 1:
            self._late = self._end_section(None)
            self._stride = 2
            return "every second frame"
        return None

    def _feed(self, frames_THWC: np.ndarray) -> list[Event]:
        self._ranges[-1:] = _extended(self._ranges[-1:], range(self._pushed, self._pushed + len(frames_THWC)))
        events = self._run(frames_THWC, is_seen=True)
        if self._adapter is not None:
            self._adapter.add(frames_THWC)
            self._take_over(self._adapter.take())
        return events

    def _take_over(self, adapted: tuple[Spotter, Adaptation] | None) -> None:
        """Start the adapted network, which takes over after a window of the head."""
        if adapted is None:
            return
        self._adapter = None
        self._spotter, adaptation = adapted
        self._networks = [self._networks[0], self._spotter]
        overlap = self._spotter.spec.clip_len
        if self._stream is None:
            overlap = 0
        else:
            factor = self._spotter.grid_factor
            num_rows = len(self._seen) * factor + self._ahead
            self._stream = Handover(self._stream, self._new_stream(), num_rows=num_rows, overlap=overlap * factor)
        from_ms = round(1000 * (self._pushed + overlap) / float(self._spotter.fps))
        self.adaptation = dataclasses.replace(adaptation, from_ms=from_ms)
        self._calibration.set_rivals_strength(unlikeness(adaptation.distance))
        _LOG.info(
            "adapted to the stream from %s on: %.0f %% of its own statistics, distance %.3g from the training data",
            clock_text(Fraction(from_ms, 1000)),
            100 * adaptation.share,
            adaptation.distance,
        )

    def _stop_adapting(self) -> None:
        if self._adapter is not None:
            self._adapter.close()
            self._adapter = None

    def _gap(self, length: int, like_HWC: np.ndarray) -> list[Event]:
        """Frames that were not seen."""
        if self._adapter is not None:
            self._adapter.interrupt()
        if length <= self._fed_gap and self._stream is not None:
            return self._run(np.zeros((length, *like_HWC.shape), dtype=np.uint8), is_seen=False)
        events = self._end_section(None)
        while length:
            piece = min(length, _PIECE)
            self._pushed, self._scored, length = self._pushed + piece, self._scored + piece, length - piece
            rows = piece * self._spotter.grid_factor
            events += self._decide(
                np.zeros((rows, self._columns + self._spotter.spec.team), np.float32), [False] * rows
            )
        return events

    def _run(self, frames_THWC: np.ndarray, *, is_seen: bool) -> list[Event]:
        if self._stream is None:
            self._stream, self._into_section = self._new_stream(), 0
        self._settled_TK = None
        first = -self._into_section % self._stride
        self._seen.extend([is_seen] * len(frames_THWC))
        self._pushed, self._into_section = self._pushed + len(frames_THWC), self._into_section + len(frames_THWC)
        events, self._late = self._late, []
        shown_THWC = frames_THWC[first :: self._stride]
        if len(shown_THWC):
            with torch.inference_mode():
                rows_TK = self._stream.add(torch.from_numpy(shown_THWC))
            events = events + self._take_rows(rows_TK)
        return events

    def _new_stream(self) -> ScoreStream:
        return ScoreStream(self._spotter, dataclasses.replace(self._options, flip=self._uses_mirror))

    def _end_section(self, num_rows: int | None) -> list[Event]:
        events, self._late = self._late, []
        if self._stream is None:
            return events
        with torch.inference_mode():
            rows_TK = self._stream.finish()[self._ahead :]
        self._stream, self._settled_TK, self._ahead = None, None, 0
        rows_TK = rows_TK.repeat(self._stride, axis=0)[: len(self._seen) * self._spotter.grid_factor]
        if num_rows is not None and len(rows_TK):
            # One row more: the last one again. One row less: the last one is cut.
            rows_TK = rows_TK[np.minimum(np.arange(max(0, num_rows - self._rows_done)), len(rows_TK) - 1)]
        seen = np.repeat(list(self._seen), self._spotter.grid_factor)
        seen_T = seen[np.minimum(np.arange(len(rows_TK)), max(0, len(seen) - 1))] if len(seen) else seen
        self._scored += len(self._seen)
        self._seen.clear()
        return events + self._decide(rows_TK, seen_T.tolist())

    def _take_rows(self, rows_TK: np.ndarray) -> list[Event]:
        """Rows of the network's frames, without those that were settled, to rows of the grid."""
        settled = min(self._ahead, len(rows_TK))
        self._ahead -= settled
        return self._final_rows(rows_TK[settled:])

    def _final_rows(self, rows_TK: np.ndarray) -> list[Event]:
        count = len(rows_TK) // self._spotter.grid_factor * self._stride
        seen = [self._seen.popleft() for _ in range(min(count, len(self._seen)))]
        self._scored += len(seen)
        rows_TK = rows_TK.repeat(self._stride, axis=0)[: len(seen) * self._spotter.grid_factor]
        return self._decide(rows_TK, np.repeat(seen, self._spotter.grid_factor).tolist())

    def _decide(self, rows_TK: np.ndarray, seen: list[bool]) -> list[Event]:
        if not np.isfinite(rows_TK).all():
            raise CheckpointError("these weights give scores that are not finite; they are damaged")
        self._rows_done += len(rows_TK)
        seen_T = np.asarray(seen, dtype=bool)
        rows_TK = np.where(seen_T[:, None], rows_TK, 0)
        right_T = rows_TK[:, self._columns] if self._spotter.spec.team else None
        return self._calibration.add(rows_TK[:, : self._columns], seen_T=seen_T, right_T=right_T)


def _extended(last: list[range], more: range) -> list[range]:
    """The last range that was seen, with ``more``: one range if they touch."""
    if last and last[0].stop == more.start:
        return [range(last[0].start, more.stop)]
    return [*last, more]


def plan_latency(
    spotter: Spotter, calibration: Calibration, latency_s: float, *, compute_s: float = 0.1
) -> tuple[float, float, int]:
    """Divide the time from a picture to the line among what needs it.

    Args:
        spotter: Its backbone is ``halo`` frames late.
        calibration: The windows of its suppressions are all that these need.
        latency_s: From a picture to the lines of its events.
        compute_s: What computing takes.

    Returns:
        Look-ahead of the head in seconds, delay of the suppression in seconds, frames that are processed at a time.

    Raises:
        ConfigurationError: the network alone takes longer.
    """
    fps = float(spotter.fps)
    piece = max(1, min(16, round(latency_s * fps / 16)))
    # The picture after a frame shows that the frame is over, and the frames of a piece wait for its last one.
    fixed_s = (spotter.halo + piece + 1) / fps + compute_s
    left_s = latency_s - fixed_s
    if left_s < 0:
        raise ConfigurationError(
            f"latency is {latency_s:g} s; this network needs at least {fixed_s:.1f} s: its backbone sees "
            f"{spotter.halo} frames ahead",
            option="latency",
        )
    window_s = max(s.window_s for s in (calibration.suppression, *calibration.by_class.values()))
    delay_s = min(window_s, left_s * SUPPRESSION_SHARE)
    return min(left_s - delay_s, spotter.spec.clip_len / fps), delay_s, piece


SUPPRESSION_SHARE = 0.33
"""Share of the time that is left which the suppression gets, up to its window: a second more for the head is worth more
than one for the suppression (``docs/live.md``)."""

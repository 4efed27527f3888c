"""Frames of a stream in, final events out: scores with a look-ahead, the causal calibration, the adapted network.

    frames -> LiveScores -> rows that are final -> CausalCalibration -> events that are final
           -> StreamAdapter -> an adapted network, which takes over

Frames that were not seen get no event, as in a file.

Shapes: T frames, H height, W width, C colours, K classes.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from e2espot.core.adaptation import Adaptation, unlikeness
from e2espot.core.coverage import ReadCoverage
from e2espot.core.events import Event
from e2espot.core.timeline import clock_text
from e2espot.inference.options import InferenceOptions
from e2espot.live.adaptation import StreamAdapter
from e2espot.live.ring import LiveFrame
from e2espot.live.scores import FinalRows, LiveScores, contiguous_runs
from e2espot.models.spotter import Spotter
from e2espot.suppression.calibration import Calibration
from e2espot.suppression.causal_calibration import CausalCalibration

_LOG = logging.getLogger(__name__)

_FED_GAP_S = 5
"""Longest gap that the network sees as black frames."""


class LiveSpotter:
    """Takes the frames of a stream in order and returns events as soon as they are final.

    Args:
        spotter: In evaluation mode.
        calibration: How scores become events.
        options: How frames are processed; ``look_ahead`` is the most that the head may see, which weights may shorten.
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
        unlimited = delay_s is None and options.look_ahead is None
        self._scores = LiveScores(spotter, options, 10**9 if unlimited else round(_FED_GAP_S * float(spotter.fps)))
        self._calibration = CausalCalibration(
            calibration,
            spotter.label_set,
            spotter.grid_fps,
            delay_s,
            unlikeness=0.0 if adaptation is None else unlikeness(adaptation.distance),
        )
        self.adaptation, self._adapter = adaptation, adapter
        self._late: list[Event] = []
        """Events of a section that ended between two pushes; the next push returns them."""
        # The smoothing of ``peaks`` ends with the video, and cannot go on after that.
        self._can_settle_all = all(
            part.method != "peaks" for part in (calibration.suppression, *calibration.by_class.values())
        )

    def warm_up(self, piece: int) -> None:
        """Run the network once on empty frames, ``piece`` at a time: the first run takes seconds."""
        self._scores.warm_up(piece)

    @property
    def num_frames(self) -> int:
        """Frames up to now."""
        return self._scores.num_frames

    @property
    def num_scored(self) -> int:
        """Frames whose scores are final."""
        return self._scores.num_scored

    @property
    def num_held(self) -> int:
        """Frames that are held until their scores are final: bounded, however long the stream."""
        return self._scores.num_held

    @property
    def coverage(self) -> ReadCoverage | None:
        """What was seen, on the output grid; None for everything."""
        return self._scores.coverage

    @property
    def decision_frames(self) -> int | None:
        """Frames from a final score to its event at most; None for no bound."""
        delay = self._calibration.delay
        return None if delay is None else -(-delay // self._scores.spotter.grid_factor)

    def push(self, frames: Sequence[LiveFrame]) -> list[Event]:
        """Process frames in order; numbers that are left out were not seen."""
        events, self._late = self._late, []
        for part in contiguous_runs([frame.frame for frame in frames]):
            frames_THWC = np.stack([frame.rgb_HWC for frame in frames[part]])
            gap = frames[part.start].frame - self._scores.num_frames
            if gap:
                if self._adapter is not None:
                    self._adapter.interrupt()
                events += self._decide(self._scores.skip(gap, frames_THWC.shape[1:]))
            events += self._decide(self._scores.add(frames_THWC))
            self._adapt(frames_THWC)
        return events

    def settle(self, stop: int, *, decides_all: bool = False) -> list[Event]:
        """Make scores final by what has been pushed, since no picture comes and they can wait no longer.

        Pictures that come after all change nothing about these frames, and the others are scored as if there had been
        no pause; :mod:`e2espot.live.section` has an example.

        Args:
            stop: The first frame that can still wait.
            decides_all: With ``stop`` beyond the last frame: events are decided by these scores alone, without those
                that the suppression would wait for.

        Returns:
            The events that became final.
        """
        events = self._decide(self._scores.settle(stop))
        if decides_all and self.num_scored == self.num_frames and self._can_settle_all:
            events += self._calibration.finish()
        return events

    def finish(self, num_rows: int | None = None) -> list[Event]:
        """The events that the end of the stream makes final.

        Args:
            num_rows: Frames of the output grid in all; None for as many as there are.
        """
        self._stop_adapting()
        # A grid of twice the rate may have one frame more or less than twice those of the network.
        events = [*self._late, *self._decide(self._scores.end_section(num_rows)), *self._calibration.finish()]
        self._late = []
        return sorted(events, key=lambda event: (event.frame, event.label))

    def do_less(self) -> str | None:
        """Drop work, since the machine is too slow: adapting, then the mirror image, then every second frame.

        Returns:
            What is dropped, for the user; None if there is nothing left.
        """
        if self._adapter is not None:
            self._stop_adapting()
            return "the adaptation to it"
        if self._scores.is_handing_over:
            self._late += self._decide(self._scores.end_section())
            return "the network that was not adapted"
        if self._scores.drop_mirror():
            return "the mirrored image"
        rows = self._scores.drop_every_second_frame()
        if rows is None:
            return None
        self._late += self._decide(rows)
        return "every second frame"

    def _decide(self, parts: list[FinalRows]) -> list[Event]:
        """The events that these scores make final."""
        columns, events = len(self._scores.spotter.label_set), list[Event]()
        for part in parts:
            right_T = part.rows_TK[:, columns] if self._scores.spotter.spec.team else None
            events += self._calibration.add(part.rows_TK[:, :columns], seen_T=part.seen_T, right_T=right_T)
        return events

    def _adapt(self, frames_THWC: np.ndarray) -> None:
        """Show frames to the adapter; once it has measured enough of them, the adapted network takes over."""
        if self._adapter is None:
            return
        self._adapter.add(frames_THWC)
        adapted = self._adapter.take()
        if adapted is None:
            return
        self._adapter = None
        spotter, adaptation = adapted
        first_frame = self.num_frames + self._scores.hand_over(spotter)
        from_ms = round(1000 * first_frame / float(spotter.fps))
        self.adaptation = dataclasses.replace(adaptation, from_ms=from_ms)
        self._calibration.set_unlikeness(unlikeness(adaptation.distance))
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

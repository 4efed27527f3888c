"""One stream from its first picture to its end: reads, spots, passes events on, and writes the results."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from e2espot.core.events import Event
from e2espot.core.timeline import clock_text
from e2espot.core.wording import counted
from e2espot.formats.filenames import RESULTS_FILE
from e2espot.formats.soccernet import write_predictions
from e2espot.live.lines import LiveEvent, live_event, read_events
from e2espot.live.ring import FrameRing
from e2espot.live.silence import Silence
from e2espot.live.sinks import EventFile, Sink
from e2espot.live.spotter import LiveSpotter
from e2espot.live.stream_reader import End

_LOG = logging.getLogger(__name__)

EVENTS_FILE = "events.jsonl"
_MOST_ARRIVALS = 15_000
"""Frames whose arrival is remembered: ten minutes at 25 a second."""
_CATCH_UP = 16
"""Most frames that are processed at a time."""


class Reader(Protocol):
    """What reads the frames: a stream, or a file in its place."""

    ring: FrameRing
    error: BaseException | None
    end: End
    reason: str

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End soon."""

    def join(self, timeout_s: float) -> None:
        """Wait for the end of its thread."""

    def show_last(self) -> None:
        """No picture comes: put the frames that show the last one into the ring, without waiting for the next."""

    def num_frames(self, fps: Fraction) -> int | None:
        """Frames of the whole stream on a grid; None if that is not known better than by counting."""


@dataclass(kw_only=True)
class Match:
    """What is known of the match that the stream shows."""

    kickoff_wall_s: float | None = None
    """Kick-off in seconds since 1970; None without one."""
    kickoff_ms: int | None = None
    """Position of the kick-off in the stream."""


@dataclass(kw_only=True)
class LiveSession:
    """Runs a spotter over a stream."""

    reader: Reader
    """Started by ``run``."""
    spotter: LiveSpotter
    """Gives the events."""
    fps: Fraction
    """Rate of the grid on which events are counted."""
    network_fps: Fraction
    """Rate of the frames that the network sees."""
    out: Path
    """Folder for ``events.jsonl`` and the results."""
    name: str
    """Name of the results."""
    sinks: Sequence[Sink] = ()
    """Where events of at least ``threshold`` go, in addition to ``events.jsonl``."""
    threshold: float = 0.2
    """Smallest confidence that the sinks get."""
    piece: int = 1
    """Frames that are processed at a time."""
    latency_s: float | None = None
    """Time from a picture's arrival after which its events are decided, also if no picture comes any more; None to
    wait for pictures."""
    has_wall_clock: bool = True
    """Whether pictures arrive when they are taken."""
    match: Match = field(default_factory=Match)
    """Kick-off."""
    is_paced: bool = True
    """Whether frames come at their own pace, so that falling behind means something."""
    on_frame: Callable[[int], None] = lambda _: None
    """Called with the number of frames up to now."""
    num_events: int = 0
    """Events up to now."""
    counts: Counter[str] = field(default_factory=Counter)
    """Events of at least ``threshold`` by class."""

    def __post_init__(self) -> None:
        """Open ``events.jsonl``.

        Raises:
            ConfigurationError: the folder holds the events of another stream.
        """
        self._file = EventFile(self.out / EVENTS_FILE)
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=_MOST_ARRIVALS)
        self._wall_offset_s = time.time() - time.monotonic()
        self._silence = Silence(self.latency_s, self.spotter.decision_frames, self.network_fps)
        self._last_slow_s = 0.0
        self._lost_before = 0

    def run(self) -> End:
        """Until the stream is over, or ``stop`` is called; writes the results.

        Raises:
            KeyboardInterrupt: the user has had enough; the results are written.
            E2ESpotError: the weights or the file are damaged.
        """
        if self.is_paced:
            self.spotter.warm_up(self.piece)
        self.reader.start()
        interrupted: KeyboardInterrupt | None = None
        try:
            while not self.reader.ring.is_over:
                self._step()
        except KeyboardInterrupt as error:
            interrupted = error
            self.reader.stop()
            _LOG.info("stopping; the results are written")
        self.reader.join(10.0)
        if self.reader.error is not None:
            self._finish()
            raise self.reader.error
        self._finish()
        if interrupted is not None:
            raise interrupted
        return self.reader.end

    def kick_off(self) -> None:
        """The match begins now: events get its time from here on."""
        self.match.kickoff_ms = round(
            1000 * Fraction(self.spotter.num_frames + len(self.reader.ring)) / self.network_fps
        )
        _LOG.info("kick-off at %s", clock_text(Fraction(self.match.kickoff_ms, 1000)))

    def _step(self) -> None:
        ring = self.reader.ring
        # When frames wait already, take more of them at once, which costs less for each.
        count = min(max(self.piece, len(ring)), max(self.piece, _CATCH_UP)) if self.is_paced else self.piece
        frames = ring.take(count, min(0.5, float(2 * self.piece / self.network_fps)) if self.is_paced else 3600.0)
        if not frames:
            self._settle()
            return
        self._silence.ends(frames[0].arrival_s, is_gap=frames[0].frame > self.spotter.num_frames)
        self._arrivals.extend((frame.frame, frame.arrival_s) for frame in frames)
        self._pass_on(self.spotter.push(frames))
        self.on_frame(self.spotter.num_frames)
        if self.is_paced:
            self._keep_up()

    def _settle(self) -> None:
        """Decide the events that can wait no longer for pictures that do not come."""
        now_s, scored = time.monotonic(), self.spotter.num_scored
        pending: list[tuple[int, float]] = []
        for frame, arrival_s in reversed(self._arrivals):
            if frame < scored and pending:
                break
            pending.append((frame, arrival_s))  # the newest one at least
        if not self._silence.is_over_time(pending, now_s):
            return
        self.reader.show_last()
        stop, decides_all = self._silence.due(pending, now_s)
        self._pass_on(self.spotter.settle(stop, decides_all=decides_all))

    def _keep_up(self) -> None:
        """Do less when the ring fills up: at half of it, and again when that was not enough after some seconds."""
        ring, now_s = self.reader.ring, time.monotonic()
        if ring.num_lost > self._lost_before:
            if not self._lost_before:
                _LOG.warning("this machine is too slow: frames are left out, and count as not seen")
            self._lost_before = ring.num_lost
        if len(ring) > ring.length // 2 and now_s - self._last_slow_s > _SETTLING_S:
            dropped = self.spotter.do_less()
            self._last_slow_s = now_s
            if dropped is not None:
                _LOG.warning("this machine is too slow for the stream: leaving out %s from now on", dropped)

    def _pass_on(self, events: Sequence[Event]) -> None:
        if not events:
            return
        now_s = time.monotonic()
        lines = [self._line(event, now_s) for event in events]
        self._file.add(lines)
        self.num_events += len(lines)
        likely = [line for line in lines if line.confidence >= self.threshold]
        self.counts.update(line.label for line in likely)
        for sink in self.sinks:
            sink.add(likely)

    def _line(self, event: Event, now_s: float) -> LiveEvent:
        arrival_s = self._arrival_of(int(event.frame * self.network_fps / self.fps))
        if self.match.kickoff_ms is None and self.match.kickoff_wall_s is not None and arrival_s is not None:
            before_s = arrival_s + self._wall_offset_s - self.match.kickoff_wall_s
            self.match.kickoff_ms = event.position_ms - round(1000 * before_s)
        return live_event(
            event,
            arrival_s=arrival_s if self.is_paced else None,
            now_s=now_s,
            wall_offset_s=self._wall_offset_s if self.has_wall_clock else None,
            kickoff_ms=self.match.kickoff_ms,
        )

    def _arrival_of(self, frame: int) -> float | None:
        """When the picture of a frame arrived; the search begins at the newest."""
        for number, arrival_s in reversed(self._arrivals):
            if number <= frame:
                return arrival_s if number == frame else None
        return None

    def _finish(self) -> None:
        """Decide the rest, and write the results from the lines on the disk."""
        self._pass_on(self.spotter.finish(self.reader.num_frames(self.fps)))
        self._file.close()
        for sink in self.sinks:
            sink.close()
        if self.reader.end == "refused" and not self.num_events:
            (self.out / EVENTS_FILE).unlink()  # so that another try may use the folder
            return
        coverage = self.spotter.coverage
        path = self.out / self.name / RESULTS_FILE
        write_predictions(
            path,
            url_local=self.name,
            events=list(read_events(self.out / EVENTS_FILE, self.fps)),
            fps=self.fps,
            coverage=None if coverage is None else {1: coverage},
            adaptations=None if self.spotter.adaptation is None else {1: (self.spotter.adaptation,)},
        )
        seconds = Fraction(self.spotter.num_frames) / self.network_fps
        _LOG.info("%s in %s -> %s", counted(self.num_events, "event"), clock_text(seconds), path)


_SETTLING_S = 5.0
"""Time that dropping some work gets to show, before more is dropped."""

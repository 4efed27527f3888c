"""Exported spotters: the graphs of a folder that ``e2espot export`` wrote, run without torch.

The answers are those of the run. What is the same for all networks, such as frames, windows and the grid of
the scores, is the code that runs of torch use too.

Shapes: T frames of a chunk, H height, W width, D features.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from e2espot.core.adaptation import Adaptation
from e2espot.core.device import Precision
from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.core.timeline import parse_fps
from e2espot.inference.engines import Graph, load_graph
from e2espot.inference.exported_spec import SPEC_FILE, ExportedSpec, read_exported_spec
from e2espot.inference.options import InferenceOptions
from e2espot.inference.streaming_head import streaming_head
from e2espot.inference.video_scores import VideoToScore, blackened, host_chunks, scores_of_video
from e2espot.inference.views import ScoreViews, View, score_chunks
from e2espot.suppression.calibration import Calibration

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportedSpotter:
    """A folder that ``e2espot export`` wrote. Its graphs are loaded when they are first used."""

    folder: Path
    """The folder."""
    spec: ExportedSpec
    """Its ``spotter.json``."""

    @property
    def label_set(self) -> LabelSet:
        """Classes of the scores."""
        return LabelSet(self.spec.classes)

    @property
    def fps(self) -> Fraction:
        """Rate of the frames that it sees."""
        return parse_fps(self.spec.fps)

    @property
    def grid_factor(self) -> int:
        """Rows of the scores per frame."""
        return self.spec.grid_factor

    @property
    def grid_fps(self) -> Fraction:
        """Rate of the rows of the scores."""
        return self.fps * self.grid_factor

    @property
    def has_team(self) -> bool:
        """Whether a last column of the scores is the probability that the right team acts."""
        return self.spec.team

    @property
    def calibration(self) -> Calibration:
        """How its scores become events."""
        return Calibration.from_json(self.spec.calibration)

    @cached_property
    def head_graph(self) -> Graph:
        """The head, in fp32 whatever the backbone is in: heads are cheap and decide the scores.

        Raises:
            CheckpointError: the file is missing, damaged, or not of this folder.
            ConfigurationError: the engine is not installed.
        """
        return self._graph("head", {"features": (None, self.spec.feature_dim)}, "fp32")

    def backbone_graph(self, precision: Precision) -> Graph:
        """The backbone in a number format; ``auto`` is the one that the engine chooses for this CPU.

        Raises:
            CheckpointError: as :attr:`head_graph`.
            ConfigurationError: the engine is not installed, or has no such number format.
        """
        loaded: dict[Precision, Graph] = self.__dict__.setdefault("_backbones", {})
        if precision not in loaded:
            spec = self.spec
            inputs = {
                "frames": (spec.chunk_len, spec.height, spec.width, 3),
                "real": (spec.chunk_len,),
                **{state.name: state.shape for state in spec.states},
            }
            loaded[precision] = self._graph("backbone", inputs, precision)
        return loaded[precision]

    def _graph(self, name: str, inputs: Mapping[str, tuple[int | None, ...]], precision: Precision) -> Graph:
        graph = load_graph(self.folder / self.spec.graph_file(name), self.spec.format, precision)
        if dict(graph.shapes) != inputs:
            raise CheckpointError(f"{self.folder}: its {name} does not fit its {SPEC_FILE}; export the spotter again")
        return graph

    def __getstate__(self) -> dict[str, object]:
        """Without the loaded graphs, which cannot be sent to another process."""
        return {"folder": self.folder, "spec": self.spec}

    def adapt(self, path: Path, options: InferenceOptions) -> tuple[ExportedSpotter, Adaptation | None]:
        """The spotter itself: its batch norms and the size of its frames are fixed.

        Raises:
            ConfigurationError: the options ask for something else.
        """
        size = options.frame_size()
        if size not in (None, (self.spec.width, self.spec.height)):
            raise ConfigurationError(
                f"an exported spotter sees frames of the size that it was exported for, {self.spec.width}x"
                f"{self.spec.height}; leave size at 'trained', or export the run again",
                option="size",
            )
        if options.look_ahead is not None and options.look_ahead_frames(self.fps) != self.spec.look_ahead:
            raise ConfigurationError(
                "the look-ahead of an exported spotter is fixed; use the run itself, or leave look_ahead out",
                option="look_ahead",
            )
        if options.adapt == "statistics":
            raise ConfigurationError(
                "an exported spotter is not adapted to the video; use the run itself, or adapt='none'", option="adapt"
            )
        if options.adapt == "auto":
            _LOG.info(
                "%s: not adapted to the video: batch norms of this exported spotter: %s", path.name, self.spec.norms
            )
        return self, None

    def score(
        self, video: VideoToScore, options: InferenceOptions, progress: Callable[[int, int], None] | None
    ) -> np.ndarray:
        """Scores of every frame, float32 ``(grid_factor * T, columns)``."""
        skipped = video.missing if options.allow_truncated else None
        backend = "pyav" if options.reader == "auto" else options.reader
        if backend == "dali":
            raise ConfigurationError("an exported spotter runs on the CPU; choose the reader auto", option="reader")
        size = (self.spec.width, self.spec.height)
        chunks = blackened(host_chunks(video.path, self.fps, size, options, backend, skipped), video.seen_T, _blacken)
        return self.score_frames(chunks, video.num_frames, options, progress=progress)

    def score_frames(
        self,
        chunks_THWC: Iterable[np.ndarray],
        num_frames: int,
        options: InferenceOptions,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Scores of decoded frames, as ``e2espot.inference.predict.score_frames`` gives them with a run.

        Args:
            chunks_THWC: uint8 RGB, in order; together they hold ``num_frames`` frames.
            num_frames: Frames of the whole video.
            options: How the frames are processed.
            progress: Called with (frames done, frames in all).
        """
        mirrors: tuple[Callable[[np.ndarray], np.ndarray] | None, ...] = (None, lambda chunk: chunk[:, :, ::-1])
        views = [
            View(
                _Features(self.backbone_graph(options.precision), self.spec),
                streaming_head(self, self.spec.look_ahead),
                mirror,
                self.has_team,
            )
            for mirror in mirrors[: 2 if options.flip else 1]
        ]
        return score_chunks(ScoreViews(views), chunks_THWC, num_frames, progress)

    def stream_features(self, chunks_THWC: Iterable[np.ndarray], precision: Precision = "fp32") -> Iterator[np.ndarray]:
        """Yield the features ``(t, D)`` of decoded frames, piece by piece."""
        features = _Features(self.backbone_graph(precision), self.spec)
        for chunk_THWC in chunks_THWC:
            yield from features.add(chunk_THWC)
        yield from features.finish()

    def window_scores(self, features_TD: np.ndarray) -> np.ndarray:
        """Rows of one window, as in ``Spotter.scores``."""
        return self.head_graph.run({"features": features_TD})["scores"]

    def window_scores_ahead(self, window_TD: np.ndarray, frames: range, look_ahead: int) -> np.ndarray:
        """Rows of some frames of a window, as in ``Spotter.scores_ahead``, for the look-ahead that is in the graph."""
        assert look_ahead == self.spec.look_ahead
        rows = slice(self.grid_factor * frames.start, self.grid_factor * frames.stop)
        return self.window_scores(window_TD)[rows]

    def join(self, before_TD: np.ndarray, after_TD: np.ndarray) -> np.ndarray:
        """Features one after the other."""
        return np.concatenate((before_TD, after_TD))


def load_exported(folder: Path) -> ExportedSpotter:
    """The spotter of a folder that ``e2espot export`` wrote.

    Raises:
        CheckpointError: the folder has no readable ``spotter.json``.
    """
    return ExportedSpotter(folder, read_exported_spec(folder))


def spot_exported(
    spotter: ExportedSpotter,
    path: Path,
    options: InferenceOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Compute the scores of every frame of a video file, as ``spot_video`` does with a run.

    Raises:
        VideoError: as :func:`e2espot.inference.predict.spot_video`.
        CheckpointError: a graph is damaged, or gives scores that are not finite.
        ConfigurationError: an option that an exported spotter does not have, or its engine is not installed.
    """
    return scores_of_video(spotter, path, options or InferenceOptions(), progress)


def _blacken(chunk_THWC: np.ndarray, frames_T: np.ndarray) -> np.ndarray:
    chunk_THWC = chunk_THWC.copy()
    chunk_THWC[frames_T] = 0
    return chunk_THWC


class _Features:
    """The backbone's graph, to which a video is given in chunks of any length.

    The graph takes ``chunk_len`` frames at a time, so frames wait until there are as many; the last call is filled up
    with padding. With halo 1 and chunk_len 4, p padding and - features that mean nothing::

        frames given     0 1 2 | 3 4 5 | end
        graph                    p 0 1 2       3 4 5 p
        features                 - - 0 1       2 3 4 5
    """

    def __init__(self, graph: Graph, spec: ExportedSpec) -> None:
        self._graph, self._chunk_len, self._halo = graph, spec.chunk_len, spec.halo
        self._states = {state.name: np.zeros(state.shape, np.float32) for state in spec.states}
        self._frames_THWC = np.zeros((spec.chunk_len, spec.height, spec.width, 3), np.uint8)
        self._real_T = np.zeros(spec.chunk_len, np.float32)
        self._filled = 0
        """Frames of the next call that are there."""
        self._dropping = 2 * spec.halo
        """Features that mean nothing and are still to come."""
        self._owed = 0
        """Frames that were given, less features that were yielded."""
        self._began = False

    def add(self, chunk_THWC: np.ndarray) -> Iterator[np.ndarray]:
        """Take the next frames and yield the features ``(t, D)`` that are ready."""
        if not self._began:
            self._began = True
            yield from self._push(None, self._halo)
        self._owed += len(chunk_THWC)
        yield from self._push(chunk_THWC, len(chunk_THWC))

    def finish(self) -> Iterator[np.ndarray]:
        """Yield the remaining features."""
        while self._owed:
            yield from self._push(None, self._chunk_len - self._filled)

    def _push(self, chunk_THWC: np.ndarray | None, count: int) -> Iterator[np.ndarray]:
        """Append ``count`` frames, padding for None, and run the graph whenever there are enough."""
        taken = 0
        while taken < count:
            step = min(count - taken, self._chunk_len - self._filled)
            rows = slice(self._filled, self._filled + step)
            self._frames_THWC[rows] = 0 if chunk_THWC is None else chunk_THWC[taken : taken + step]
            self._real_T[rows] = chunk_THWC is not None
            taken, self._filled = taken + step, self._filled + step
            if self._filled == self._chunk_len:
                yield from self._run()

    def _run(self) -> Iterator[np.ndarray]:
        outputs = self._graph.run({"frames": self._frames_THWC, "real": self._real_T, **self._states})
        self._states = {name: outputs[f"new_{name}"] for name in self._states}
        self._filled = 0
        features_TD = outputs["features"][self._dropping :][: self._owed]
        self._dropping = max(0, self._dropping - self._chunk_len)
        self._owed -= len(features_TD)
        if len(features_TD):
            yield features_TD

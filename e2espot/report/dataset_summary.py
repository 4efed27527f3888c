"""What is in a dataset, before training on it: videos, labels, and what looks wrong.

dataset folder -> find_games -> probe, label rows -> VideoSummary ... -> DatasetSummary -> text, JSON, dataset_page
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from e2espot.core.annotated import AnnotatedHalves, AnnotatedRanges
from e2espot.core.annotated_classes import AnnotatedClasses
from e2espot.core.errors import AnnotationError
from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LABEL_SETS, LabelSet
from e2espot.core.timeline import DEFAULT_FPS, frame_of_position_ms, game_time, parse_game_time
from e2espot.core.wording import counted
from e2espot.formats.annotated_field import read_annotated, read_annotated_classes
from e2espot.formats.filenames import BALL_LABEL_FILE
from e2espot.formats.game import Game
from e2espot.formats.games import find_games, lack_of_labels, loose_games
from e2espot.formats.label_documents import read_label_document
from e2espot.formats.soccernet_json import read_row
from e2espot.formats.splits import split_of_games
from e2espot.report.measured_files import FileLook, Measured

_MAX_SHIFT_S = 2
"""A clock and a position that differ by more are not two roundings of one time."""


@dataclass(frozen=True, kw_only=True)
class VideoSummary:
    """One video with its labels."""

    game: str
    """Name of the game."""
    half: int
    """1 or 2."""
    split: str
    """Split of the game; empty for none."""
    path: str
    """Path of the video; empty where labels name a half that has none."""
    minutes: float
    """Length of the video; 0 if it cannot be read."""
    fps: float
    """Pictures a second of the file, on average."""
    width: int
    """Width of the pictures in pixels."""
    height: int
    """Height of the pictures in pixels."""
    dim: int
    """Values of a row, where ``path`` is a feature file and ``fps`` its rows a second; 0 for a video."""
    classes: dict[str, int]
    """Class -> number of its labels."""
    annotated: str
    """The annotated stretches; empty for the whole video."""
    annotated_minutes: float
    """Length of the annotated stretches within the video."""
    annotated_labels: dict[str, int]
    """Class -> number of its labels within the annotated stretches."""
    annotated_classes: tuple[str, ...]
    """The annotated classes; empty for all of them."""
    problems: tuple[str, ...]
    """What looks wrong, one line each."""
    events: tuple[ScoredEvent, ...] = field(default=(), repr=False)
    """The labels; not in the JSON."""

    @property
    def num_labels(self) -> int:
        """Number of labels."""
        return sum(self.classes.values())

    def to_json(self) -> dict[str, Any]:
        """Everything but the events themselves."""
        fields = {name: value for name, value in dataclasses.asdict(self).items() if name != "events"}
        return {**fields, "problems": list(self.problems), "labels": self.num_labels}


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """All videos of a dataset."""

    videos: tuple[VideoSummary, ...]
    """In order of games and halves."""

    @property
    def classes(self) -> dict[str, int]:
        """Class -> labels, the most frequent first."""
        total = Counter[str]()
        for video in self.videos:
            total.update(video.classes)
        return dict(total.most_common())

    def text(self) -> str:
        """Tables for a terminal."""
        halves = sorted({1, 2, *(video.half for video in self.videos)})
        heads = "".join(f"{f'half {half}':>8}" for half in halves)
        problems = [f"  {line}" for line in self.spellings()]
        problems += [f"  {video.game}, half {video.half}: {line}" for video in self.videos for line in video.problems]
        lines = [
            self._totals(),
            "",
            f"{'split':<10} {'half':>4} {'minutes':>8} {self._of_files('rows/s', 'pictures/s'):>10} {'size':>12} "
            f"{'labels':>7} {'a minute':>8}  game",
            *map(self._line_of_video, self.videos),
            "",
            f"{'class':<26} {'labels':>7}{heads} {'a minute':>8}",
            *(self._line_of_class(name, halves) for name in self.classes),
            "",
            "nothing looks wrong" if not problems else "look at:",
            *problems,
        ]
        return "\n".join(lines)

    def _totals(self) -> str:
        minutes = sum(video.minutes for video in self.videos)
        annotated = sum(video.annotated_minutes for video in self.videos)
        games = counted(len({video.game for video in self.videos}), "game")
        return (
            f"{games}, {counted(len(self.videos), self._of_files('feature file', 'video'))}, {minutes:.1f} minutes"
            + (f" ({annotated:.1f} annotated)" if annotated != minutes else "")
            + f", {counted(sum(self.classes.values()), 'label')}"
            + (f" ({self._rate(self.videos):.1f} a minute)" if annotated else "")
        )

    def _line_of_video(self, video: VideoSummary) -> str:
        rate = f"{self._rate([video]):.1f}" if video.annotated_minutes else "-"
        size = f"{video.width}x{video.height}" if video.width else (f"{video.dim} values" if video.dim else "-")
        return (
            f"{video.split or '-':<10} {video.half:>4} {video.minutes:>8.1f} {video.fps:>10.3f} {size:>12} "
            f"{video.num_labels:>7} {rate:>8}  {video.game}"
            + _annotated_text(video)
            + (f" (annotated classes: {', '.join(video.annotated_classes)})" if video.annotated_classes else "")
        )

    def _line_of_class(self, name: str, halves: Sequence[int]) -> str:
        """Labels of a class: in all, in each half, and for each minute in which the class was annotated."""
        counts = [sum(video.classes.get(name, 0) for video in self.videos if video.half == half) for half in halves]
        of_class = [video for video in self.videos if not video.annotated_classes or name in video.annotated_classes]
        rate = f"{self._rate(of_class, name):.2f}" if any(video.annotated_minutes for video in of_class) else "-"
        return f"{name:<26} {self.classes[name]:>7}{''.join(f'{of_half:>8}' for of_half in counts)} {rate:>8}"

    def spellings(self) -> list[str]:
        """Classes that are spelt in two ways, one line each: here, or here and in the built-in sets."""
        return [line for name in self.classes if (line := _spelling_problem(name, LabelSet(tuple(self.classes))))]

    def _of_files(self, features: str, videos: str) -> str:
        """A word for what the files are."""
        return features if any(video.dim for video in self.videos) else videos

    def _rate(self, videos: Sequence[VideoSummary], name: str | None = None) -> float:
        """Labels of a class, or of all, for each annotated minute."""
        labels = sum(
            count for video in videos for label, count in video.annotated_labels.items() if name in (None, label)
        )
        return labels / sum(video.annotated_minutes for video in videos)

    def to_json(self) -> dict[str, Any]:
        """``{"classes": {...}, "problems": [...], "videos": [...]}``."""
        return {
            "classes": self.classes,
            "problems": self.spellings(),
            "videos": [video.to_json() for video in self.videos],
        }


def _spelling_problem(name: str, classes: LabelSet) -> str | None:
    other = classes.other_spelling(name)
    if other is not None:
        return f"classes {name!r} and {other!r}: if they are one, rename one with a map" if name < other else None
    if any(name in known for known in LABEL_SETS.values()):
        return None
    spelt = [(title, known.other_spelling(name)) for title, known in LABEL_SETS.items()]
    lines = [f"class {name!r} is spelt {known!r} in {title}; a map renames it" for title, known in spelt if known]
    return lines[0] if lines else None


def _annotated_text(video: VideoSummary) -> str:
    if not video.annotated:
        return ""
    outside = video.num_labels - sum(video.annotated_labels.values())
    return f" (annotated: {video.annotated}" + (f"; {counted(outside, 'label')} outside)" if outside else ")")


def summarise(
    root: Path,
    *,
    split: str | None = None,
    resolution: str = "224p",
    label_file: str = BALL_LABEL_FILE,
    fps: Fraction | None = None,
    progress: Callable[[int], object] | None = None,
) -> DatasetSummary:
    """Look at every game of a dataset; a broken video, feature file or label becomes a line, not an error.

    Args:
        root: Dataset folder.
        split: Name of a split; None for every game.
        resolution: Which of a game's files is its video, or the name of its features.
        label_file: Name of the label files.
        fps: Rows a second of features where neither their JSON nor their name says it.
        progress: Called with the number of further games that are done.

    Raises:
        ConfigurationError: no such folder or split.
    """
    games = find_games(root, split=split, resolution=resolution, label_file=label_file, need_videos=False)
    if not games and split is None and lack_of_labels(root):
        games = loose_games(root)
    splits = split_of_games(root) if root.is_dir() else {}
    look = FileLook(resolution=resolution, fps=fps)
    videos: list[VideoSummary] = []
    for game in games:
        if game.videos or game.labels_path is not None:
            videos += _summarise_game(game, game.split or splits.get(game.name, ""), look)
        if progress is not None:
            progress(1)
    return DatasetSummary(videos=tuple(videos))


@dataclass(frozen=True, kw_only=True)
class _GameLabels:
    """The label file of a game."""

    rows: list[tuple[ScoredEvent, str]] = field(default_factory=list)
    """Valid labels with their clocks, ``1 - 05:07``."""
    annotated: AnnotatedHalves = field(default_factory=dict)
    """What was annotated."""
    classes: AnnotatedClasses = None
    """Which classes were annotated; None for all."""
    problem: str = ""
    """What is wrong with the file; empty for nothing."""


def _summarise_game(game: Game, split: str, look: FileLook) -> list[VideoSummary]:
    labels = _read_labels(game)
    halves = sorted({*(video.half for video in game.videos), *(event.half for event, _ in labels.rows)} or {1})
    summaries = [_summarise_video(game, half, split, labels, look) for half in halves]
    if labels.problem:  # of the file, so it is listed once
        summaries[0] = dataclasses.replace(summaries[0], problems=(labels.problem, *summaries[0].problems))
    return summaries


def _read_labels(game: Game) -> _GameLabels:
    if game.labels_path is None:
        return _GameLabels(problem="no label file")
    context = str(game.labels_path)
    try:
        content, rows = read_label_document(game.labels_path)
        annotated, classes = read_annotated(content, context), read_annotated_classes(content, context)
    except AnnotationError as error:
        return _GameLabels(problem=str(error))
    labels, broken = [], []
    for number, row in enumerate(rows):
        try:
            event = read_row(row, f"annotations[{number}]", kind="label", mode="strict")
            labels.append((event, str(row.get("gameTime", ""))))
        except AnnotationError as error:
            broken.append(str(error))
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    problem = f"invalid label: {broken[0]}{more}" if broken else ""
    return _GameLabels(rows=labels, annotated=annotated, classes=classes, problem=problem)


def _summarise_video(game: Game, half: int, split: str, labels: _GameLabels, look: FileLook) -> VideoSummary:
    rows = [(event, clock) for event, clock in labels.rows if event.half == half]
    video = next((video for video in game.videos if video.half == half), None)
    last_label_s = max((event.position_ms / 1000 for event, _ in rows), default=None)
    measured = look.at(video, last_label_s) if video else Measured(problems=(look.missing(game, half),))
    minutes = measured.minutes
    ranges = labels.annotated.get(half)
    problems = [*measured.problems, *label_problems(rows, None if not minutes or measured.dim else 60_000 * minutes)]
    if not rows and game.labels_path is not None and (ranges is None or ranges.ranges_ms):
        problems.append("not a single label; if it was not annotated, state that")
    annotated_rows = [event for event, _ in rows if ranges is None or ranges.contains(event.position_ms)]
    return VideoSummary(
        game=game.name,
        half=half,
        split=split,
        path="" if video is None else str(video.path),
        minutes=minutes,
        fps=measured.fps,
        width=measured.width,
        height=measured.height,
        dim=measured.dim,
        classes=dict(Counter(event.label for event, _ in rows).most_common()),
        annotated="" if ranges is None else ranges.describe(),
        annotated_minutes=minutes if ranges is None else _minutes_within(ranges, minutes),
        annotated_labels=dict(Counter(event.label for event in annotated_rows)),
        annotated_classes=tuple(sorted(labels.classes or ())),
        problems=tuple(problems),
        events=tuple(event for event, _ in rows),
    )


def _minutes_within(ranges: AnnotatedRanges, minutes: float) -> float:
    """Length of the stretches as far as the video reaches."""
    end_ms = round(60_000 * minutes)
    return sum(max(0, min(stop_ms, end_ms) - start_ms) for start_ms, stop_ms in ranges.ranges_ms) / 60_000


def label_problems(
    rows: Sequence[tuple[ScoredEvent, str]], duration_ms: float | None, fps: Fraction = DEFAULT_FPS
) -> list[str]:
    """What looks wrong about the times of a half's labels.

    Args:
        rows: Labels with their clocks, ``1 - 05:07``.
        duration_ms: Length of the video; None if it is unknown.
        fps: Grid on which two labels are at one frame.
    """
    lines = []
    late = [event for event, _ in rows if duration_ms is not None and event.position_ms >= duration_ms]
    if late:
        lines.append(f"{counted(len(late), 'label')} past the end of the video, the first at {_clock(late[0])}")
    shifted = [event for event, clock in rows if _shift_s(event, clock) > _MAX_SHIFT_S]
    if shifted:
        lines.append(
            f"{counted(len(shifted), 'label')} whose position and gameTime differ, the first at {_clock(shifted[0])}"
        )
    counts = Counter((event.position_ms, event.label) for event, _ in rows)
    if repeated := sum(count - 1 for count in counts.values()):
        lines.append(counted(repeated, "label that repeats another one", "labels that repeat another one"))
    frames = Counter(frame_of_position_ms(position_ms, fps) for position_ms, _ in counts)
    if shared := sum(count - 1 for count in frames.values()):
        lines.append(f"{counted(shared, 'label')} at the frame of another one: training learns half of each")
    whole = sum(event.position_ms % 1000 == 0 for event, _ in rows)
    if len(rows) >= 20 and whole == len(rows):
        lines.append("every label is at a whole second: too coarse for a tolerance of one second")
    return lines


def _shift_s(event: ScoredEvent, clock: str) -> float:
    try:
        _, seconds = parse_game_time(clock)
    except AnnotationError:
        return 0.0
    return abs(event.position_ms / 1000 - seconds)


def _clock(event: ScoredEvent) -> str:
    return game_time(event.position_ms, event.half).partition(" - ")[2]

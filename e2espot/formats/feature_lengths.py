"""Whether a feature file lasts as long as its labels and its video; another length is its most frequent fault.

::

    1_ResNET_TF2.npy    13,500 rows at 2 a second: 112:30   1_224p.mkv    45:00     rows of 5 a second
    1_ResNET_TF2.npy     5,400 rows at 2 a second:  45:00   1_224p.mkv    52:10     a recording from before kick-off
"""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

from e2espot.core.errors import AnnotationError, ConfigurationError, VideoError
from e2espot.core.timeline import fps_text, parse_fps
from e2espot.formats.feature_files import FeatureFile
from e2espot.formats.filenames import VIDEO_SUFFIXES
from e2espot.formats.game import is_game_video
from e2espot.video.container import open_container, select_stream
from e2espot.video.declared_end import declared_duration
from e2espot.video.reader import probe

_LOG = logging.getLogger(__name__)

_TOLERANCE_S = 1
"""Seconds, next to one row, that features and video may differ by."""
_USUAL_RATES = tuple(map(Fraction, ("1", "2", "5", "12.5", "25")))


def check_against_video(file: FeatureFile, rate: Fraction) -> None:
    """Warn if a feature file and the video next to it differ in length by more than a second, with the likely cause.

    Args:
        file: The features of one half or one game.
        rate: Rows a second that they are taken for.
    """
    for line in length_doubts(file, rate):
        _LOG.warning("%s: %s", file.path, line)


def length_doubts(file: FeatureFile, rate: Fraction) -> list[str]:
    """Why a feature file may not have the length that its JSON and the video next to it ask for, one line each.

    Args:
        file: The features of one half or one game.
        rate: Rows a second that they are taken for.
    """
    fields = file.description.fields if file.description else {}
    lines = []
    if fields.get("rows", file.num_rows) != file.num_rows:
        lines.append(
            f"{file.num_rows} rows, and its JSON says {fields['rows']}; one of the two was replaced: extract them again"
        )
    video = video_of_features(file.path, file.kind.name)
    doubt = "" if video is None else _doubt_of_video(file, rate, video)
    return [*lines, doubt] if doubt else lines


def _doubt_of_video(file: FeatureFile, rate: Fraction, video: Path) -> str:
    start_s, wanted_s = _described_span(file)

    def expected_s(duration_s: Fraction) -> Fraction:
        rest_s = max(Fraction(0), duration_s - start_s)
        return rest_s if wanted_s is None else min(rest_s, wanted_s)

    try:
        duration_s = _header_duration(video)
        if duration_s is not None and _fits(file.num_rows / rate, expected_s(duration_s), rate):
            return ""
        # Headers may be wrong, and the sound may be longer than the pictures: the packets decide.
        duration_s = probe(video).duration_s
    except VideoError:
        return ""  # a broken video is no fault of the features
    if _fits(file.num_rows / rate, expected_s(duration_s), rate):
        return ""
    return (
        f"{file.num_rows} rows at {fps_text(rate)} a second last {_minutes(file.num_rows / rate)}, and {video.name} "
        f"lasts {_minutes(duration_s)}: {likely_cause(file.num_rows, rate, expected_s(duration_s))}"
    )


LABELS_AFTER_S = 10
"""Seconds that a label may be after the end of its features."""


def check_against_labels(file: FeatureFile, rate: Fraction, last_label_s: float | None) -> None:
    """Refuse features that last far longer than their labels, or end before them, as those of another rate do.

    Args:
        file: The features of one half or one game.
        rate: Rows a second that they are taken for.
        last_label_s: Seconds to the last label of the half; None without one.

    Raises:
        ConfigurationError: the rows last more than twice as long as the labels, and more than a half can.
        AnnotationError: the rows end more than ten seconds before the last label.
    """
    if last_label_s is None:
        return
    duration_s = float(file.num_rows / rate)
    lengths = (
        f"{file.path}: its {file.num_rows} rows last {_minutes(duration_s)} at {fps_text(rate)} rows a second, and the "
        f"last label is at {_minutes(last_label_s)}"
    )
    # A half lasts at most about an hour. 45 minutes at 5 rows a second, taken for 2 -> 112 minutes.
    if duration_s > 80 * 60 and duration_s > 2 * last_label_s:
        raise ConfigurationError(f"{lengths}; set fps to the rate of the features", option="fps")
    if last_label_s > duration_s + LABELS_AFTER_S:
        fits = [other for other in _USUAL_RATES if last_label_s <= file.num_rows / other <= 2 * last_label_s]
        if file.known_rate is None and fits:
            raise AnnotationError(
                f"{lengths}; if they are {fps_text(fits[-1])} rows a second, set fps to that", option="fps"
            )
        raise AnnotationError(
            f"{lengths}; the features end early, or begin later than the clock of the labels: extract them again, or "
            "leave out labels after their end (bad_labels='skip')",
            option="bad_labels",
        )


def video_of_features(path: Path, name: str) -> Path | None:
    """The video next to a feature file, by their names; None where there is none.

    ``match_NAME.npy`` -> ``match.mp4``, ``1_NAME.npy`` -> ``1_224p.mkv`` or another resolution, ``NAME.npy`` ->
    ``224p.mp4``.

    Args:
        path: The feature file.
        name: Name of the features.
    """
    videos = sorted(
        other
        for other in path.parent.iterdir()
        if other.suffix.lower() in VIDEO_SUFFIXES and "_part" not in other.name and not other.name.startswith(".")
    )
    loose = [video for video in videos if not is_game_video(video.name) and path.stem.startswith(f"{video.stem}_")]
    if loose:
        return max(loose, key=lambda video: len(video.stem))
    half = path.stem.removesuffix(name)  # "1_", or nothing for features of a whole game
    of_game = [video for video in videos if is_game_video(video.name) and _half_prefix(video) == half]
    return of_game[0] if of_game else None


def _half_prefix(video: Path) -> str:
    """``1_`` of ``1_224p.mkv``, nothing of ``224p.mp4``."""
    return video.name[:2] if video.name[1:2] == "_" else ""


def likely_cause(num_rows: int, rate: Fraction, duration_s: Fraction) -> str:
    """Why so many rows at ``rate`` do not last ``duration_s`` seconds, and what to do."""
    for other in _USUAL_RATES:
        if other != rate and _fits(num_rows / other, duration_s, other):
            return f"they seem to be {fps_text(other)} rows a second; set fps to that"
    # 30000/1001 pictures a second taken for 30, or 24 for 25, stretch or shrink the whole time axis.
    for wrong, right in (("30", "30000/1001"), ("25", "24")):
        for factor in (parse_fps(wrong) / parse_fps(right), parse_fps(right) / parse_fps(wrong)):
            if duration_s > 600 and _fits(num_rows / (rate * factor), duration_s, rate):
                return f"the rate of the video was taken for {wrong} or {right}, the other of them; extract them again"
    if num_rows / rate < duration_s:
        return (
            "they seem to begin later, as at kick-off, or to end early; labels must count from the same moment as the "
            "rows"
        )
    return "they seem to be of a longer recording of this match; labels must count from the same moment as the rows"


def _fits(length_s: Fraction, duration_s: Fraction, rate: Fraction) -> bool:
    return abs(length_s - duration_s) <= _TOLERANCE_S + 1 / rate


def _described_span(file: FeatureFile) -> tuple[Fraction, Fraction | None]:
    """What part of the video the JSON says: its start, and its duration if that was given."""
    fields = file.description.fields if file.description else {}
    try:
        wanted = fields.get("duration_s")
        return Fraction(str(fields.get("start_s", 0))), None if wanted is None else Fraction(str(wanted))
    except (ValueError, ZeroDivisionError):
        return Fraction(0), None


def _header_duration(video: Path) -> Fraction | None:
    """Seconds that the header of a video states; None where it states nothing."""
    with open_container(video) as container:
        return declared_duration(video, container, select_stream(container, video))


def _minutes(seconds: Fraction | float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"

"""What the video or the feature file of a half is, for the summary of a dataset: length, rate, size, what looks wrong.

1_224p.mkv       -> 45 minutes of 25 pictures a second, 398x224
1_ResNET_TF2.npy -> 45 minutes of 2 rows a second, 2,048 values each; or "row 12 holds values that are not finite ..."
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from e2espot.core.errors import E2ESpotError, VideoError
from e2espot.core.feature_kind import FeatureKind
from e2espot.formats.feature_files import FeatureFile, check_kind, is_feature_file, open_features
from e2espot.formats.feature_lengths import check_against_labels, length_doubts
from e2espot.formats.game import Game, Video
from e2espot.formats.games import features_below, is_features_name
from e2espot.formats.soccernet import ONE_VIDEO_HINT

_SHORTEST_S = 1
"""Videos below this length look wrong: a file of one picture has no frame at all at 12.5 frames a second."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a file is."""

    minutes: float = 0.0
    """Its length; 0 if it cannot be read, or nothing says how many rows a second it has."""
    fps: float = 0.0
    """Pictures or rows a second; 0 where that is unknown."""
    width: int = 0
    """Width of the pictures in pixels; 0 for features."""
    height: int = 0
    """Their height."""
    dim: int = 0
    """Values of a row of features; 0 for a video."""
    problems: tuple[str, ...] = ()
    """What looks wrong, one line each."""


@dataclass(kw_only=True)
class FileLook:
    """Looks at the files of a dataset one after the other; nothing that is wrong with them raises."""

    resolution: str
    """Which videos were looked for, or which features."""
    fps: Fraction | None
    """Rows a second where neither a JSON nor the name of the features says it."""
    first: FeatureKind | None = None
    """What the first feature file held: all others must hold the same."""

    def at(self, video: Video, last_label_s: float | None) -> Measured:
        """Read what is to be known of a video or feature file.

        Args:
            video: One half.
            last_label_s: Seconds to its last label; None without one.
        """
        if is_feature_file(video.path):
            return self._at_features(video, last_label_s)
        from e2espot.video import probe

        try:
            info = probe(video.path, video_stream=video.video_stream)
        except VideoError as error:
            return Measured(problems=(str(error),))
        short = f"lasts {float(info.duration_s):.2f} s, too short to learn from; is it the whole recording?"
        return Measured(
            minutes=float(info.duration_s / 60),
            fps=info.source_fps,
            width=info.width,
            height=info.height,
            problems=(short,) if info.duration_s < _SHORTEST_S else (),
        )

    def _at_features(self, video: Video, last_label_s: float | None) -> Measured:
        try:
            file = open_features(video.path)
        except E2ESpotError as error:
            return Measured(problems=(str(error),))
        rate = file.known_rate or self.fps
        problems = _refused(file, rate, last_label_s, self.first)
        if rate is None:
            problems.append("neither a JSON nor its name says how many rows a second it has; give fps")
        else:
            problems += length_doubts(file, rate)
        self.first = self.first or file.kind
        return Measured(
            minutes=float(file.num_rows / rate / 60) if rate else 0.0,
            fps=float(rate or 0),
            dim=file.dim,
            problems=tuple(problems),
        )

    def missing(self, game: Game, half: int) -> str:
        """One line for a half that has labels and no file."""
        if is_features_name(self.resolution):
            whole = "" if game.videos else f" and no {self.resolution}.npy"
            return f"labels, but no {half}_{self.resolution}.npy{whole}"
        if game.videos:
            return f"labels, but no video; {ONE_VIDEO_HINT}"
        present = features_below(game.folder) if game.folder.is_dir() else []
        return f"labels, but no {self.resolution} video" + (
            f"; it has features: choose them (features={present[0]!r})" if present else ""
        )


def _refused(
    file: FeatureFile, rate: Fraction | None, last_label_s: float | None, first: FeatureKind | None
) -> list[str]:
    """What training would refuse a feature file for."""
    try:
        if first is not None:
            check_kind(file, first)
        if rate is not None:
            check_against_labels(file, rate, last_label_s)
        file.check_finite()
    except E2ESpotError as error:
        return [str(error)]
    return []

"""The options that say against which labels predictions are scored, and which of them count."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from e2espot.core.annotated_classes import parse_annotated_classes

if TYPE_CHECKING:
    from e2espot.formats.label_map import LabelMap
    from e2espot.scoring.inputs import LabelledGames, ScoredGames


@dataclass(frozen=True, kw_only=True)
class LabelArgs:
    """The labels, and which of them count."""

    labels: Annotated[Path, tyro.conf.arg(aliases=["-l"])]
    """Folder or zip of <game>/<label file>, or one label file: of a video, or in another format (.csv, .xml, ...)."""
    split: Annotated[str | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split to score; by default every labelled game."""
    label_file: str = "auto"
    """Name of the label files; auto: Labels-ball.json or, for soccernet-v2-17 or where there are no others,
    Labels-v2.json."""
    label_set: str | None = None
    """ball-2, ball-12, soccernet-v2-17, footpass, dfl or a class.txt; by default the classes in the label files."""
    map: Path | None = None
    """YAML file that renames or merges classes of labels and predictions, with lines such as HEADER: PASS."""
    annotated: str = ""
    """Stretches of every game in which the labels are complete, such as 0:00-10:00 or 1/0:00-45:00,2/5:00-20:00, or
    a table of them with the columns game, start, end; what is outside does not count. Empty for what the label files
    say, by default everything."""
    annotated_classes: str = ""
    """Classes that the labels of every game are complete in, such as PASS,SHOT; the others do not count. Empty for what
    the label files say, by default all."""
    missing: Literal["error", "empty"] = "error"
    """What to do about a labelled game without predictions: stop, or score it as empty."""

    @cached_property
    def label_map(self) -> LabelMap:
        """The new names of classes.

        Raises:
            ConfigurationError: the file cannot be read, or is no map.
        """
        from e2espot.formats.label_map import read_label_map

        return read_label_map(self.map)

    def read_labels(self) -> LabelledGames:
        """The labels of the games to score, in the order of the games.

        Raises:
            ConfigurationError: there is no game to score, or an option does not fit the games.
            AnnotationError: a label file is missing or damaged.
        """
        from e2espot.formats.annotated_table import stated_stretches
        from e2espot.formats.choose_label_file import chosen_label_file
        from e2espot.scoring.inputs import games_to_score, read_labels

        label_file = chosen_label_file(self.labels, self.label_file, self.label_set)
        return read_labels(
            self.labels,
            games_to_score(self.labels, split=self.split, label_file=label_file),
            label_file=label_file,
            annotated=stated_stretches(self.annotated),
            classes=parse_annotated_classes(self.annotated_classes),
            label_map=self.label_map,
        )

    def read_predictions(self, path: Path, labelled: LabelledGames) -> ScoredGames:
        """The predictions for these games, and notes on what would distort their score.

        Raises:
            AnnotationError: a results file is missing or damaged.
        """
        from e2espot.scoring.inputs import score_inputs

        return score_inputs(path, labelled, missing=self.missing, label_map=self.label_map)

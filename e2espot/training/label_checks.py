"""What labels must give before training starts: examples to learn from, and a way to tell epochs apart.

Whatever would otherwise be learnt or chosen silently is refused here, or named in one line.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from e2espot.core.annotated_classes import count_games_without
from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LabelSet
from e2espot.core.teams import check_sides
from e2espot.core.wording import counted
from e2espot.training.config import TrainingConfig
from e2espot.training.data import LabelledGame

_LOG = logging.getLogger(__name__)


def check_labels(train: Sequence[LabelledGame], valid: Sequence[LabelledGame], config: TrainingConfig) -> None:
    """Refuse labels that nothing can be learnt from; log what is missing in the others.

    Raises:
        ConfigurationError: no event in the train games, or, for a network with a team head, no team.
    """
    check_train_labels(train, config.label_set, "dataset", learn_two=config.recipe.loss.shared_frames)
    if config.recipe.network.team:
        _check_teams(train)
    if valid and not any(game.events for game in valid):
        _LOG.warning(
            "none of the %d valid games has a label, so they can choose neither an epoch nor a calibration; the last "
            "epoch is kept",
            len(valid),
        )
    unlabelled = unlabelled_halves([*train, *valid])
    if unlabelled:
        _LOG.warning(
            "without a single label, learnt and scored as if nothing happened there: %s; remove what was "
            "not annotated, or say what was",
            ", ".join(unlabelled),
        )


def check_train_labels(
    games: Sequence[LabelledGame], label_set: LabelSet, what: str, *, learn_two: bool = True
) -> None:
    """Refuse games without any event; log classes without one.

    Args:
        games: The train games.
        label_set: Classes that are trained.
        what: Names the dataset in messages.
        learn_two: Whether both of two events at one frame are learnt.

    Raises:
        ConfigurationError: no event at all.
    """
    counts = Counter(event.label for game in games for event in game.events)
    if not counts and not any(game.annotates(video.half) for game in games for video in game.game.videos):
        raise ConfigurationError(
            f"nothing of the {counted(len(games), 'train game')} of the {what} was annotated, by what their label "
            f"files and the stated stretches say: {', '.join(game.game.name for game in games[:4])}",
            option="annotated",
        )
    if not counts:
        raise ConfigurationError(
            f"the {counted(len(games), 'train game')} of the {what} {'has' if len(games) == 1 else 'have'} no label to "
            "learn from; check their label files, and whether invalid labels were skipped",
            option="bad_labels",
        )
    shared, lost = _events_that_share_a_frame(games, 2 if learn_two else 1)
    if shared:
        _LOG.log(
            logging.WARNING if lost else logging.INFO,
            "%d of %d events share their frame with one of another class that is listed before: %s",
            shared,
            counts.total(),
            ("half of each target is learnt" if not lost else f"{counted(lost, 'event')} not learnt"),
        )
    without = count_games_without(label_set, {game.game.name: game.classes for game in games})
    if without:
        _LOG.info(
            "classes that not all of the %d train games of the %s annotate, and of which the others teach nothing: %s",
            len(games),
            what,
            ", ".join(f"{name} (not in {count})" for name, count in without.items()),
        )
    missing = [name for name in label_set.names if not counts[name]]
    if missing:
        _LOG.warning("classes without an example in the train games of the %s: %s", what, ", ".join(missing))


def _events_that_share_a_frame(games: Sequence[LabelledGame], num_learnt: int) -> tuple[int, int]:
    """Number of events at a frame that already has one of another class, and of those beyond ``num_learnt`` classes."""
    classes: dict[tuple[str, int, int], list[str]] = {}
    shared = lost = 0
    for game in games:
        for event in game.events:
            before = classes.setdefault((game.game.name, event.half, event.frame), [])
            shared += bool(before) and event.label != before[0]
            if event.label not in before:
                before.append(event.label)
            lost += before.index(event.label) >= num_learnt
    return shared, lost


def _check_teams(games: Sequence[LabelledGame]) -> None:
    teams = [event.team for game in games for event in game.events]
    without = check_sides(teams, "the team head learns")
    if without:
        _LOG.warning("%d of %d labels have no team and teach none", without, len(teams))


def unlabelled_halves(games: Sequence[LabelledGame]) -> list[str]:
    """Name of each game without a label, and ``name (half 2)`` where one of its halves has none."""
    names = []
    for game in games:
        labelled = {event.half for event in game.events}
        halves = [video.half for video in game.game.videos if game.annotates(video.half)]
        empty = [half for half in halves if half not in labelled]
        if halves and len(empty) == len(halves):
            names.append(game.game.name)
        else:
            names += [f"{game.game.name} (half {half})" for half in empty]
    return names

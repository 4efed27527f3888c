"""A stretch of a match that the engine plays without pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from e2espot.synthetic.actions import BALL_M, Play
from e2espot.synthetic.engine.events import Record, actions_of
from e2espot.synthetic.engine.game import EngineGame, Moment
from e2espot.synthetic.specs import GameSpec


@dataclass(frozen=True, kw_only=True, eq=False)
class EnginePlay(Play):
    """A stretch of a match that the engine has played."""

    referee_T: np.ndarray
    """bool [T]; the engine films the referee at a booking, whatever camera it is given."""


def play_engine(spec: GameSpec) -> EnginePlay:
    """Play a match: the way of ball and players, and the actions that follow from it.

    Raises:
        ConfigurationError: the engine is not installed, or of another version.
    """
    game = EngineGame(engine_seed(spec))
    moments = [_next_moment(game) for _ in range(spec.frames)]
    record = Record(
        ball_T3=np.stack([moment.ball_3 for moment in moments]),
        players_TP2=np.stack([moment.players_P2 for moment in moments]),
        owner_T=np.array([moment.owner for moment in moments]),
        in_play_T=np.array([moment.in_play for moment in moments]),
    )
    return EnginePlay(
        ball_T3=underside(record.ball_T3).astype(np.float32),
        players_TP2=record.players_TP2.astype(np.float32),
        swing_TP=np.zeros(record.players_TP2.shape[:2], np.uint8),
        dead_T=~record.in_play_T,
        carrier_T=record.owner_T.astype(np.int16),
        actions=actions_of(record),
        referee_T=np.array([moment.films_referee for moment in moments]),
    )


def engine_seed(spec: GameSpec) -> int:
    """The engine's seed of a game."""
    return int(np.random.default_rng([spec.seed, spec.index, 3]).integers(2**31 - 1))


def underside(ball_T3: np.ndarray) -> np.ndarray:
    """The engine measures to the centre of the ball, a ``Play`` to its underside; metres [..., 3]."""
    return np.asarray(ball_T3 - np.array([0.0, 0.0, BALL_M / 2]))


def _next_moment(game: EngineGame) -> Moment:
    game.advance()
    return game.moment()

"""A rendered engine match on disk: video, labels and tracks, in the form of painted matches."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from e2espot.core.errors import ConfigurationError
from e2espot.synthetic.actions import Play
from e2espot.synthetic.camera import CUT_AWAY, LIVE, PLAYER_M, Shots, follow
from e2espot.synthetic.engine.events import Record, actions_of
from e2espot.synthetic.engine.game import EngineGame, Moment, load_engine
from e2espot.synthetic.engine.scenery import write_scenery
from e2espot.synthetic.specs import SIZES, GameSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2espot.synthetic.graphics import Graphics
    from e2espot.synthetic.look import Look

_BALL_M = 0.11
"""Radius of the ball."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EnginePlay(Play):
    """A stretch of a match that the engine has played."""

    referee_T: np.ndarray
    """bool [T]; the engine films the referee at a booking, whatever camera it is given."""


def play_engine(spec: GameSpec) -> EnginePlay:
    """Play a match without pictures: the way of ball and players, and the actions that follow from it."""
    game = EngineGame(engine_seed(spec))
    record = recorded([_next_moment(game) for _ in range(spec.frames)])
    ball_T3 = record.ball_T3.astype(np.float32) - np.array([0, 0, _BALL_M], np.float32)
    return EnginePlay(
        ball_T3=ball_T3,
        players_TP2=record.players_TP2.astype(np.float32),
        swing_TP=np.zeros(record.players_TP2.shape[:2], np.uint8),
        dead_T=~record.in_play_T,
        carrier_T=record.owner_T.astype(np.int16),
        actions=actions_of(record),
        referee_T=record.referee_T,
    )


def engine_seed(spec: GameSpec) -> int:
    """The engine's seed of a game."""
    return int(np.random.default_rng([spec.seed, spec.index, 3]).integers(2**31 - 1))


def _next_moment(game: EngineGame) -> Moment:
    game.advance()
    return game.moment()


def recorded(moments: list[Moment]) -> Record:
    """The moments of a match as arrays."""
    return Record(
        ball_T3=np.stack([moment.ball_3 for moment in moments]),
        players_TP2=np.stack([moment.players_P2 for moment in moments]),
        owner_T=np.array([moment.owner for moment in moments]),
        in_play_T=np.array([moment.in_play for moment in moments]),
        referee_T=np.array([moment.films_referee for moment in moments]),
    )


class EngineStage:
    """Everything that drawing an engine match needs.

    Args:
        spec: Which game.
        play: The same match, played without pictures.
    """

    def __init__(self, spec: GameSpec, play: Play) -> None:
        from e2espot.synthetic.broadcast import sample_television
        from e2espot.synthetic.graphics import sample_graphics
        from e2espot.synthetic.paint import grain_bank

        rng = np.random.default_rng([spec.seed, spec.index, 4])
        self.spec, self.play = spec, play
        self.look: Look = _suited(sample_television(rng))
        self.video_size = SIZES[spec.resolution]
        television = self.look.television
        assert television is not None
        times = float(rng.choice([1.0, 1.25])) if self.video_size[1] < 448 else 1.0
        # The engine needs a width that is a multiple of 4; the height keeps the shape of the picture.
        width = round(self.video_size[0] * times / 4) * 4
        self.size = (width, round(width * self.video_size[1] / self.video_size[0]))
        self.shots: Shots = follow(rng, play, self.look, self.size)
        assert isinstance(play, EnginePlay)
        # While the engine films the referee, often for two frames, the picture before is shown again.
        self.shots.kind_T[play.referee_T] = CUT_AWAY
        frame_T = np.arange(spec.frames)
        drawn_T = (frame_T % spec.picture_step == 0) & ~play.referee_T
        drawn_T[0] = True
        self.shown_T = np.maximum.accumulate(np.where(drawn_T, frame_T, 0))
        self.graphics: Graphics = sample_graphics(rng, self.video_size, spec.frames / 25)
        self.grain = grain_bank(rng, self.look, self.video_size)
        self._scenery_seed = [spec.seed, spec.index, 5]

    def pictures(self) -> Iterator[np.ndarray]:
        """The pictures of the video in order, uint8 BGR [H, W, 3].

        With ``spec.picture_step`` 2 only every second frame is drawn, and shown twice.
        """
        engine_data = Path(load_engine().data_dir)
        with tempfile.TemporaryDirectory(prefix="e2espot-engine-") as folder:
            scenery = Path(folder) / "data"
            write_scenery(scenery, engine_data, self.look, np.random.default_rng(self._scenery_seed))
            game = EngineGame(engine_seed(self.spec), self.size, scenery)
            drawn_next = [*np.unique(self.shown_T).tolist(), self.spec.frames - 1]
            picture = np.zeros(0, np.uint8)
            for frame in range(self.spec.frames):
                if self.shown_T[frame] != frame:
                    game.advance()
                else:
                    del drawn_next[0]
                    view = self.shots.view(frame, self.look, self.size)
                    drawn = game.advance(view, float(self.shots.focal_T[drawn_next[0]]))
                    assert drawn is not None
                    self._check(game.moment(), frame)
                    picture = self._sent(drawn, frame)
                yield picture

    def _check(self, moment: Moment, frame: int) -> None:
        """Labels and tracks are those of the match without pictures: both must have taken the same way."""
        apart_m = float(np.abs(moment.ball_3 - np.array([0, 0, _BALL_M]) - self.play.ball_T3[frame]).max())
        if apart_m > 1e-3:
            raise ConfigurationError(
                f"{self.spec.name}: in frame {frame} the engine's ball is {apart_m:.2f} m from where it was when the "
                "same match was played before; install Google Research Football 2.10.2, whose matches repeat"
            )

    def _sent(self, drawn: np.ndarray, frame: int) -> np.ndarray:
        """The drawn picture after lens, scaling, graphics, an earlier compression and noise."""
        import cv2

        from e2espot.synthetic.graphics import draw_graphics
        from e2espot.synthetic.signal import recompress, transmit

        television = self.look.television
        assert television is not None
        sent = transmit(drawn, television, self.video_size, self.look.blur * self.size[1] / 224)
        live = bool(self.shots.kind_T[frame] == LIVE)
        draw_graphics(sent, self.graphics, frame / 25, live=live)
        sent = recompress(sent, television.quality)
        x, y = (frame * 131) % self.video_size[0], (frame * 67) % self.video_size[1]
        window = self.grain[y : y + self.video_size[1], x : x + self.video_size[0]]
        return np.asarray(cv2.addWeighted(sent, 1.0, window, 1.0, -128.0))

    def ball_track(self) -> tuple[np.ndarray, np.ndarray]:
        """Ball centres float32 [T, 2] as shares of the picture (NaN unseen) and visibility bool [T]."""
        centres_T3 = self.play.ball_T3 + np.array([0, 0, _BALL_M], np.float32)
        xy_T2 = self._projected(centres_T3[:, None, :])
        seen_T = (self.shots.kind_T == LIVE) & ((xy_T2[:, 0] >= 0) & (xy_T2[:, 0] < 1)).all(axis=1)
        feet_TP2 = self._projected(_raised(self.play.players_TP2, 0.0))
        hidden_T = self._behind_a_player(centres_T3, xy_T2[:, 0], feet_TP2)
        ball_T2 = np.where(seen_T[:, None], xy_T2[:, 0], np.nan).astype(np.float32)
        return ball_T2, seen_T & ~hidden_T

    def players_track(self) -> np.ndarray:
        """Middles of the bodies as shares of the picture, float32 [T, 22, 2]; NaN in other shots than the main one."""
        xy_TP2 = self._projected(_raised(self.play.players_TP2, 0.9))
        xy_TP2[self.shots.kind_T != LIVE] = np.nan
        return xy_TP2.astype(np.float32)

    def _projected(self, points_TN3: np.ndarray) -> np.ndarray:
        """Shares of the picture [T, N, 2], in pictures that are shown again those of the first time."""
        xy = []
        for frame in range(len(points_TN3)):
            shown = int(self.shown_T[frame])
            view = self.shots.view(shown, self.look, self.size)
            xy.append((view.project(points_TN3[shown].astype(float))[0] + 0.5) / np.array(self.size))
        return np.stack(xy)

    def _behind_a_player(self, centres_T3: np.ndarray, ball_T2: np.ndarray, feet_TP2: np.ndarray) -> np.ndarray:
        """Whether a body nearer to the camera covers the ball, [T]; a body is a box as wide as half a metre."""
        camera_2 = np.array(self.look.camera_m[:2])
        ball_away_T = np.linalg.norm(centres_T3[:, :2] - camera_2, axis=1)
        away_TP = np.linalg.norm(self.play.players_TP2 - camera_2, axis=2)
        pixels_T = self.shots.focal_T / np.maximum(ball_away_T, 1.0)
        wide_T, high_T = 0.2 * pixels_T / self.size[0], 0.85 * PLAYER_M * pixels_T / self.size[1]
        across_TP = np.abs(feet_TP2[..., 0] - ball_T2[:, None, 0]) < wide_T[:, None]
        above_TP = feet_TP2[..., 1] - ball_T2[:, None, 1]
        within_TP = (above_TP > 0.1 * high_T[:, None]) & (above_TP < high_T[:, None])
        nearer_TP = (away_TP < ball_away_T[:, None] - 0.2) & (away_TP > ball_away_T[:, None] - 8)
        return np.asarray((across_TP & within_TP & nearer_TP).any(axis=1))


def _raised(points_TN2: np.ndarray, height_m: float) -> np.ndarray:
    """Points on the pitch, lifted: [T, N, 3]."""
    return np.concatenate([points_TN2, np.full_like(points_TN2[..., :1], height_m)], axis=2)


def _suited(look: Look) -> Look:
    """The look without what the engine cannot do.

    It has no repeated pictures, and its stands leave no room for a camera far from the pitch. The smaller the players,
    the higher the camera: from low down a wide picture is half stands, which take ten times as long to draw as grass.
    """
    assert look.television is not None
    x, y, z = look.camera_m
    player_px = max(look.player_px, 11.0)
    if x < 0:
        x, z = max(x, -30.0), min(z, 20.0)
    else:
        y, z = max(y, -48.0), float(np.clip(z, 12.0, 30.0))
    if player_px < 15:
        z = 30.0
    television = dataclasses.replace(look.television, repeat_every=0)
    return look.replace(camera_m=(x, y, z), player_px=player_px, television=television)

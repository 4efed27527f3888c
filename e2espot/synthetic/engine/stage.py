"""The pictures of an engine match, and where ball and players are in them."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2espot.core.errors import ConfigurationError
from e2espot.synthetic.actions import BALL_M, Play
from e2espot.synthetic.broadcast import sample_television
from e2espot.synthetic.camera import CUT_AWAY, LIVE, PLAYER_M, Shots, follow
from e2espot.synthetic.engine.game import EngineGame, Moment, load_engine
from e2espot.synthetic.engine.play import EnginePlay, engine_seed, underside
from e2espot.synthetic.engine.scenery import write_scenery
from e2espot.synthetic.graphics import Graphics, sample_graphics
from e2espot.synthetic.look import Look
from e2espot.synthetic.signal import add_grain, grain_bank, televise
from e2espot.synthetic.specs import SIZES, GameSpec
from e2espot.synthetic.tracks import players_track


@dataclass(frozen=True, kw_only=True, eq=False)
class EngineStage:
    """Everything that drawing an engine match needs; T pictures."""

    spec: GameSpec
    """Which game."""
    play: EnginePlay
    """The same match, played without pictures."""
    look: Look
    """Appearance of the match."""
    shots: Shots
    """Camera of every picture; where a picture is shown again, that of the first time."""
    shown_T: np.ndarray
    """int [T]; the frame of play that each picture shows: its own number where it is drawn."""
    graphics: Graphics
    """What is laid over the pictures."""
    grain: np.ndarray
    """uint8 noise around 128, twice the picture's size."""
    size: tuple[int, int]
    """Width and height of the pictures as they are drawn."""
    video_size: tuple[int, int]
    """Width and height of the video."""

    def pictures(self) -> Iterator[np.ndarray]:
        """The pictures of the video in order, uint8 BGR [H, W, 3].

        Raises:
            ConfigurationError: the engine is not installed, of another version, or plays another match than before.
        """
        with tempfile.TemporaryDirectory(prefix="e2espot-engine-") as folder:
            scenery, rng = Path(folder) / "data", np.random.default_rng([self.spec.seed, self.spec.index, 5])
            write_scenery(scenery, Path(load_engine().data_dir), self.look, rng)
            game = EngineGame(engine_seed(self.spec), self.size, scenery)
            drawn = np.unique(self.shown_T)
            next_drawn = dict(zip(drawn.tolist(), [*drawn[1:].tolist(), drawn[-1]], strict=True))
            picture = np.zeros(0, np.uint8)
            for frame in range(self.spec.frames):
                if frame not in next_drawn:
                    game.advance()
                else:
                    view = self.shots.view(frame, self.look, self.size)
                    picture = game.draw(view, float(self.shots.focal_T[next_drawn[frame]]))
                    self._check(game.moment(), frame)
                    live = bool(self.shots.kind_T[frame] == LIVE)
                    picture = televise(picture, frame, self.look, self.graphics, self.video_size, live=live)
                    picture = add_grain(picture, self.grain, frame)
                yield picture

    def _check(self, moment: Moment, frame: int) -> None:
        """Labels and tracks are those of the match without pictures: both must have taken the same way."""
        apart_m = float(np.abs(underside(moment.ball_3) - self.play.ball_T3[frame]).max())
        if apart_m > 1e-3:
            raise ConfigurationError(
                f"{self.spec.name}: in frame {frame} the engine's ball is {apart_m:.2f} m from where it was when the "
                "same match was played before; install Google Research Football 2.10.2, whose matches repeat"
            )

    def ball_track(self) -> tuple[np.ndarray, np.ndarray]:
        """Ball centres float32 [T, 2] as shares of the picture (NaN unseen) and visibility bool [T]."""
        xy_T2 = np.full((self.spec.frames, 2), np.nan, dtype=np.float32)
        visible_T = np.zeros(self.spec.frames, dtype=bool)
        size = np.array(self.size)
        for picture in np.flatnonzero(self.shots.kind_T == LIVE):
            moment = int(self.shown_T[picture])
            centre_3 = self.play.ball_T3[moment] + np.array([0.0, 0.0, BALL_M / 2])
            feet_P3 = np.column_stack([self.play.players_TP2[moment], np.zeros(len(self.play.players_TP2[moment]))])
            points_N3 = np.vstack([centre_3, feet_P3])
            view = self.shots.view(int(picture), self.look, self.size)
            xy_N2, scale_N = view.project(points_N3)
            at_2 = (xy_N2[0] + 0.5) / size
            if (at_2 >= 0).all() and (at_2 < 1).all():
                away_N = np.linalg.norm(points_N3[:, :2] - view.centre_3[:2], axis=1)
                xy_T2[picture] = at_2
                visible_T[picture] = not _is_hidden(xy_N2, float(scale_N[0]), away_N)
        return xy_T2, visible_T

    def players_track(self) -> np.ndarray:
        """Middles of the bodies as shares of the picture, float32 [T, 22, 2]; NaN unseen."""
        return players_track(self.play, self.shots, self.look, self.size)


def build_engine_stage(spec: GameSpec, play: Play) -> EngineStage:
    """Prepare everything that drawing ``play`` needs.

    Args:
        spec: Which game.
        play: What ``play_engine`` returns for it.
    """
    assert isinstance(play, EnginePlay), "an engine match is played by the engine"
    rng = np.random.default_rng([spec.seed, spec.index, 4])
    look = _for_engine(sample_television(rng))
    video_size = SIZES[spec.resolution]
    times = float(rng.choice([1.0, 1.25])) if video_size[1] < 448 else 1.0
    # The engine needs a width that is a multiple of 4; the height keeps the shape of the picture.
    width = round(video_size[0] * times / 4) * 4
    size = (width, round(width * video_size[1] / video_size[0]))
    shots = follow(rng, play, look, size)
    frame_T = np.arange(spec.frames)
    # While the engine films the referee, often for two frames, the picture before is shown again.
    is_drawn_T = (frame_T % spec.picture_step == 0) & ~play.referee_T
    is_drawn_T[0] = True
    shown_T = np.maximum.accumulate(np.where(is_drawn_T, frame_T, 0))
    shots = shots.showing(shown_T)
    shots.moment_T[:] = shown_T
    shots.kind_T[play.referee_T] = CUT_AWAY
    return EngineStage(
        spec=spec,
        play=play,
        look=look,
        shots=shots,
        shown_T=shown_T,
        graphics=sample_graphics(rng, video_size, spec.frames / 25),
        grain=grain_bank(rng, look, video_size),
        size=size,
        video_size=video_size,
    )


def _is_hidden(xy_N2: np.ndarray, scale: float, away_N: np.ndarray) -> bool:
    """Whether a body nearer to the camera covers the ball; a body is a box of 40 by 155 cm.

    Args:
        xy_N2: Pixels of the ball, then of the feet of all players.
        scale: Pixels per metre at the ball.
        away_N: Distance of the same from the camera, metres.
    """
    across_P, above_P = (xy_N2[1:] - xy_N2[0]).T
    covers_P = (np.abs(across_P) < 0.2 * scale) & (above_P > 0.15 * scale) & (above_P < 0.85 * PLAYER_M * scale)
    is_nearer_P = (away_N[1:] < away_N[0] - 0.2) & (away_N[1:] > away_N[0] - 8)
    return bool((covers_P & is_nearer_P).any())


def _for_engine(look: Look) -> Look:
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

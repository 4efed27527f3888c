"""One match of Google Research Football: what happens, and pictures from any camera.

The engine (Apache-2.0) simulates 100 steps a second. It has no interface to its camera, but its saved state holds the
camera, so pictures are taken by putting another camera into the state before a step.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import ConfigurationError
from e2espot.synthetic.formation import PITCH_M

if TYPE_CHECKING:
    from pathlib import Path

    from e2espot.synthetic.camera import View

STEPS_PER_FRAME = 4
"""Steps of the engine per frame at 25 frames a second."""
WARM_UP_FRAMES = 75
"""Frames of play that are not used: at kick-off the engine moves its camera by itself for two seconds."""
_SCALE_3 = np.array([54.4, -83.6, 1.0])
"""Metres per unit of the engine's positions."""
_CENTRE_3 = np.array([*np.array(PITCH_M) / 2, 0.0])
"""The middle of the pitch, from the corner that rendered matches measure from."""
_FAR_M, _REFEREE_FAR_M = 200.0, 220.0
"""Where the engine stops drawing, also while it films the referee; these mark the camera in a saved state."""
_CAMERA = struct.Struct("<14f")
"""Tilt and pan as quaternions (x, y, z, w), position, field of view in degrees, nearest and farthest distance."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The state of a match in one frame; metres, from the corner of the pitch."""

    ball_3: np.ndarray
    """float [3]; z is the height of the ball's centre."""
    players_P2: np.ndarray
    """float [22, 2]; the left team, then the right one, keepers first."""
    owner: int
    """The player who controls the ball, 0 to 21, -1 for none."""
    in_play: bool
    """False before and during a set piece."""
    films_referee: bool
    """Whether the engine shows the referee at a booking, whatever camera it is given."""


def load_engine() -> Any:
    """The engine's module.

    Raises:
        ConfigurationError: it is not installed.
    """
    # Mesa draws with one thread, as every match has a process. A user's own setting is kept.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    try:
        import gfootball_engine
    except ImportError as error:
        raise ConfigurationError(
            f"engine matches need Google Research Football, which cannot be imported ({error}); `make engine` builds "
            "it, and docs/rendered.md names the system packages it needs"
        ) from error
    return gfootball_engine


class EngineGame:
    """A match that is played frame by frame. One process can draw the pictures of one match only.

    Args:
        seed: The same seed gives the same match.
        size: Width and height of pictures; None to play without pictures.
        scenery: Folder with the engine's data; None for its own.

    Raises:
        ConfigurationError: the engine is not installed, or the width is not a multiple of 4.
    """

    def __init__(self, seed: int, size: tuple[int, int] | None = None, scenery: Path | None = None) -> None:
        if size is not None and size[0] % 4:
            # The engine reads lines without padding into a buffer that has no room for any.
            raise ConfigurationError(f"engine pictures are {size[0]} pixels wide; give a multiple of 4")
        # With a display the engine would open a window; without one it draws to memory.
        os.environ.pop("DISPLAY", None)
        if scenery is not None:
            os.environ["GFOOTBALL_DATA_DIR"] = str(scenery)
        engine = load_engine()
        self._size, self._has_drawn = size, False
        self._env = engine.GameEnv()
        self._env.game_config.physics_steps_per_frame = STEPS_PER_FRAME
        if size is not None:
            self._env.game_config.render_resolution_x, self._env.game_config.render_resolution_y = size
        self._env.game_config.render = size is not None
        self._env.start_game()
        self._env.state = engine.GameState.game_running
        self._env.reset(_scenario(engine, seed), False)
        self._env.game_config.render = False
        self._in_play = engine.e_GameMode.e_GameMode_Normal
        for _ in range(WARM_UP_FRAMES):
            self._env.step()

    def advance(self) -> None:
        """Play one frame without a picture."""
        self._env.game_config.render = False
        # The engine's own camera draws from the random numbers of play, so it is stopped whether pictures are drawn or
        # not: before every frame, as it starts again after each booking.
        self._set_camera(None, 0.0)
        self._env.step()

    def draw(self, view: View, focal_next: float) -> np.ndarray:
        """Play one frame and draw it.

        Args:
            view: The camera, in metres from the corner of the pitch.
            focal_next: Focal length of the next picture, pixels: the engine draws with the one it was given before.

        Returns:
            The picture, uint8 BGR [H, W, 3].
        """
        assert self._size is not None, "a match that was started without a size draws no pictures"
        self._env.game_config.render = True
        if not self._has_drawn:
            # The first picture needs a focal length too: it is taken from one that is not used.
            self._set_camera(view, view.focal)
            self._env.render(True)
            self._has_drawn = True
        self._set_camera(view, focal_next)
        self._env.step()
        width, height = self._size
        # The engine gives three planes, from the bottom line up.
        planes = np.frombuffer(self._env.get_frame(), np.uint8).reshape(width, height, 3)
        picture = np.concatenate([planes[:, :, channel] for channel in (2, 1, 0)]).reshape(3, height, width)
        return np.ascontiguousarray(picture.transpose(1, 2, 0)[::-1])

    def _set_camera(self, view: View | None, focal: float) -> None:
        self._env.set_state(_with_camera(bytes(self._env.get_state("")), view, focal))

    def moment(self) -> Moment:
        """What the last frame shows."""
        info = self._env.get_info()
        owner = -1 if info.ball_owned_team < 0 else 11 * info.ball_owned_team + info.ball_owned_player
        return Moment(
            ball_3=np.array([info.ball_position[axis] for axis in range(3)]) * _SCALE_3 + _CENTRE_3,
            players_P2=np.array(
                [
                    [player.position[axis] * _SCALE_3[axis] + _CENTRE_3[axis] for axis in range(2)]
                    for team in (info.left_team, info.right_team)
                    for player in team
                ]
            ),
            owner=int(owner),
            in_play=bool(info.game_mode == self._in_play),
            films_referee=_farthest_m(bytes(self._env.get_state(""))) == _REFEREE_FAR_M,
        )


def _with_camera(state: bytes, view: View | None, focal_next: float) -> bytes:
    """The saved ``state`` with a camera that the engine does not move: that of ``view``, or None for the one it has."""
    at = _camera_offset(state)
    camera = _packed(view, focal_next) if view else state[at : at + _CAMERA.size - 4] + struct.pack("<f", _FAR_M)
    return b"".join([state[: at - 1], b"\0", camera, state[at + _CAMERA.size :]])


def _packed(view: View, focal_next: float) -> bytes:
    """The camera of ``view`` as the engine saves it, with the focal length of the next picture."""
    right, _, forward = view.axes_33
    tilt = np.arcsin(np.clip(forward[2], -1, 1)) + np.pi / 2  # 0 looks straight down
    pan = np.arctan2(right[1], right[0])
    centre_3 = view.centre_3 - _CENTRE_3
    degrees = np.degrees(2 * np.arctan(view.size[1] / 2 / focal_next))
    # Stands between the camera and the pitch are not drawn.
    near_m = max(2.0, 0.7 * float(np.max(np.abs(centre_3[:2]) - np.array([55.0, 36.0]))))
    return _CAMERA.pack(
        *(np.sin(tilt / 2), 0.0, 0.0, np.cos(tilt / 2)),
        *(0.0, 0.0, np.sin(pan / 2), np.cos(pan / 2)),
        *(*centre_3, degrees, near_m, _FAR_M),
    )


def _farthest_m(state: bytes) -> float:
    return float(_CAMERA.unpack_from(state, _camera_offset(state))[-1])


def _camera_offset(state: bytes) -> int:
    """Where the camera is in a saved state: it ends with its farthest distance, and begins with a unit quaternion."""
    marks, end = [struct.pack("<f", far_m) for far_m in (_FAR_M, _REFEREE_FAR_M)], len(state)
    while (end := max(state.rfind(mark, 0, end) for mark in marks)) >= 0:
        at = end + 4 - _CAMERA.size
        if at > 0:
            values = _CAMERA.unpack_from(state, at)
            if all(abs(sum(value**2 for value in values[i : i + 4]) - 1) < 1e-3 for i in (0, 4)):
                return at
    raise ConfigurationError("this version of Google Research Football saves its camera differently; install 2.10.2")


def _scenario(engine: Any, seed: int) -> Any:
    """Eleven against eleven in a 4-4-2, both teams played by the engine at full strength."""
    roles = engine.e_PlayerRole
    formation = (
        (-1.0, 0.0, roles.e_PlayerRole_GK),
        (0.0, 0.02, roles.e_PlayerRole_RM),
        (0.0, -0.02, roles.e_PlayerRole_CF),
        (-0.42, -0.2, roles.e_PlayerRole_LB),
        (-0.5, -0.06, roles.e_PlayerRole_CB),
        (-0.5, 0.06, roles.e_PlayerRole_CB),
        (-0.42, 0.2, roles.e_PlayerRole_RB),
        (-0.18, -0.11, roles.e_PlayerRole_CM),
        (-0.27, 0.0, roles.e_PlayerRole_CM),
        (-0.18, 0.11, roles.e_PlayerRole_CM),
        (-0.01, -0.22, roles.e_PlayerRole_LM),
    )
    scenario = engine.ScenarioConfig.make()
    for x, y, role in formation:
        scenario.left_team.append(engine.FormationEntry(x, y, role, False, True))
        scenario.right_team.append(engine.FormationEntry(min(x, -0.05), y, role, False, True))
    scenario.game_duration = 1_000_000
    scenario.deterministic = False
    scenario.game_engine_random_seed = seed
    scenario.left_team_difficulty = scenario.right_team_difficulty = 1.0
    scenario.left_agents = scenario.right_agents = 0
    return scenario

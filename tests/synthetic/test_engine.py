"""Engine matches: what the engine's state says about actions, its camera, and pictures whose tracks are true."""

import importlib.util
import json
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.synthetic.camera import View, aim
from e2espot.synthetic.engine import game
from e2espot.synthetic.engine.events import Record, actions_of
from e2espot.synthetic.specs import DatasetSpec

HAS_ENGINE = importlib.util.find_spec("gfootball_engine") is not None
needs_engine = pytest.mark.skipif(not HAS_ENGINE, reason="Google Research Football is not installed (make engine)")


class Script:
    """A match written by hand: the ball moves in straight lines, and one player at most controls it."""

    def __init__(self, at=(50.0, 30.0)):
        self.ball, self.owner, self.in_play = [np.array([*at, 0.11])], [-1], [True]
        self.players = {}

    def go(self, frames, velocity, owner=-1, in_play=True, z=None):
        for frame in range(frames):
            at = self.ball[-1] + np.array([*velocity, 0.0]) / 25
            at[2] = 0.11 if z is None else z[frame]
            self.ball.append(at)
            self.owner.append(owner)
            self.in_play.append(in_play)
        return self

    def stand(self, player):
        """The player stands where the ball is now."""
        self.players[player] = self.ball[-1][:2]
        return self

    def actions(self):
        frames = len(self.ball)
        players = np.zeros((frames, 22, 2)) - 50
        for player, at in self.players.items():
            players[:, player] = at
        record = Record(
            ball_T3=np.array(self.ball),
            players_TP2=players,
            owner_T=np.array(self.owner),
            in_play_T=np.array(self.in_play),
        )
        return [(action.label, action.player, action.frame) for action in actions_of(record)]


def arc(frames, top):
    return 0.11 + top * np.sin(np.linspace(0, np.pi, frames))


def test_a_reception_that_is_kept_is_a_drive_and_the_kick_a_pass():
    script = Script().go(10, (10, 0)).go(25, (4, 0), owner=3).go(20, (0, 12)).go(15, (0, 0.2), owner=5)
    assert script.actions() == [("DRIVE", 3, 11), ("PASS", 3, 35)]


def test_a_ball_played_on_at_once_has_no_drive():
    script = Script().go(10, (10, 0)).go(5, (1, 0), owner=3).go(20, (0, 12)).go(40, (1, 0), owner=5)
    labels = [label for label, player, _ in script.actions() if player == 3]
    assert labels == ["PASS"]


def test_a_ball_that_two_players_fight_for_is_not_passed():
    script = Script().go(20, (0, 0.1), owner=3).go(3, (9, 0), owner=15).go(2, (-9, 0), owner=3).go(30, (0, 12))
    assert [action[:2] for action in script.actions()] == [("PASS", 3)]


def test_a_ball_knocked_on_by_a_runner_is_neither_pass_nor_second_drive():
    script = Script().go(5, (10, 0)).go(15, (4, 0), owner=3).go(12, (8, 0)).go(15, (4, 0), owner=3).go(30, (0, 0))
    assert script.actions() == [("DRIVE", 3, 6)]


def test_the_first_touch_begins_a_drive_even_where_control_follows_later():
    script = Script().go(10, (12, 0)).stand(4).go(12, (-1, 3)).go(20, (-3, 1), owner=4).go(10, (-3, 1))
    (label, player, frame), *_ = script.actions()
    assert (label, player) == ("DRIVE", 4) and abs(frame - 10) <= 2


@pytest.mark.parametrize(
    ("label", "start", "velocity", "top_m"),
    [
        ("SHOT", (90, 34), (24, 0), 0.5),
        ("CROSS", (95, 8), (0.5, 20), 3.0),
        ("HIGH PASS", (40, 20), (16, 4), 5.0),
        ("PASS", (40, 20), (16, 4), 0.3),
        ("PASS", (90, 34), (-15, 0), 0.3),
    ],
)
def test_the_flight_names_the_kick(label, start, velocity, top_m):
    script = Script(start).go(20, (0, 0.2), owner=9).go(30, velocity, z=arc(30, top_m)).go(20, (0, 0), owner=20)
    assert [name for name, player, _ in script.actions() if player == 9] == [label]


def test_the_right_team_shoots_at_the_other_goal():
    script = Script((15, 34)).go(20, (0, 0.2), owner=20).go(15, (-24, 0)).go(20, (0, 0))
    assert ("SHOT", 20) in {action[:2] for action in script.actions()}


def test_a_ball_struck_in_the_air_is_a_header_and_a_restart_a_free_kick():
    header = Script().go(20, (0, 0.1), owner=7, z=np.full(20, 1.9)).go(20, (12, 0), z=np.full(20, 1.5))
    assert [action[0] for action in header.actions()] == ["HEADER"]
    restart = Script().go(20, (0, 0.1), owner=7, in_play=False).go(30, (12, 0))
    assert [action[0] for action in restart.actions()] == ["FREE KICK"]


def test_a_ball_that_bounces_off_a_player_is_a_block():
    script = Script().go(25, (15, 0)).stand(14).go(25, (-3, 10)).go(20, (0, 0))
    assert [action[:2] for action in script.actions()] == [("BALL PLAYER BLOCK", 14)]


CAMERA = struct.pack("<14f", 0.5, 0, 0, 0.75**0.5, 0, 0, 0, 1, 3, -58, 29, 21, 29, 200)
VIEW = View(centre_3=np.array([52.5, -30.0, 18.0]), axes_33=aim(0.2, 0.3), focal=600.0, size=(400, 224))


def test_a_camera_is_put_into_the_saved_state_and_nothing_else_changes():
    before = struct.pack("<30f", *np.linspace(-300, 200, 30)) + b"\1"
    after = struct.pack("<10f", *[200.0] * 10)  # looks like the end of a camera, but no quaternion precedes it
    moved = game._with_camera(before + CAMERA + after, VIEW, 500.0)
    assert moved[: len(before) - 1] == before[:-1] and moved[len(before) - 1] == 0
    assert moved[len(before) + len(CAMERA) :] == after
    values = struct.unpack("<14f", moved[len(before) : len(before) + len(CAMERA)])
    assert np.allclose(values[8:11], [0, -64, 18])
    assert np.isclose(values[11], np.degrees(2 * np.arctan(112 / 500)))
    assert values[13] == 200
    # Without a view the engine only stops moving its camera.
    assert game._with_camera(before + CAMERA + after, None, 0.0) == before[:-1] + b"\0" + CAMERA + after


def test_a_camera_that_films_the_referee_is_known_and_taken_back():
    filming = CAMERA[:-4] + struct.pack("<f", 220)
    state = b"\1" * 9 + filming + b"\0" * 40
    assert game._farthest_m(state) == 220
    assert game._with_camera(state, None, 0.0) == b"\1" * 8 + b"\0" + CAMERA + b"\0" * 40


def test_another_version_of_the_engine_is_refused():
    with pytest.raises(ConfigurationError, match=r"install 2\.10\.2"):
        game._with_camera(bytes(2000), VIEW, 500.0)


def test_the_quaternions_turn_the_engine_s_camera_as_the_view():
    packed = struct.unpack("<14f", game._packed(VIEW, 500.0))
    (tx, _, _, tw), (_, _, pz, pw) = packed[:4], packed[4:8]
    tilt, pan = 2 * np.arctan2(tx, tw), 2 * np.arctan2(pz, pw)
    turn = np.array([[np.cos(pan), -np.sin(pan), 0], [np.sin(pan), np.cos(pan), 0], [0, 0, 1]])
    lift = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    right, up, back = (turn @ lift).T
    assert np.allclose([right, -up, -back], VIEW.axes_33, atol=1e-6)


def test_the_engine_sets_its_own_pace():
    with pytest.raises(ConfigurationError, match="density is 2"):
        DatasetSpec(world="engine", density=2).plan()


def test_steps_between_pictures_are_for_engine_matches():
    DatasetSpec(world="engine", picture_step=2).plan()
    with pytest.raises(ConfigurationError, match="picture_step is 2"):
        DatasetSpec(world="tv", picture_step=2).plan()


@pytest.mark.skipif(HAS_ENGINE, reason="Google Research Football is installed")
def test_without_the_engine_the_command_names_it(tmp_path):
    command = [sys.executable, "-m", "e2espot", "render", str(tmp_path / "out"), "--world", "engine"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "make engine" in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@needs_engine
def test_pictures_show_the_ball_where_the_track_says(tmp_path):
    """In a process of its own, as the engine draws one match in a process."""
    script = """
import sys, dataclasses, numpy as np
from e2espot.synthetic.engine.play import play_engine
from e2espot.synthetic.engine.stage import build_engine_stage
from e2espot.synthetic.specs import DatasetSpec
spec = DatasetSpec(games=3, seed=3, minutes=0.3, world="engine", picture_step=25).plan()[0][0]
play = play_engine(spec)
stage = build_engine_stage(spec, play)
plain = dataclasses.replace(
    stage.look.television, ball_dark=(255.0, 0.0, 255.0), halo=0.0, quality=0, least_ball_px=1.2,
    colours_34=np.eye(3, 4), curve_256=np.arange(256, dtype=np.uint8))
look = stage.look.replace(ball=(255.0, 0.0, 255.0), blur=0.0, television=plain)
stage = dataclasses.replace(stage, look=look)
xy_T2, seen_T = stage.ball_track()
hits = []
for frame, picture in enumerate(stage.pictures()):
    if frame % 25 == 0 and seen_T[frame]:
        x, y = (xy_T2[frame] * stage.video_size).astype(int)
        near = picture[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].astype(int)
        hits.append(int((np.minimum(near[..., 0], near[..., 2]) - near[..., 1]).max()) > 40)
assert len(hits) >= 8 and hits[0] and np.mean(hits) >= 0.8, hits
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


@needs_engine
def test_the_command_writes_games_like_painted_ones(tmp_path):
    command = [sys.executable, "-m", "e2espot", "render", str(tmp_path), "--world", "engine", "--picture_step", "5"]
    subprocess.run([*command, "--games", "1", "--minutes", "0.04"], check=True)
    (folder,) = (tmp_path / "rendered/season-0").iterdir()
    assert {path.name for path in folder.iterdir()} >= {"224p.mp4", "Labels-ball.json", "tracks.npz", "render.json"}
    tracks = np.load(folder / "tracks.npz")
    assert tracks["ball_xy"].shape == (60, 2) and tracks["players_xy"].shape == (60, 22, 2)
    rows = json.loads((folder / "Labels-ball.json").read_text())["annotations"]
    assert {row["label"] for row in rows} <= {"PASS", "DRIVE"}


@needs_engine
def test_the_same_seed_plays_the_same_match():
    from e2espot.synthetic.engine.play import play_engine

    first, *_ = DatasetSpec(games=3, seed=3, world="engine").plan()[0]
    plays = [play_engine(replace(first, frames=100)) for _ in range(2)]
    assert np.array_equal(plays[0].ball_T3, plays[1].ball_T3)

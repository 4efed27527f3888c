import json

import numpy as np
import pytest

from e2espot.synthetic.actions import Play
from e2espot.synthetic.attacks import POST_M, goal_of
from e2espot.synthetic.formation import attack_sign
from e2espot.synthetic.match import label_files, simulate_game
from e2espot.synthetic.play import simulate
from e2espot.synthetic.specs import DatasetSpec

MINUTES = 10


@pytest.fixture(scope="module")
def play() -> Play:
    return simulate(np.random.default_rng(3), frames=MINUTES * 1500, density=1.4, attacks=True)


def _of(play: Play, label: str):
    return [action for action in play.actions if action.label == label and 1 < action.frame < len(play.ball_T3) - 40]


def test_attacks_are_frequent_enough_to_learn_from(play):
    assert len(_of(play, "SHOT")) >= MINUTES / 2
    assert len(_of(play, "CROSS")) >= MINUTES / 4
    assert len(_of(play, "HEADER")) >= MINUTES / 10


def test_shot_leaves_the_foot_towards_the_goal_faster_than_passes(play):
    for shot in _of(play, "SHOT"):
        before, after = play.ball_T3[shot.frame], play.ball_T3[shot.frame + 2]
        speed_m_s = np.linalg.norm(after - before) / 0.08
        assert 9 < speed_m_s < 35
        assert (after[0] - before[0]) * attack_sign(shot.player) > 0
        assert abs(before[0] - goal_of(shot.player)[0]) < 31


def test_cross_goes_from_the_wing_to_the_front_of_the_goal(play):
    for cross in _of(play, "CROSS"):
        assert abs(play.ball_T3[cross.frame, 1] - 34) > 12
        nearest_m = np.abs(play.ball_T3[cross.frame : cross.frame + 80, 1] - 34).min()
        assert nearest_m < abs(play.ball_T3[cross.frame, 1] - 34) - 4


def test_header_meets_a_high_ball(play):
    for header in _of(play, "HEADER"):
        assert play.ball_T3[header.frame, 2] == pytest.approx(1.75, abs=0.4)


def test_goal_is_followed_by_a_restart_in_the_middle(play):
    in_net = (np.abs(play.ball_T3[:, 0] - 52.5) > 53.2) & (np.abs(play.ball_T3[:, 1] - 34) < POST_M) & play.dead_T
    goals = np.flatnonzero(in_net & ~np.roll(in_net, 1))
    restarts = 0
    for goal in goals:
        alive = np.flatnonzero(~play.dead_T[goal:])
        if len(alive):
            spot_2 = play.ball_T3[goal + alive[0], :2]
            restarts += np.hypot(*(spot_2 - (52.5, 34.0))) < 3
    assert restarts >= 1


def test_ball_never_jumps(play):
    steps_m = np.linalg.norm(np.diff(play.ball_T3, axis=0), axis=1)
    assert steps_m.max() * 25 < 40


def test_attacks_of_televised_matches_have_a_label_file_of_their_own():
    for world, seen in (("tv", True), ("plain", False)):
        (spec, *_), _ = DatasetSpec(games=3, minutes=3, seed=2, density=1.4, world=world).plan()
        play = simulate_game(spec)
        assert any(action.label == "SHOT" for action in play.actions) is seen
        files = label_files(spec, play.actions, np.ones(spec.frames, dtype=bool))
        written = {name: {row["label"] for row in json.loads(text)["annotations"]} for name, text in files.items()}
        assert written["Labels-ball.json"] == {"PASS", "DRIVE"}
        assert ("SHOT" in written.get("Labels-other.json", ())) is seen
        assert not written.get("Labels-other.json", set()) & {"PASS", "DRIVE"}

import numpy as np
import pytest

from e2espot.synthetic.actions import Play
from e2espot.synthetic.match import label_files, simulate_game
from e2espot.synthetic.measure import event_statistics
from e2espot.synthetic.play import simulate
from e2espot.synthetic.specs import DatasetSpec, GameSpec


@pytest.fixture(scope="module")
def play() -> Play:
    return simulate(np.random.default_rng(5), frames=20 * 1500)


def test_labels_are_equal_for_equal_seeds_only():
    specs, _ = DatasetSpec(games=2, minutes=2, seed=4).plan()
    texts = []
    for spec in (specs[0], specs[0], specs[1]):
        play = simulate_game(spec)
        texts.append(label_files(spec, play.actions, np.ones(spec.frames, dtype=bool))["Labels-ball.json"])
    assert texts[0] == texts[1] != texts[2]


def test_simulate_matches_statistics_of_real_matches(play):
    statistics = event_statistics([(list(play.actions), len(play.ball_T3))])
    assert 11.0 < float(statistics["events per minute"]) < 14.6
    assert 0.50 < float(statistics["PASS share"]) < 0.62
    assert 0.62 < float(statistics["DRIVE after PASS"]) < 0.8
    median = float(statistics["interval, s"].split()[3])
    assert 1.2 < median < 1.8


@pytest.mark.parametrize("density", [0.5, 2.0])
def test_density_multiplies_events_per_minute(density):
    play = simulate(np.random.default_rng(1), frames=8 * 1500, density=density)
    assert len(play.actions) / 8 == pytest.approx(12.8 * density, rel=0.15)


def test_ball_leaves_the_foot_at_the_frame_of_a_pass(play):
    for action in play.actions:
        if action.label != "PASS" or action.frame + 8 >= len(play.ball_T3):
            continue
        gap = np.linalg.norm(
            play.ball_T3[action.frame : action.frame + 9, :2]
            - play.players_TP2[action.frame : action.frame + 9, action.player],
            axis=1,
        )
        assert gap[0] < 0.8
        assert gap[8] > 1.0
        moved = np.linalg.norm(play.ball_T3[action.frame + 1] - play.ball_T3[action.frame])
        assert moved > 0.1


def test_drive_is_followed_by_ball_at_the_foot_of_the_same_player(play):
    for action in play.actions:
        if action.label == "DRIVE" and action.frame + 11 < len(play.ball_T3):
            carrier = play.carrier_T[action.frame : action.frame + 10]
            assert (carrier == action.player).all()


def test_touches_and_feints_swing_the_leg_without_an_event(play):
    frames = {(action.frame, action.player) for action in play.actions if action.label == "PASS"}
    strikes = np.argwhere(play.swing_TP == 7)
    feigned = [tuple(strike) for strike in strikes.tolist() if tuple(strike) not in frames]
    assert len(feigned) > 20


def test_speeds_of_players_and_ball_are_bounded(play):
    speed = np.linalg.norm(np.diff(play.players_TP2, axis=0), axis=2) * 25
    assert speed.max() < 9.0
    step = np.linalg.norm(np.diff(play.ball_T3, axis=0), axis=1) * 25
    assert step[~play.dead_T[1:]].max() < 45.0


def test_plan_assigns_splits_in_order():
    specs, splits = DatasetSpec(games=6, test_minutes=5).plan()
    names = [spec.name for spec in specs]
    assert splits == {"train": names[:4], "valid": names[4:5], "test": names[5:]}
    assert [spec.frames for spec in specs] == [3000] * 5 + [7500]
    assert isinstance(specs[0], GameSpec)
    _, few = DatasetSpec(games=2, test_minutes=5).plan()
    assert len(few["train"]) == 2 and not few["valid"] and not few["test"]

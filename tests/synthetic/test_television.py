"""The televised world: pictures whose tracks are true, and the variety that television has."""

import json
from dataclasses import replace

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from e2espot.core.errors import ConfigurationError  # noqa: E402
from e2espot.synthetic import match  # noqa: E402
from e2espot.synthetic.boards import sample_surroundings  # noqa: E402
from e2espot.synthetic.broadcast import sample_television  # noqa: E402
from e2espot.synthetic.camera import LIVE, Shots, aim  # noqa: E402
from e2espot.synthetic.figures import cast  # noqa: E402
from e2espot.synthetic.graphics import draw_graphics, sample_graphics  # noqa: E402
from e2espot.synthetic.measure import picture_statistics  # noqa: E402
from e2espot.synthetic.paint import paint  # noqa: E402
from e2espot.synthetic.specs import DatasetSpec  # noqa: E402


def spec(index=0, frames=150, seed=2):
    specs, _ = DatasetSpec(games=6, minutes=1, seed=seed, world="tv").plan()
    return replace(specs[index], frames=frames)


def stage_of(index, frames=150):
    return match.build_stage(spec(index, frames), match.simulate_game(spec(index, frames)))


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_ball_track_is_where_the_televised_ball_is_painted(index):
    stage = stage_of(index, frames=250)  # the camera is late for a long ball at the end of a video
    xy_T2, visible_T = stage.ball_track()
    checked = 0
    for picture in np.flatnonzero(visible_T)[::12]:
        with_ball, without = (paint(stage, int(picture), with_ball=flag).astype(float) for flag in (True, False))
        assert with_ball.shape == (224, 398, 3)
        change = np.abs(with_ball - without).sum(axis=2)
        at_2 = xy_T2[picture] * (398, 224) - 0.5
        if change.max() < 60 or stage.play.ball_T3[picture, 2] > 0.1:
            continue  # under graphics, or far from its shadow
        row, column = np.unravel_index(change.argmax(), change.shape)
        assert np.hypot(column - at_2[0], row - at_2[1]) < 3 + 0.3 * stage.look.player_px * 0.12, picture
        checked += 1
    assert checked >= 3


def test_pictures_are_a_function_of_the_seed_and_the_index():
    first, again, other = paint(stage_of(1), 40), paint(stage_of(1), 40), paint(stage_of(2), 40)
    assert (first == again).all()
    assert (first != other).mean() > 0.5


def test_sample_television_covers_the_colours_and_scales_of_real_footage():
    looks = [sample_television(np.random.default_rng(seed)) for seed in range(300)]
    hue_saturation = [cv2.cvtColor(np.uint8([[look.ball]]), cv2.COLOR_BGR2HSV)[0, 0, :2] for look in looks]
    hue, saturation = np.array(hue_saturation).T.astype(int)
    strong = saturation > 90
    white, yellow, orange = (~strong).mean(), (strong & (hue > 20) & (hue < 40)).mean(), (strong & (hue < 18)).mean()
    assert white > 0.4 and yellow > 0.1 and orange > 0.04
    players_px = np.array([look.player_px for look in looks])
    assert (players_px < 11).mean() > 0.05 and (players_px > 30).mean() > 0.05
    assert 0.02 < np.mean([look.camera_m[0] < 0 for look in looks]) < 0.15, "behind the goal"
    assert {look.television.pattern for look in looks} == {
        *("stripes", "hoops", "checks", "diagonals", "circles", "none")
    }
    assert {look.television.lamps for look in looks} == {1, 4}
    referees = {tuple(np.round(np.array(look.kits[4][0]) / 90)) for look in looks}
    assert len(referees) >= 4


def test_cast_places_assistants_on_their_halves_of_the_lines():
    play = match.simulate_game(spec(0, 800))
    people = cast(play, assistants=True)
    assert people.ground_TN2.shape == (800, 25, 2)
    near_T2, far_T2 = people.ground_TN2[:, 23], people.ground_TN2[:, 24]
    assert (near_T2[:, 1] < 0).all() and (far_T2[:, 1] > 68).all()
    assert near_T2[:, 0].max() <= 52.5 + 1e-6 and far_T2[:, 0].min() >= 52.5 - 1e-6
    np.testing.assert_array_equal(people.ground_TN2[:, :23], cast(play).ground_TN2)


def test_repeated_shows_every_so_many_th_picture_as_the_one_before():
    count = np.arange(7, dtype=float)
    shots = Shots(kind_T=count.astype(np.uint8), moment_T=count, pan_T=count, tilt_T=count, focal_T=count)
    assert shots.repeated(3).moment_T.tolist() == [0, 1, 1, 3, 4, 4, 6]
    assert shots.repeated(3).pan_T.tolist() == [0, 1, 1, 3, 4, 4, 6]
    assert shots.repeated(0).moment_T.tolist() == count.tolist()


def test_ball_track_of_a_repeated_picture_is_that_of_the_picture_shown():
    stage = stage_of(0)
    stage = replace(stage, shots=replace(stage.shots, kind_T=np.full(150, LIVE, np.uint8)).repeated(5))
    xy_T2, _ = stage.ball_track()
    np.testing.assert_array_equal(xy_T2[4::5], xy_T2[3::5])
    assert (xy_T2[1:4] != xy_T2[:3]).any()


def test_boards_move_and_change_over_time():
    from e2espot.synthetic.boards import draw_surroundings
    from e2espot.synthetic.camera import View

    around = replace(sample_surroundings(np.random.default_rng(0)), speed_m_s=2.0)
    view = View(centre_3=np.array([52.5, -35.0, 16.0]), axes_33=aim(0.0, 0.2), focal=500.0, size=(398, 224))
    frames = np.zeros((3, 224, 398, 3), np.uint8)
    for frame, second in zip(frames, (0.0, 0.0, 0.4), strict=True):
        draw_surroundings(frame, view, around, second)
    assert (frames[0] == frames[1]).all()
    assert (frames[0] != frames[2]).any()
    assert (frames[0] > 0).any(axis=2).mean() < 0.4, "boards only, not the whole picture"


def test_draw_graphics_runs_the_clock_and_hides_the_bug_in_replays():
    graphics = sample_graphics(np.random.default_rng(1), (398, 224), 60.0)
    graphics = replace(graphics, bug=sample_graphics(np.random.default_rng(3), (398, 224), 60.0).bug, logos=(), bars=0)
    graphics = replace(graphics, banner_times_s=np.empty((0, 2)))
    pictures = []
    for second, live in ((1.0, True), (1.9, True), (2.0, True), (2.0, False)):
        frame = np.full((224, 398, 3), 90, np.uint8)
        draw_graphics(frame, graphics, second, live=live)
        pictures.append(frame)
    assert (pictures[0] == pictures[1]).all() and (pictures[1] != pictures[2]).any()
    assert (pictures[3] == 90).all()


def test_is_complete_takes_games_of_versions_without_worlds_as_plain(tmp_path):
    plain = replace(spec(), world="plain")
    for one, expected in ((plain, True), (spec(), False)):
        folder = tmp_path / one.name
        folder.mkdir(parents=True, exist_ok=True)
        stored = {key: value for key, value in vars(plain).items() if key != "world"}
        (folder / "render.json").write_text(json.dumps(stored))
        assert match.is_complete(one, tmp_path) is expected


def test_plan_makes_every_fourth_game_of_a_mixed_world_plain():
    specs, _ = DatasetSpec(games=8, world="mixed").plan()
    assert [spec.world for spec in specs] == ["tv", "tv", "tv", "plain"] * 2


def test_plan_refuses_an_unknown_world():
    with pytest.raises(ConfigurationError, match="plain, tv, mixed"):
        DatasetSpec(world="moon").plan()


def test_render_game_writes_a_televised_video_whose_statistics_are_like_those_of_real_footage(tmp_path):
    pytest.importorskip("av")
    rows = []
    for index in range(6):
        match.render_game(spec(index, 30), tmp_path)
        rows.append(picture_statistics(tmp_path / spec(index).name / "224p.mp4", stride=15))
    medians = {key: float(np.median(np.concatenate([row[key] for row in rows]))) for key in rows[0]}
    assert 60 < medians["brightness"] < 135
    assert 18 < medians["contrast"] < 60
    assert 6 < medians["detail"] < 25

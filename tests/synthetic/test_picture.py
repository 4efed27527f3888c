import json
from dataclasses import replace

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from e2espot.core.errors import ConfigurationError  # noqa: E402
from e2espot.synthetic import encode, match  # noqa: E402
from e2espot.synthetic.camera import LIVE, follow  # noqa: E402
from e2espot.synthetic.dataset import render_dataset  # noqa: E402
from e2espot.synthetic.look import sample_look  # noqa: E402
from e2espot.synthetic.paint import paint  # noqa: E402
from e2espot.synthetic.play import simulate  # noqa: E402
from e2espot.synthetic.specs import DatasetSpec  # noqa: E402


def spec(index=0, frames=200):
    specs, _ = DatasetSpec(games=3, minutes=1, seed=2).plan()
    return replace(specs[index], frames=frames)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_ball_track_is_the_centre_of_the_painted_ball(index):
    stage = match.build_stage(spec(index), match.simulate_game(spec(index)))
    xy_T2, visible_T = stage.ball_track()
    checked = 0
    for picture in np.flatnonzero(visible_T)[::9]:
        with_ball, without = (paint(stage, int(picture), with_ball=flag).astype(float) for flag in (True, False))
        # Only what is brighter: the shadow is darker, and a passing leg may hide the rest.
        change = np.maximum(with_ball - without, 0).sum(axis=2)
        change[change < 0.25 * change.max()] = 0
        at = xy_T2[picture] * stage.size - 0.5
        if change.max() < 150 or not (8 < at[0] < 390 and 8 < at[1] < 216):
            continue
        rows, columns = np.mgrid[: stage.size[1], : stage.size[0]]
        centre = np.array([(columns * change).sum(), (rows * change).sum()]) / change.sum()
        checked += 1
        assert np.abs(centre - at).max() < 1.6, picture
    assert checked >= 5


def test_camera_motion_does_not_correlate_with_events():
    correlations = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        play = simulate(rng, frames=5 * 1500, density=2.0)
        shots = follow(rng, play, sample_look(rng), (398, 224))
        pan = np.gradient(shots.pan_T)
        jerk = np.abs(np.gradient(np.gradient(pan)))
        live = (shots.kind_T == LIVE) & ~play.dead_T
        live &= np.convolve(np.abs(np.diff(shots.kind_T.astype(int), prepend=0)), np.ones(9), "same") == 0
        event = np.zeros(len(live))
        event[[action.frame for action in play.actions]] = 1
        correlations += [np.corrcoef(signal[live], event[live])[0, 1] for signal in (np.abs(pan), jerk)]
    assert np.abs(np.mean(np.reshape(correlations, (4, 2)), axis=0)).max() < 0.05


def test_render_dataset_writes_soccernet_layout_and_skips_existing_games(tmp_path):
    av = pytest.importorskip("av")
    splits = render_dataset(tmp_path, DatasetSpec(games=3, minutes=0.1, seed=7), jobs=1)
    assert json.loads((tmp_path / "splits.json").read_text()) == splits
    for name in [*splits["train"], *splits["valid"], *splits["test"]]:
        assert name.startswith("rendered/")
        body = json.loads((tmp_path / name / "Labels-ball.json").read_text())
        for row in body["annotations"]:
            assert row["label"] in ("PASS", "DRIVE") and row["visibility"] in ("visible", "not shown")
            assert row["team"] in ("left", "right") and int(row["position"]) % 40 == 20
        tracks = np.load(tmp_path / name / "tracks.npz")
        assert tracks["ball_xy"].shape == (150, 2) and tracks["ball_xy"].dtype == np.float32
        assert tracks["ball_visible"].dtype == bool and tracks["players_xy"].shape == (150, 22, 2)
        with av.open(str(tmp_path / name / "224p.mp4")) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height, stream.average_rate) == (398, 224, 25)
            assert sum(1 for _ in container.decode(video=0)) == 150
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    render_dataset(tmp_path, DatasetSpec(games=3, minutes=0.1, seed=7), jobs=1)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}


def test_write_video_gives_the_same_bytes_for_the_same_pictures(tmp_path):
    """Also when the memory that the encoder is given holds other bytes."""
    pytest.importorskip("av")
    stage = match.build_stage(spec(), match.simulate_game(spec()))
    pictures = [paint(stage, picture) for picture in range(60)]
    written = set()
    for attempt in range(4):
        dirt = [np.full(100_000 + 3_000 * piece, 50 * attempt + piece, np.uint8) for piece in range(100)]
        del dirt[:: attempt + 1]
        encode.write_video(tmp_path / "one.mp4", pictures, stage.look, stage.size)
        written.add((tmp_path / "one.mp4").read_bytes())
    assert len(written) == 1


def test_interrupted_render_game_leaves_no_files(tmp_path, monkeypatch):
    def stop(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(encode, "write_video", stop)
    with pytest.raises(KeyboardInterrupt):
        match.render_game(spec(), tmp_path)
    assert not list(tmp_path.rglob("*.mp4")) and not list(tmp_path.rglob("Labels-ball.json"))
    assert not any("part" in path.name for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("wrong", [{"games": 0}, {"minutes": 0}, {"density": 0}, {"resolution": "1080p"}])
def test_render_dataset_refuses_parameters_out_of_range(tmp_path, wrong):
    with pytest.raises(ConfigurationError):
        render_dataset(tmp_path, DatasetSpec(**wrong))

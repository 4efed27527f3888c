"""Scoring a spotter on labelled clips, here short rendered ones whose labels are exact."""

import contextlib
import io
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from e2espot.benchmarks.real_clips import ClipResult, run_on_clips
from e2espot.benchmarks.real_scores import record_of, score_clips, score_tables
from e2espot.cli import bench
from e2espot.core.errors import ConfigurationError
from e2espot.formats.games import find_games
from e2espot.formats.labelled_clips import LabelledClip, find_labelled_clips
from e2espot.inference.job import Job, load_job, predict_video, single_video
from e2espot.inference.options import InferenceOptions
from e2espot.models.weights.blend import blend
from e2espot.models.weights.checkpoint import shipped_spotter
from e2espot.models.weights.measured import RealFootageScore, read_measured
from e2espot.sources.remote import default_cache
from e2espot.synthetic.dataset import render_dataset
from e2espot.synthetic.specs import DatasetSpec

EXTRAS = (
    {"camera": "main (high)", "ball_colour": "white", "ball_px": 3},
    {"camera": "behind goal", "ball_colour": "white/yellow", "ball_px": 11},
    {},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rendered clips of 9 seconds, and one that is no video."""
    root = tmp_path_factory.mktemp("clips")
    render_dataset(root / "matches", DatasetSpec(games=3, minutes=0.15, seed=90, density=3.0), jobs=1)
    clips = root / "clips"
    clips.mkdir()
    for number, game in enumerate(find_games(root / "matches")):
        assert game.labels_path is not None
        tracks = np.load(game.folder / "tracks.npz")
        xy_T2, visible_T = tracks["ball_xy"] * (398, 224), tracks["ball_visible"]
        rows = json.loads(game.labels_path.read_text())["annotations"]
        rows[0]["certainty"] = "low"
        ball = [
            {"frame": frame, "xy": xy_T2[frame].tolist() if visible_T[frame] else None}
            for frame in range(4, len(xy_T2), 15)
        ]
        (clips / f"clip_{number}.mp4").write_bytes(game.videos[0].path.read_bytes())
        content = {"annotations": rows, "ball": ball, **EXTRAS[number]}
        (clips / f"clip_{number}.labels.json").write_text(json.dumps(content))
    (clips / "broken.mp4").write_bytes(b"no video")
    (clips / "broken.labels.json").write_text(json.dumps(content))
    return clips


@pytest.fixture(scope="module")
def spotter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped spotter without its second set of weights, which takes four times as long."""
    file = tmp_path_factory.mktemp("spotter") / "spotter.safetensors"
    blend(shipped_spotter(), shipped_spotter(), file, share=0)
    return file


@pytest.fixture(scope="module")
def job(spotter: Path) -> Job:
    return load_job([spotter], device="cpu", options=InferenceOptions(), cache=default_cache())


@pytest.fixture(scope="module")
def plain_job(spotter: Path) -> Job:
    """Without the pass over a clip that adapts the network to it."""
    return load_job([spotter], device="cpu", options=InferenceOptions(adapt="none"), cache=default_cache())


@pytest.fixture(scope="module")
def results(folder: Path, job: Job) -> dict[str, ClipResult]:
    return {result.clip.name: result for result in run_on_clips(job, find_labelled_clips([folder]))}


@pytest.fixture(scope="module")
def scores(results: dict[str, ClipResult]) -> dict[str, Any]:
    return score_clips(list(results.values()))


@pytest.fixture(scope="module")
def two_clips(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    some = tmp_path_factory.mktemp("two")
    for file in (*folder.glob("clip_2.*"), *folder.glob("broken.*")):
        (some / file.name).write_bytes(file.read_bytes())
    return some


@dataclass(frozen=True)
class BenchReal:
    """What ``bench real --record`` prints, records and writes."""

    output: str
    record: RealFootageScore | None
    figures: dict[str, Any]


@pytest.fixture(scope="module")
def bench_real(two_clips: Path, spotter: Path, tmp_path_factory: pytest.TempPathFactory) -> BenchReal:
    folder = tmp_path_factory.mktemp("bench")
    run, output = folder / "spotter.safetensors", io.StringIO()
    run.write_bytes(spotter.read_bytes())
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.setenv(bench.CLIPS_VARIABLE, str(two_clips))
        bench.main(["real", "--run", str(run), "--record", "--json", str(folder / "real.json")])
    figures = json.loads((folder / "real.json").read_text())["figures"]["real"]
    return BenchReal(output.getvalue(), read_measured(run), figures)


def test_find_labelled_clips_leaves_out_uncertain_labels_and_hidden_balls(folder: Path) -> None:
    clips = {clip.name: clip for clip in find_labelled_clips([folder])}
    clip = clips["clip_0"]
    content = json.loads((folder / "clip_0.labels.json").read_text())
    assert clip.num_uncertain == 1
    assert len(clip.events) == len(content["annotations"]) - 1
    assert len(clip.ball) == sum(entry["xy"] is not None for entry in content["ball"])
    assert (clip.camera, clip.ball_colour, clip.ball_px) == ("main", "white", 3)
    assert clips["clip_1"].ball_colour == "white"


def test_run_on_clips_localises_the_ball_of_rendered_clips(results: dict[str, ClipResult]) -> None:
    rendered = [result for result in results.values() if not result.refusal]
    for name in ("peak_error_B", "linked_error_B"):
        errors = [getattr(result, name) for result in rendered]
        assert [len(error_B) for error_B in errors] == [len(result.clip.ball) for result in rendered]
        # A ball elsewhere is within 1/40 in less than one frame of twenty; see the next test.
        assert (np.concatenate(errors) <= 1 / 40).mean() > 0.6


def test_run_on_clips_misses_a_ball_that_is_labelled_elsewhere(folder: Path, plain_job: Job) -> None:
    clip = next(clip for clip in find_labelled_clips([folder]) if clip.name == "clip_0")
    moved = replace(clip, ball=tuple(replace(ball, x=(ball.x + 199) % 398) for ball in clip.ball))
    (result,) = run_on_clips(plain_job, [moved])
    assert result.peak_error_B is not None
    assert (result.peak_error_B <= 1 / 40).mean() < 0.1


def test_run_on_clips_predicts_what_infer_predicts(folder: Path, job: Job, results: dict[str, ClipResult]) -> None:
    events = predict_video(job, single_video(folder / "clip_0.mp4")).events
    predictions = results["clip_0"].predictions
    assert [(event.position_ms, event.label, event.confidence) for event in events] == [
        (event.position_ms, event.label, event.value) for event in predictions
    ]


def test_score_clips_counts_a_refused_clip_as_empty_and_names_it(
    results: dict[str, ClipResult], scores: dict[str, Any]
) -> None:
    without = score_clips([result for name, result in results.items() if name != "broken"])
    assert list(scores["refused"]) == ["broken"]
    assert scores["per_clip"]["broken"]["at1"] == 0
    assert scores["per_clip"]["broken"]["ball"]["peak within 1/40"] == 0
    assert 0 < scores["metrics"]["at1"]["mAP"] < without["metrics"]["at1"]["mAP"]
    assert without["metrics"]["at1"]["mAP"] > 0.5 > without["baseline"]["at1"]


def test_score_clips_breaks_scores_down_by_what_the_labels_state(scores: dict[str, Any]) -> None:
    groups = {kind: {name: row["clips"] for name, row in rows.items()} for kind, rows in scores["groups"].items()}
    assert groups["camera"] == {"main": 1, "behind goal": 1, "not stated": 2}
    assert list(groups["ball size"]) == ["up to 6 px", "11 to 13 px", "not stated"]
    assert groups["picture height"] == {"up to 360 lines": 3, "refused": 1}
    low, high = scores["metrics"]["at1"]["interval"]
    assert low <= scores["metrics"]["at1"]["mAP"] <= high
    json.dumps(scores, allow_nan=False)
    assert "broken" in score_tables(scores)[-1].text()


def test_run_on_clips_refuses_a_ball_outside_the_video(folder: Path, plain_job: Job) -> None:
    clip: LabelledClip = find_labelled_clips([folder])[1]
    late = replace(clip, ball=(replace(clip.ball[0], picture=100_000),))
    with pytest.raises(ConfigurationError, match="labelled in picture 100000"):
        run_on_clips(plain_job, [late])


def test_bench_real_prints_tables_and_records_the_score(bench_real: BenchReal) -> None:
    assert "refused, so scored as empty: broken" in bench_real.output
    assert "| periodic baseline |" in bench_real.output
    assert bench_real.record == record_of(bench_real.figures)
    assert math.isclose(bench_real.record.at1, bench_real.figures["metrics"]["at1"]["mAP"], abs_tol=1e-4)


def test_bench_live_scores_look_aheads_and_latencies_and_whole_clips_as_bench_real_does(
    folder: Path,
    two_clips: Path,
    spotter: Path,
    bench_real: BenchReal,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture, tables = tmp_path / "live.svg", tmp_path / "live.json"
    matches, run = str(folder.parent / "matches"), ["--run", str(spotter)]
    bench.main(["live", matches, str(two_clips), *run, "--json", str(tables), "--picture", str(picture)])
    real = bench_real.figures["metrics"]["at1"]["mAP"]
    of_live = json.loads(tables.read_text())["tables"]
    assert [table["title"].split(", ")[0] for table in of_live] == ["look-ahead", "latency"] * 2
    assert "test split" in of_live[0]["title"] and "labelled clips" in of_live[2]["title"]
    for table in of_live[2:]:
        assert table["rows"][0] == ["offline", f"{100 * real:.1f}", "+0.0"]
    assert [row[0] for row in of_live[0]["rows"]] == ["offline", "4 s", "2 s", "1 s", "0.5 s"]
    assert [row[0] for row in of_live[1]["rows"]] == ["offline", "4 s", "3 s", "2 s", "1.5 s", "1 s"]
    assert ElementTree.fromstring(picture.read_text()).tag.endswith("svg")
    assert picture.read_text().count("<circle") == 2 * (4 + 5)
    assert "| 4 s |" in capsys.readouterr().out


def test_bench_real_asks_for_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(bench.CLIPS_VARIABLE, raising=False)
    with pytest.raises(ConfigurationError, match="no labelled clips are named"):
        bench.main(["real"])

"""Several games at once: finished ones are skipped on request, a bad one fails alone."""

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2espot.cli.main import main
from e2espot.formats.games import find_games
from e2espot.inference.job import VideoResult
from e2espot.inference.predict import spot_video
from e2espot.inference.results import BatchResults
from tests.support.conversions import run_conversion
from tests.support.numbered_video import constant, overwrite_packets, packet_extents, write
from tests.support.tiny_dataset import write_game, write_spotter


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spotter(tmp_path_factory.mktemp("run") / "run.safetensors")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed, name in enumerate("abc"):
        write_game(tmp_path / "data" / "toy" / name, seed, num_frames=30)
    return tmp_path / "data"


def infer(*arguments: object) -> int:
    """Without adaptation, which decodes each video a first time; tests/inference/test_adapt.py is about that."""
    try:
        main(["infer", *map(str, arguments), "--device", "cpu", "--adapt", "none"])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_bad_video_fails_its_game_only(
    weights: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = data / "toy" / "b" / "224p.mp4"
    video.write_bytes(video.read_bytes()[:2000])
    assert infer(weights, data, "-o", tmp_path / "out") == 2
    stderr = capsys.readouterr().err
    assert stderr.splitlines()[-1].startswith("error: 1 of 3 games have no results: ")
    assert "b/224p.mp4" in stderr.splitlines()[-1]
    results = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.json"))
    assert results == ["toy/a/results_spotting.json", "toy/c/results_spotting.json"]


def test_ranges_read_of_a_damaged_video_are_reported(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = constant(Fraction(25), 300, options={"g": "50", "bf": "0"}, container_options={"movflags": "faststart"})
    path, out = write(tmp_path / "match", video), tmp_path / "out"
    overwrite_packets(path, slice(100, 150))
    path.write_bytes(path.read_bytes()[: packet_extents(path)[275][0]])
    assert infer(weights, path, "-o", out) == 2
    capsys.readouterr()
    assert infer(weights, path, "-o", out, "--allow_truncated", "--save_scores") == 0
    results = json.loads((out / "match" / "results_spotting.json").read_text())
    # The picture before the damage is shown for another second.
    stretches = [{"from": 0, "to": 4960}, {"from": 6000, "to": 10960}]
    assert results["readable"] == [{"half": "1", "stretches": stretches, "promised_to": 12000}]
    assert "match (match.mp4): read only 0:00.0 to 0:04.9 and 0:06.0 to 0:10.9, of 0:12.0" in capsys.readouterr().out
    with np.load(out / "match" / "scores.npz") as stored:
        assert not stored["scores_TK"][~stored["valid_T"]].any()
        assert (~stored["valid_T"]).sum() == 13
    assert all(int(row["position"]) // 80 not in range(62, 75) for row in results["predictions"])


def test_resume_never_keeps_results_of_an_earlier_run(
    weights: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert infer(weights, data, "-o", out, "--save_scores") == 0
    results = {name: out / "toy" / name / "results_spotting.json" for name in "abc"}
    for path in results.values():
        path.write_bytes(b"of other weights")
    add = BatchResults.add

    def stopped_after_one(batch: BatchResults, result: VideoResult) -> Any:
        if result.video.game == "toy/b":
            raise KeyboardInterrupt
        return add(batch, result)

    with monkeypatch.context() as patch:
        patch.setattr(BatchResults, "add", stopped_after_one)
        assert infer(weights, data, "-o", out) == 130
    assert {name for name, path in results.items() if path.read_bytes() == b"of other weights"} == {"b", "c"}
    assert infer(weights, data, "-o", out, "--resume") == 0
    assert all(path.read_bytes() != b"of other weights" for path in results.values())
    # Scores were not asked for this time, and the earlier ones belong to other events.
    assert {path.name for path in out.rglob("*") if path.is_file()} == {"results_spotting.json"}


def test_video_named_of_dots_writes_nothing_outside(weights: Path, data: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    (data / "...mp4").symlink_to(data / "toy" / "a" / "224p.mp4")
    assert infer(weights, data / "...mp4", "-o", tmp_path / "deep" / "out") == 2
    (data / "...mp4").unlink()
    assert sorted(tmp_path.rglob("*")) == before


def test_find_games_follows_links(data: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "toy").symlink_to(data / "toy")
    (data / "toy" / "a" / "round").symlink_to(data)
    assert [game.name for game in find_games(tmp_path / "linked", split=None)] == ["toy/a", "toy/b", "toy/c"]


def test_resume_skips_finished_games(
    weights: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert infer(weights, data, "-o", out) == 0
    first = out / "toy" / "a" / "results_spotting.json"
    whole, mark = first.read_bytes(), b"as it was"
    first.write_bytes(mark)
    (out / "toy" / "b" / "results_spotting.json").unlink()
    (out / "toy" / "b" / ".results_spotting.json.x.part").write_bytes(b"half")
    capsys.readouterr()
    assert infer(weights, data, "-o", out, "--resume") == 0
    assert "2 of 3 games have results" in capsys.readouterr().out
    assert first.read_bytes() == mark
    assert [path.name for path in (out / "toy" / "b").iterdir()] == ["results_spotting.json"]
    assert infer(weights, data, "-o", out, "--resume", "--save_scores") == 0
    assert first.read_bytes() == whole, "scores were asked for and missing"
    assert (out / "toy" / "c" / "scores.npz").is_file()
    assert infer(weights, data, "-o", out) == 0


def test_folder_of_any_videos_is_taken_as_one_game_each(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = constant(Fraction(25), 10)
    for name in ("Derby.MP4", "cup/semi final.mkv"):
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / "made", video).rename(path)
    (tmp_path / "own" / "notes.txt").write_text("no video")
    assert infer(weights, tmp_path / "own", "-o", tmp_path / "out") == 0
    results = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.json"))
    assert results == ["Derby/results_spotting.json", "cup/semi final/results_spotting.json"]
    (tmp_path / "own" / "Derby.mov").write_bytes(b"")
    assert infer(weights, tmp_path / "own", "-o", tmp_path / "out2") == 2
    assert "would both have results named 'Derby'" in capsys.readouterr().err


def test_resolution_that_is_missing_names_those_that_exist(
    weights: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(weights, data, "-o", tmp_path / "out", "--resolution", "720p") == 2
    assert "no games with 720p video; it has 224p (--resolution)" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert infer(weights, tmp_path / "empty", "-o", tmp_path / "out") == 2
    assert "no videos there" in capsys.readouterr().err


def test_unexpected_exception_costs_its_game_only(
    weights: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(spotter: Any, path: Path, *arguments: Any, **options: Any) -> Any:
        if path.parent.name == "b":
            raise ZeroDivisionError("division by zero\nin a library")
        return spot_video(spotter, path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("e2espot.inference.job.spot_video", failing)
        assert infer(weights, data, "-o", tmp_path / "out") == 2
    lines = capsys.readouterr().err.splitlines()
    report = tmp_path / "out" / "toy" / "b" / "traceback.txt"
    reason = f"failed unexpectedly (ZeroDivisionError: division by zero); the traceback is in {report}"
    assert [line for line in lines if line.startswith("toy/b: no results: ") and line.endswith(reason)]
    assert lines[-1].startswith("error: 1 of 3 games have no results: ")
    assert "Traceback" not in "".join(lines)
    assert "in failing" in report.read_text()
    results = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.json"))
    assert results == ["toy/a/results_spotting.json", "toy/c/results_spotting.json"]
    assert infer(weights, data, "-o", tmp_path / "out", "--resume") == 0
    assert not report.exists()


def test_table_counts_pictures_of_the_file(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "match", constant(Fraction(50), 100))
    assert infer(weights, path, "-o", tmp_path / "out", "--table", "200") == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if "picture" in line and "label" in line)
    rows = [line.split() for line in lines[start + 1 :] if line[:7].strip().startswith("1 -")]
    assert rows
    for row in rows:  # "1 - 00:00.44 22 PASS 0.5": at 50 pictures a second
        minutes, seconds = row[2].split(":")
        assert int(row[3]) == int(50 * (60 * int(minutes) + float(seconds)) + 1e-6)
    assert infer(weights, path, "-o", tmp_path / "out", "--table", "0") == 0
    assert not re.search("strongest|confidence", capsys.readouterr().out)
    assert infer(weights, path, "-o", tmp_path / "out", "--table", "-1") == 2


def test_also_writes_other_formats_and_resume_completes_them(
    weights: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = (weights, data, "-o", out, "--also", "csv,xml,srt,opensportslab,table")
    assert infer(*command) == 0
    output = capsys.readouterr().out
    assert "not held, or rounded, by the formats of --also: " in output.splitlines()[-1]
    folder = out / "toy" / "a"
    names = {"results_spotting.json", "events.csv", "events.xml", "a.srt", "opensportslab.json"}
    assert {path.name for path in folder.iterdir()} == names | {".also.json"}
    written = {name: (folder / name).read_bytes() for name in names}
    run_conversion(out, tmp_path / "all.csv", "soccernet", "table", predictions=True)
    of_a = [line for line in (tmp_path / "all.csv").read_text().splitlines()[1:] if line.startswith("toy/a,")]
    assert (folder / "events.csv").read_text().splitlines()[1:] == of_a
    assert len(of_a) == len(json.loads(written["results_spotting.json"])["predictions"]) > 0
    (folder / "events.xml").unlink()
    assert infer(*command, "--resume") == 0
    assert {path.name: (folder / path.name).read_bytes() for path in folder.iterdir() if path.name in names} == written
    # Another run: files of formats that are not asked for again are of other results; one that was edited stays.
    (folder / "a.srt").write_text("mine")
    assert infer(weights, data, "-o", out, "--also", "xml", "--flip") == 0
    assert {path.name for path in folder.iterdir()} == {"results_spotting.json", "events.xml", "a.srt", ".also.json"}


@pytest.mark.parametrize(
    ("also", "message"),
    [("csv,doc", "also names the format 'doc'; choose from csv, xml"), ("sportscode", "half 2"), ("soccernet", "also")],
)
def test_also_is_checked_before_any_work(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], also: str, message: str
) -> None:
    for half in (1, 2):
        (tmp_path / "data" / "g").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "g" / f"{half}_224p.mp4").write_bytes(b"")
    assert infer(weights, tmp_path / "data", "-o", tmp_path / "out", "--also", also) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_video_shorter_than_half_a_frame_is_named(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    video = write(tmp_path / "short", constant(Fraction(60), 1))
    assert infer(weights, video, "-o", tmp_path / "out") == 0
    assert "short.mp4: lasts 40 ms, no more than half a frame at 12.5 a second; there is nothing" in caplog.text
    assert "strongest" not in capsys.readouterr().out


def test_a_video_of_few_pictures_is_spotted_with_a_warning(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, rate in (("lapse", Fraction(2)), ("match", Fraction(25))):
        write(tmp_path / name, constant(rate, 6))
    assert infer(weights, tmp_path, "-o", tmp_path / "out") == 0
    lines = [line for line in caplog.messages if "pictures a second" in line]
    assert len(lines) == 1
    assert "lapse.mp4: has 2 pictures a second, and the spotter looks at 12.5" in lines[0]


def test_chapters_of_one_recording_are_named_with_what_reads_them_as_one_match(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("GX020012", "GX010012", "GX010013"):
        write(tmp_path / name, constant(Fraction(60), 1)).rename(tmp_path / f"{name}.MP4")
    assert infer(weights, tmp_path, "-o", tmp_path / "out") == 0
    lines = [line for line in caplog.messages if "chapters of one recording" in line]
    assert len(lines) == 1
    assert f"{tmp_path}/GX010012.MP4+GX020012.MP4 is one match" in lines[0]


def test_a_file_as_the_output_folder_is_refused_before_anything_is_read(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert infer(data, "-o", tmp_path / "file") == 2
    captured = capsys.readouterr()
    assert captured.err.endswith("file is a file; name a folder for the results (--out)\n") and not captured.out
    assert (tmp_path / "file").read_text() == "mine"

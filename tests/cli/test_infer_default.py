"""``e2espot infer`` without a run: which words are the run, and which spotter is used."""

from fractions import Fraction
from pathlib import Path

import pytest

from e2espot.cli.main import main
from e2espot.cli.sources import split_run
from e2espot.core.errors import ConfigurationError
from tests.support.numbered_video import constant, write
from tests.support.tiny_dataset import write_spotter


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return write_spotter(folder / "best.safetensors").parent


def test_first_word_is_the_run_when_it_holds_or_is_weights(run: Path) -> None:
    assert split_run([str(run), "a.mp4", "b.mp4"]) == (run, ("a.mp4", "b.mp4"))
    weights = run / "best.safetensors"
    assert split_run([str(weights), "a.mp4"]) == (weights, ("a.mp4",))


def test_videos_datasets_and_urls_alone_are_all_sources(tmp_path: Path) -> None:
    video, data = tmp_path / "a.mp4", tmp_path / "data"
    video.touch()
    data.mkdir()
    joined = f"{video}+a.mp4"
    for words in (
        [str(video)],
        [str(video), str(data)],
        [str(data)],
        ["s3://bucket/a.mp4", "missing.mp4"],
        [joined, "b"],
    ):
        assert split_run(words) == (None, tuple(words))


def test_misspelt_run_is_not_taken_for_a_video() -> None:
    assert split_run(["missing", "a.mp4"]) == (Path("missing"), ("a.mp4",))


def test_no_video_is_refused_with_and_without_a_run(run: Path) -> None:
    with pytest.raises(ConfigurationError, match="no video is named"):
        split_run([])
    with pytest.raises(ConfigurationError, match="is a run, and no video follows it"):
        split_run([str(run)])


def test_shipped_spotter_is_named_and_its_results_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    video = write(tmp_path / "match", constant(Fraction(25), 50))
    main(["infer", str(video), "--device", "cpu"])
    first = capsys.readouterr().out.splitlines()[0]
    assert "spotter that ships with e2espot" in first
    assert "trained on rendered matches and, on unfamiliar footage" in first
    assert "real footage" in first
    assert (tmp_path / "out" / "match" / "results_spotting.json").is_file()


def test_missing_video_after_a_run_is_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["infer", str(run), "missing.mp4", "--device", "cpu"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("error: missing.mp4")

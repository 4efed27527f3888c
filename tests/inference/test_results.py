"""Games are written when they are complete, in whatever order their halves finish."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.formats.game import Game, Video
from e2espot.inference.job import VideoResult
from e2espot.inference.results import BatchResults, pending_games
from e2espot.inference.sharding import shard_of


@given(st.sets(st.text(min_size=1, max_size=5)), st.integers(1, 9))
def test_shard_of_puts_every_game_in_one_shard(names: set[str], count: int) -> None:
    games = dict.fromkeys(names, 0)
    shards = [list(shard_of(games, f"{number}/{count}")) for number in range(1, count + 1)]
    assert sorted(name for shard in shards for name in shard) == sorted(names)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("wrong", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "\u00b2/3", "9" * 5000 + "/1"])
def test_shard_of_refuses_malformed_shard(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="shard is"):
        shard_of({"a": 1}, wrong)


def game(name: str, halves: int) -> Game:
    videos = tuple(Video(game=name, half=half, path=Path(f"{half}_224p.mkv")) for half in range(1, halves + 1))
    return Game(name=name, folder=Path(name), videos=videos, labels_path=None)


@given(order=st.permutations([("a", 1), ("a", 2), ("b", 1), ("c", 1), ("c", 2)]))
def test_batch_results_writes_games_when_complete_in_any_order(
    order: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("out")
    games = {name: game(name, halves) for name, halves in (("a", 2), ("b", 1), ("c", 2))}
    batch = BatchResults(games=games, out=out, fps=Fraction(25))
    assert len(batch.videos) == len(order)
    for number, (name, half) in enumerate(order):
        event = Event(frame=100 * half, label="PASS", half=half, confidence=0.5)
        written = batch.add(VideoResult(video=games[name].videos[half - 1], events=(event,), scores=None))
        complete = all((name, video.half) in order[: number + 1] for video in games[name].videos)
        assert (written is not None) == complete
        assert (out / name / "results_spotting.json").exists() == complete
        assert (name not in pending_games(games, out, save_scores=False, resume=True)) == complete
    for name in games:
        content = json.loads((out / name / "results_spotting.json").read_text())
        assert [row["half"] for row in content["predictions"]] == [
            str(half) for half in range(1, len(games[name].videos) + 1)
        ]


def result_of(video: Video, scores: Scores | None = None) -> VideoResult:
    return VideoResult(video=video, events=(), scores=scores)


SCORES = Scores(scores_TK=np.zeros((3, 1), np.float32), label_set=LabelSet(("PASS",)))


def test_pending_games_with_resume_need_scores_only_where_they_are_saved(tmp_path: Path) -> None:
    games = {"a": game("a", 2)}
    batch = BatchResults(games=games, out=tmp_path, fps=Fraction(25))
    batch.add(result_of(games["a"].videos[0], SCORES))
    written = batch.add(result_of(games["a"].videos[1]))
    assert written is not None and written[0] == tmp_path / "a" / "results_spotting.json"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["results_spotting.json", "scores_1.npz"]
    assert pending_games(games, tmp_path, save_scores=False, resume=True) == {}
    assert pending_games(games, tmp_path, save_scores=True, resume=True) == games


def test_pending_games_of_a_new_run_stay_pending_until_their_new_results(tmp_path: Path) -> None:
    games = {"a": game("a", 1), "b": game("b", 1)}
    earlier = BatchResults(games=games, out=tmp_path, fps=Fraction(25))
    for name in games:
        earlier.add(result_of(games[name].videos[0]))
    assert pending_games(games, tmp_path, save_scores=False, resume=False) == games
    # The new run is killed after the first game: the second one has only the results of the earlier run.
    BatchResults(games=games, out=tmp_path, fps=Fraction(25)).add(result_of(games["a"].videos[0]))
    assert list(pending_games(games, tmp_path, save_scores=False, resume=True)) == ["b"]
    assert (tmp_path / "b" / "results_spotting.json").is_file()  # kept until it is replaced


def test_pending_games_removes_half_written_files_and_marks_no_game_without_results(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".results_spotting.json.x.part").write_bytes(b"half")
    games = {"a": game("a", 1)}
    assert pending_games(games, tmp_path, save_scores=False, resume=False) == games
    assert list((tmp_path / "a").iterdir()) == []


def test_batch_results_without_scores_removes_those_of_an_earlier_run(tmp_path: Path) -> None:
    games = {"a": game("a", 1)}
    for scores, names in ((SCORES, ["results_spotting.json", "scores.npz"]), (None, ["results_spotting.json"])):
        BatchResults(games=games, out=tmp_path, fps=Fraction(25)).add(result_of(games["a"].videos[0], scores))
        assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names


def test_shard_of_deals_sorted_names_in_turn() -> None:
    games = dict.fromkeys("edcba", 0)
    assert [list(shard_of(games, f"{number}/3")) for number in (1, 2, 3)] == [["a", "d"], ["b", "e"], ["c"]]

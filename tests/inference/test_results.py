"""Games are written when they are complete, in whatever order their halves finish."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Event
from e2espot.formats.games import Game, Video
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

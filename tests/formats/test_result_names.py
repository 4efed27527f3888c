"""Results are found under the names that people and programs give them."""

import unicodedata

import pytest

from e2espot.core.errors import AnnotationError
from e2espot.formats.result_names import match_results

GAMES = ["l/s/2019 - Köln - Mainz", "l/s/2020 - A - B"]
FILE = "results_spotting.json"


def match(*names: str, games: list[str] = GAMES) -> dict[str, str]:
    return match_results(games, [f"{name}/{FILE}" if name else FILE for name in names], FILE, "out.zip")


@pytest.mark.parametrize(
    "change",
    [
        lambda game: game,
        lambda game: f"run 7/out/{game}",
        lambda game: game.rpartition("/")[2],
        lambda game: game.replace("/", "\\"),
        lambda game: unicodedata.normalize("NFD", game),
        lambda game: "out\\" + unicodedata.normalize("NFD", game.partition("/")[2]).replace("/", "\\"),
    ],
    ids=["exact", "below", "shorter", "backslashes", "decomposed", "everything"],
)
def test_match_results_finds_other_spellings(change) -> None:
    names = [change(game) for game in GAMES]
    if change(GAMES[0]).startswith("out"):  # folders in front and a shorter name: neither ends with the other
        assert match(*names) == {}
        return
    assert match(*names, "l/s/other") == {game: f"{name}/{FILE}" for game, name in zip(GAMES, names, strict=True)}


def test_match_results_prefers_the_exact_name() -> None:
    assert match(GAMES[0], f"old/{GAMES[0]}") == {GAMES[0]: f"{GAMES[0]}/{FILE}"}


def test_match_results_refuses_to_choose() -> None:
    with pytest.raises(AnnotationError, match=r"out\.zip: 'a/2020 - A - B/.*' and 'b/2020 - A - B/.*' could both be"):
        match("a/l/s/2020 - A - B".replace("l/s/", ""), "b/2020 - A - B", games=["2020 - A - B"])
    with pytest.raises(AnnotationError, match="could be the results of 'x/g' and of 'y/g'"):
        match("g", games=["x/g", "y/g"])


def test_a_file_at_the_top_belongs_to_a_game_that_is_alone() -> None:
    assert match("", games=["g"]) == {"g": FILE}
    assert match("") == {}

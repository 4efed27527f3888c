"""Results the servers would fail on are refused; others are packed unchanged."""

import json
import random
import zipfile
from pathlib import Path

import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.formats.filenames import RESULTS_FILE as RESULTS
from e2espot.formats.splits import BALL_SPLITS
from e2espot.sources.soccernet.submission import check, pack
from tests.support.tools import tool

CHALLENGE = BALL_SPLITS["challenge"]


def row(**changes: object) -> dict[str, object]:
    good = {"gameTime": "1 - 00:31", "label": "PASS", "position": "31500", "half": "1", "confidence": "0.5"}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def write(folder: Path, games: tuple[str, ...] = CHALLENGE, rows: list | None = None, text: str | None = None) -> Path:
    for game in games:
        path = folder / game / RESULTS
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"UrlLocal": game, "predictions": [row(), row(label="HEADER")] if rows is None else rows}
        path.write_text(json.dumps(content) if text is None else text)
    return folder


def test_pack_is_reproducible(tmp_path: Path) -> None:
    submission = check(write(tmp_path / "out"))
    assert (submission.task.name, submission.split) == ("ball-2024", "challenge")
    assert submission.errors == submission.warnings == []
    pack(submission, tmp_path / "one.zip")
    pack(check(tmp_path / "one.zip"), tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == sorted(f"{game}/{RESULTS}" for game in CHALLENGE)
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_pack_writes_plain_utf_8_from_other_encodings(tmp_path: Path, encoding: str) -> None:
    plain = check(write(tmp_path / "out"))
    for path in (tmp_path / "out").rglob(RESULTS):
        path.write_bytes(path.read_text().encode(encoding))
    submission = check(tmp_path / "out")
    assert submission.errors == []
    assert submission.files == plain.files


def test_official_evaluator_scores_zip_and_folder_alike(tmp_path: Path) -> None:
    official = pytest.importorskip("SoccerNet.Evaluation.ActionSpotting")
    rng = random.Random(0)
    test = BALL_SPLITS["test"]
    labels = [{"gameTime": "1 - 00:00", "label": "PASS", "position": str(1000 * k)} for k in range(1, 60)]
    guesses = [row(position=str(rng.randrange(60_000)), confidence=rng.random()) for _ in range(100)]
    for game in test:
        (tmp_path / "labels" / game).mkdir(parents=True)
        (tmp_path / "labels" / game / "Labels-ball.json").write_text(json.dumps({"annotations": labels}))
    submission = check(write(tmp_path / "out", test, guesses))
    assert (submission.task.name, submission.split) == ("ball-2023", "test")
    pack(submission, tmp_path / "results.zip")

    def score(predictions: Path) -> float:
        return official.evaluate(
            SoccerNet_path=str(tmp_path / "labels"),
            Predictions_path=str(predictions),
            split="test",
            version=2,
            metric="at1",
            framerate=25,
            label_files="Labels-ball.json",
            dataset="Ball",
        )["a_mAP"]

    assert score(tmp_path / "results.zip") == score(tmp_path / "out") > 0.1


BAD_ROWS = {
    "no position": (row(position=...), "field 'position' is missing"),
    "position of a fraction": (row(position="31500.5"), "field 'position' is '31500.5'"),
    "no label": (row(label=...), "field 'label' is missing"),
    "no half": (row(half=...), "field 'half' is missing"),
    "half in words": (row(half="first"), "field 'half' is 'first'"),
    "no confidence": (row(confidence=...), "field 'confidence' is missing"),
    "confidence in words": (row(confidence="high"), "field 'confidence' is 'high'"),
    "no object": ("PASS", "is str; expected an object"),
}


@pytest.mark.parametrize(("bad", "line"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_check_names_rows_that_crash_the_server(tmp_path: Path, bad: object, line: str) -> None:
    submission = check(write(tmp_path, rows=[row(), bad]), "ball-2024", "challenge")
    assert len(submission.errors) == 2
    assert f"{CHALLENGE[0]}/{RESULTS}: predictions[1]: {line}" in submission.errors[0]
    with pytest.raises(ConfigurationError, match="would fail"):
        pack(submission, tmp_path / "results.zip")
    assert not (tmp_path / "results.zip").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"predictions": {}}', "\x00", "[" * 100_000])
def test_check_names_files_without_predictions(tmp_path: Path, text: str) -> None:
    write(tmp_path, CHALLENGE[:1])
    write(tmp_path, CHALLENGE[1:], text=text)
    errors = check(tmp_path, "ball-2024").errors
    assert len(errors) == 1
    assert f"{CHALLENGE[1]}/{RESULTS}: " in errors[0]
    assert "\n" not in errors[0]


def test_check_lists_missing_games_and_leaves_out_others(tmp_path: Path) -> None:
    write(tmp_path, (CHALLENGE[0], "england_efl/2019-2020/another"))
    submission = check(tmp_path)
    assert submission.errors == [f"missing: {CHALLENGE[1]}/{RESULTS}"]
    assert submission.warnings == ["left out 1 game not of ball-2024's challenge split"]


def test_check_cannot_infer_the_split_from_games_of_two(tmp_path: Path) -> None:
    write(tmp_path, CHALLENGE + BALL_SPLITS["test"])
    with pytest.raises(ConfigurationError, match="name the split"):
        check(tmp_path)
    assert set(check(tmp_path, split="test").files) == {f"{game}/{RESULTS}" for game in BALL_SPLITS["test"]}


def test_check_strips_outer_folders(tmp_path: Path) -> None:
    write(tmp_path / "run" / "results")
    assert set(check(tmp_path).files) == {f"{game}/{RESULTS}" for game in CHALLENGE}
    write(tmp_path / "another run")
    with pytest.raises(ConfigurationError, match="holds games twice"):
        check(tmp_path)


def test_check_of_ball_2025_requires_teams_and_known_classes(tmp_path: Path) -> None:
    write(tmp_path / "good", rows=[row(team="left"), row(team="right", label="GOAL")])
    assert check(tmp_path / "good").task.name == "ball-2025"
    write(tmp_path / "no team", rows=[row(team="left"), row()])
    assert "predictions[1]: field 'team' is None" in check(tmp_path / "no team", "ball-2025").errors[0]
    write(tmp_path / "class", rows=[row(team="left", label="Pass")])
    assert "predictions[0]: field 'label' is 'Pass'" in check(tmp_path / "class", "ball-2025").errors[0]


def test_check_warns_about_ignored_predictions(tmp_path: Path) -> None:
    rows = [
        row(label="Nonsense"),
        row(half="3"),
        row(half=2),
        row(position=7_200_000),
        row(position=-40),
        row(confidence="nan"),
        row(confidence=-0.5),
        row(confidence=1.5),
    ]
    notes = check(write(tmp_path, CHALLENGE[:1], rows), "ball-2024", "challenge").warnings
    for line in (
        "1 prediction of class 'Nonsense'",
        "1 prediction of a half other",
        "1 prediction of half 2",
        "1 prediction later than two hours",
        "1 prediction before the start",
        "2 predictions with a confidence below 0",
        "1 prediction with a confidence above 1",
    ):
        assert any(line in note for note in notes), line
    squeezed = [row(confidence=0.001)]
    assert "spread them" in check(write(tmp_path, CHALLENGE[:1], squeezed), "ball-2024", "challenge").warnings[0]


def test_check_infers_v2_from_its_games(tmp_path: Path) -> None:
    names = pytest.importorskip("SoccerNet.utils").getListGames(["challenge"], task="spotting")
    write(tmp_path, tuple(names), [row(label=LABEL_SETS["soccernet-v2-17"].names[0])])
    submission = check(tmp_path)
    assert (submission.task.name, submission.split, len(submission.files)) == ("v2", "challenge", 50)
    assert submission.errors == submission.warnings == []


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_check_refuses_what_is_neither_folder_nor_zip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.zip").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"results\.zip: "):
        check(tmp_path / "results.zip")
    with pytest.raises(ConfigurationError, match="no such file or folder"):
        check(tmp_path / "nothing")


def test_submit_command_lists_errors_and_writes_the_zip(tmp_path: Path) -> None:
    write(tmp_path / "out", CHALLENGE[:1])
    command = ["submit", tmp_path / "out", "-o", tmp_path / "r.zip"]
    refused = tool(*command)
    assert refused.returncode == 2
    assert f"missing: {CHALLENGE[1]}/{RESULTS}" in refused.stdout
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "r.zip").exists()
    write(tmp_path / "out")
    done = tool(*command, "-s", "challenge")
    assert done.returncode == 0, done.stderr
    assert "2 games, 4 predictions (2 PASS, 2 HEADER)" in done.stdout
    assert (tmp_path / "r.zip").is_file()

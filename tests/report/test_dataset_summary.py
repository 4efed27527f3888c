"""The summary of a dataset: its counts, and every line about what looks wrong."""

import json
from pathlib import Path

import pytest

from e2espot.cli.main import main
from e2espot.core.events import ScoredEvent
from e2espot.report.dataset_page import sample_events
from e2espot.report.dataset_summary import DatasetSummary, label_problems, summarise
from tests.support.tiny_dataset import Layout, write_game

LAYOUT = Layout(videos=("1_224p.mkv", "2_224p.mkv"), classes=("PASS", "DRIVE"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three games: a whole one in two halves, one without labels for its second half, one whose video is broken."""
    root = tmp_path_factory.mktemp("data")
    for seed, game in enumerate(("a", "b")):
        write_game(root / game, seed, num_frames=75, layout=LAYOUT)
    write_game(root / "c", 2, num_frames=30)
    (root / "c" / "224p.mp4").write_bytes(b"no video")
    labels = json.loads((root / "b" / "Labels-ball.json").read_text())
    rows = [row for row in labels["annotations"] if row["gameTime"].startswith("1")]
    (root / "b" / "Labels-ball.json").write_text(json.dumps({"annotations": [*rows, {"label": "PASS"}]}))
    (root / "splits.json").write_text(json.dumps({"train": ["a"], "valid": ["b"]}))
    return root


def rows(*times_ms: int, clock: str = "") -> list[tuple[ScoredEvent, str]]:
    return [(ScoredEvent(half=1, position_ms=time, label="PASS"), clock) for time in times_ms]


def test_summary_counts_videos_and_labels(data: Path) -> None:
    summary = summarise(data)
    assert [(video.game, video.half, video.split, video.num_labels) for video in summary.videos] == [
        ("a", 1, "train", 3),
        ("a", 2, "train", 3),
        ("b", 1, "valid", 3),
        ("b", 2, "valid", 0),
        ("c", 1, "", 1),
    ]
    first = summary.videos[0]
    assert (first.width, first.height, round(first.fps), round(60 * first.minutes)) == (96, 64, 25, 3)
    assert summary.classes == {"PASS": 6, "DRIVE": 4}
    text = summary.text()
    assert "3 games, 5 videos, 0.2 minutes, 10 labels" in text
    assert "b, half 2: not a single label" in text
    assert "b, half 1: invalid label: annotations[3]" in text
    assert "c, half 1: " in text
    assert not any(video.problems for video in summary.videos[:2])


def test_rates_count_annotated_minutes_and_the_labels_in_them(data: Path, tmp_path: Path) -> None:
    # Labels at 0.82, 1.82 and 2.82 s of 3 s, of PASS, DRIVE and PASS. One second is annotated, of a single class.
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "224p.mkv").symlink_to(data / "a" / "1_224p.mkv")
    labels = json.loads((data / "a" / "Labels-ball.json").read_text())
    rows = [row for row in labels["annotations"] if row["gameTime"].startswith("1")]
    stretches = [{"from": 500, "to": 1500}]
    content = {
        "annotations": rows,
        "annotated": [{"half": "1", "stretches": stretches}],
        "annotated_classes": ["PASS", "DRIVE"],
    }
    (tmp_path / "a" / "Labels-ball.json").write_text(json.dumps(content))
    summary = summarise(tmp_path)
    (video,) = summary.videos
    assert (round(60 * video.annotated_minutes, 6), video.annotated_labels) == (1, {"PASS": 1})
    text = summary.text()
    assert "1 game, 1 video, 0.1 minutes (0.0 annotated), 3 labels (60.0 a minute)" in text
    assert "a (annotated: 0:00.5 to 0:01.5; 2 labels outside)" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith(("PASS", "DRIVE"))] == ["60.00", "0.00"]
    # A class that no video annotates has no rate.
    (tmp_path / "a" / "Labels-ball.json").write_text(json.dumps({**content, "annotated_classes": ["PASS"]}))
    text = summarise(tmp_path).text()
    assert [line.split()[-1] for line in text.splitlines() if line.startswith(("PASS", "DRIVE"))] == ["60.00", "-"]
    # What is annotated to the end of any video ends with this one.
    stretches[0]["to"] = 86_400_000
    (tmp_path / "a" / "Labels-ball.json").write_text(json.dumps(content))
    summary = summarise(tmp_path)
    assert round(60 * summary.videos[0].annotated_minutes, 6) == 2.5
    assert "(annotated: 0:00.5 to the end)" in summary.text()


def test_summary_of_a_split_has_its_games_alone(data: Path) -> None:
    assert {video.game for video in summarise(data, split="valid").videos} == {"b"}


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        (rows(1000, 61_000), "1 label past the end of the video, the first at 01:01"),
        (rows(1000, clock="1 - 00:09"), "1 label whose position and gameTime differ, the first at 00:01"),
        (rows(1001, 1001), "1 label that repeats another one"),
        (rows(1001, 1010), "1 label at the frame of another one: training learns half of each"),
        (rows(*range(0, 25_000, 1000)), "every label is at a whole second: too coarse for a tolerance of one second"),
    ],
)
def test_label_problems_name_what_looks_wrong(labels: list[tuple[ScoredEvent, str]], line: str) -> None:
    assert label_problems(labels, 60_000) == [line]


def test_label_problems_accept_what_is_right() -> None:
    assert label_problems(rows(1000, 5980, 59_999, clock="1 - 00:01")[:1] + rows(5980, 59_999), 60_000) == []


@pytest.mark.parametrize(
    ("classes", "lines"),
    [
        (("PASS", "Goal", "my own"), []),
        (("PASS", "Pass"), ["classes 'PASS' and 'Pass': if they are one, rename one with a map"]),
        (
            ("Pass", "high_pass"),
            ["class 'Pass' is spelt 'PASS' in ball-2", "class 'high_pass' is spelt 'HIGH PASS' in"],
        ),
    ],
)
def test_classes_in_two_spellings_are_named(
    data: Path, tmp_path: Path, classes: tuple[str, ...], lines: list[str]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "224p.mkv").symlink_to(data / "a" / "1_224p.mkv")
    rows = [{"gameTime": "1 - 00:01", "position": str(40 * i), "label": name} for i, name in enumerate(classes)]
    (tmp_path / "a" / "Labels-ball.json").write_text(json.dumps({"annotations": rows}))
    summary = summarise(tmp_path)
    assert len(summary.spellings()) == len(lines)
    assert all(line in summary.text() for line in lines)


def test_sampled_labels_take_classes_and_videos_in_turn(data: Path) -> None:
    summary = summarise(data)
    sampled = sample_events(summary, 6)
    assert {(event.label, video.game, video.half) for video, event in sampled} == {
        ("PASS", "a", 1), ("DRIVE", "a", 1), ("PASS", "a", 2), ("DRIVE", "a", 2), ("PASS", "b", 1), ("DRIVE", "b", 1)
    }  # fmt: skip
    assert sampled == sample_events(summary, 6)
    assert sample_events(DatasetSummary(videos=()), 6) == []


def test_command_writes_page_and_numbers(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, numbers = tmp_path / "d.html", tmp_path / "d.json"
    main(["dataset", str(data), "-o", str(page), "--json", str(numbers), "--examples", "4"])
    assert "look at:" in capsys.readouterr().out
    html = page.read_text()
    assert html.count("<figure") == 4
    assert html.count("data:image/jpeg") == 20
    assert "<script" not in html
    content = json.loads(numbers.read_text())
    assert content["classes"] == {"PASS": 6, "DRIVE": 4}
    assert "events" not in content["videos"][0]


def test_folder_without_games_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dataset", str(tmp_path)])
    assert ended.value.code == 2
    assert "no game with" in capsys.readouterr().err


def test_a_video_of_one_picture_is_named(tmp_path: Path) -> None:
    write_game(tmp_path / "a", 0, num_frames=1)
    assert "a, half 1: lasts 0.04 s, too short to learn from" in summarise(tmp_path).text()

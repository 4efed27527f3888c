"""The report: right numbers, one file, and no text of a file runs in it."""

from __future__ import annotations

import json
import re
import time
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.soccernet import write_labels, write_predictions
from tests.support.tiny_dataset import write_game
from tests.support.tools import tool

HOSTILE = '<img src=x onerror="document.title=1">'
GAME = 'l<i>/&amp/"><script>document.title=1<\u2215script>'


class Page(HTMLParser):
    """Elements, text, and the rows of all tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def match(tmp_path_factory) -> Path:
    """A game with a video, and two runs: one good, one with a hostile class and a constant delay."""
    root = tmp_path_factory.mktemp("report")
    write_game(root / "data" / GAME, 3)
    rng = np.random.default_rng(0)
    for run, late in (("good", 0), ("late", 4)):
        events = [Event(frame=k + late, label="PASS", confidence=0.6 + 0.05 * (k % 7)) for k in range(20, 150, 25)]
        events += [
            Event(frame=int(f), label="PASS", confidence=float(s))
            for f, s in zip(rng.choice(150, 20, replace=False), rng.uniform(0, 0.7, 20), strict=True)
            if f % 25 != 20 + late
        ]
        events.append(Event(frame=33, label=HOSTILE, confidence=0.99))
        write_predictions(root / run / GAME / "results_spotting.json", url_local=GAME, events=events, fps=DEFAULT_FPS)
    return root


@pytest.fixture(scope="module")
def page_text(match: Path) -> str:
    args = (match / "good", match / "late", "-l", match / "data", "-v", match / "data", "-o", match / "report.html")
    (match / "class.txt").write_text(f"PASS\n{HOSTILE}\n")
    done = tool("report", *args, "--label_set", match / "class.txt", "--examples", 3)
    assert done.returncode == 0, done.stderr
    return (match / "report.html").read_text()


def test_report_table_equals_evaluate(match: Path, page_text: str) -> None:
    rows = [row for row in Page(page_text).rows if len(row) >= 8]
    for run, row in (("good", rows[1]), ("late", rows[2])):
        metrics = ("at1", "at2", "at3", "at4", "at5", "tight", "loose")
        args = ("-l", match / "data", "--label_set", match / "class.txt", "--json", match / "scores.json")
        assert tool("evaluate", match / run, *args, "--metric", *metrics).returncode == 0
        expected = json.loads((match / "scores.json").read_text())
        assert row[-7:] == [f"{100 * expected[name]['mAP']:.2f}" for name in metrics]
        assert run in row[-8]


def test_report_escapes_names_from_files(page_text: str) -> None:
    page = Page(page_text)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 1
    assert tags.count("i") < 40  # the swatches of the legends, not the game's
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert HOSTILE in page.text
    assert GAME in page.text


def test_report_loads_no_other_file(page_text: str) -> None:
    for tag, attributes in Page(page_text).elements:
        for name in ("src", "href", "data", "action", "poster"):
            value = attributes.get(name) or ""
            assert not value or value.startswith(("data:image/jpeg", "#")), (tag, name, value[:60])
    assert "url(" not in page_text
    assert "@import" not in page_text
    assert "default-src 'none'" in page_text


def test_report_shows_a_strip_for_each_example(page_text: str) -> None:
    pictures = [attributes for tag, attributes in Page(page_text).elements if tag == "img"]
    examples = [tag for tag, _ in Page(page_text).elements].count("li")
    assert 6 <= examples <= 12
    assert len(pictures) == 5 * examples
    assert {picture["alt"] for picture in pictures} >= {"0.00 s", "+0.16 s"}
    assert {picture["width"] for picture in pictures} == {"96"}


def test_report_shows_constant_delay_as_median(page_text: str) -> None:
    medians = [row[2] for row in Page(page_text).rows if len(row) == 5 and row[0] == "all"]
    assert medians == ["0.00 s", "+0.16 s"]


def test_report_takes_zips_and_reports_missing_videos(match: Path, tmp_path: Path) -> None:
    for name, folder in (("labels", match / "data"), ("predictions", match / "good")):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for file in folder.rglob("*.json"):
                archive.write(file, file.relative_to(folder).as_posix())
    written = tmp_path / "new" / "report.html"
    done = tool("report", tmp_path / "predictions.zip", "-l", tmp_path / "labels.zip", "-o", written)
    assert done.returncode == 0, done.stderr
    assert "<img" not in written.read_text()
    (tmp_path / "videos" / "l").mkdir(parents=True)
    refused = tool("report", match / "good", "-l", match / "data", "-v", tmp_path / "videos", "-o", tmp_path / "x.html")
    assert refused.returncode == 2
    assert re.match(r"error: .*videos: no 224p video of 1 game", refused.stderr.splitlines()[-1])
    assert not (tmp_path / "x.html").exists()
    broken = tmp_path / "broken" / GAME
    broken.mkdir(parents=True)
    (broken / "224p.mp4").write_bytes((match / "data" / GAME / "224p.mp4").read_bytes()[:900])
    done = tool("report", match / "good", "-l", match / "data", "-v", tmp_path / "broken", "-o", tmp_path / "y.html")
    assert done.returncode == 0, done.stderr
    assert "no strips of frames:" in done.stderr
    assert "<img" not in (tmp_path / "y.html").read_text()


@pytest.mark.parametrize("name", ["report", "report.txt", "folder.html"])
def test_report_is_written_to_an_html_file_only(name: str, match: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.html").mkdir()
    refused = tool("report", match / "good", "-l", match / "data", "-o", tmp_path / name)
    assert refused.returncode == 2
    assert f"{name}: the report is one HTML file; give it a name that ends in .html (--out)" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


def test_report_of_a_whole_match_takes_seconds(tmp_path: Path) -> None:
    """Ninety minutes, twelve classes, 20,000 predictions, no pictures: under 20 CPU seconds, measured 1."""
    rng = np.random.default_rng(1)
    names = LABEL_SETS["ball-12"].names
    slots = rng.choice(135_000 * 12, 21_200, replace=False).tolist()
    events = [Event(frame=k // 12, label=names[k % 12], confidence=float(rng.random())) for k in slots]
    write_labels(tmp_path / "l" / "g" / "Labels-ball.json", url_local="", events=events[:1200], fps=DEFAULT_FPS)
    results = tmp_path / "p" / "g" / "results_spotting.json"
    write_predictions(results, url_local="", events=events[1200:], fps=DEFAULT_FPS)
    start_s = time.process_time()
    done = tool("report", tmp_path / "p", "-l", tmp_path / "l", "-o", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    assert time.process_time() - start_s < 20
    assert (tmp_path / "r.html").stat().st_size < 1_000_000


def test_report_refuses_the_same_run_twice(match: Path, tmp_path: Path) -> None:
    refused = tool("report", match / "good", match / "good", "-l", match / "data", "-o", tmp_path / "x.html")
    assert refused.returncode == 2
    assert "given twice" in refused.stderr


def test_report_works_in_a_browser(match: Path, page_text: str, browser) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme="dark", offline=True)
    page = context.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto((match / "report.html").as_uri())
    assert page.title() == "Match report"
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.focus("#theme")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.focus(".strip")
    page.keyboard.press("Enter")
    assert page.is_visible("#large")
    assert page.locator("#large img").count() == 5
    first = page.inner_text("#large p")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#large p") != first
    page.keyboard.press("Escape")
    assert not page.is_visible("#large")
    assert messages == []
    context.close()

"""What a user does on the review page, in a real browser, and what is on disk afterwards."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS, LabelSet
from e2espot.core.scores import Scores
from e2espot.core.timeline import DEFAULT_FPS, position_ms_of_frame
from e2espot.formats.scores import write_scores
from e2espot.formats.soccernet import write_labels, write_predictions
from e2espot.scoring import ScoredEvent
from e2espot.scoring.error_analysis import match_events
from tests.support.numbered_video import Video, constant, write
from tests.support.review_process import RESTS, Server, number, opened, press, until

HOSTILE = "<img src=x onerror=document.title='owned'>"
LABELS = (Event(frame=20, label="PASS"), Event(frame=60, label="DRIVE"), Event(frame=100, label="PASS"))
PREDICTIONS = (
    Event(frame=22, label="PASS", confidence=0.9),
    Event(frame=40, label="PASS", confidence=0.6),
    Event(frame=61, label="DRIVE", confidence=0.3),
    Event(frame=80, label="DRIVE", confidence=0.7),
    Event(frame=120, label=HOSTILE, confidence=0.5),
    Event(frame=130, label="PASS", confidence=0.05),
)


def position(frame: int) -> str:
    return str(position_ms_of_frame(frame))


class Match:
    """A game of 140 numbered pictures with labels and predictions."""

    def __init__(self, root: Path, source: Path) -> None:
        self.folder = root / "league" / "<b>game"
        self.folder.mkdir(parents=True)
        (self.folder / "224p.mp4").write_bytes(source.read_bytes())
        self.labels = self.folder / "Labels-ball.json"
        write_labels(self.labels, url_local="", events=LABELS, fps=DEFAULT_FPS)
        self.predictions = root / "predictions"
        results = self.predictions / "league" / "<b>game" / "results_spotting.json"
        write_predictions(results, url_local="", events=PREDICTIONS, fps=DEFAULT_FPS)

    def rows(self) -> list[tuple[str, str]]:
        return [(row["label"], row["position"]) for row in json.loads(self.labels.read_text())["annotations"]]


def rows(*events: tuple[str, int]) -> list[tuple[str, str]]:
    return [(label, position(frame)) for label, frame in events]


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("video") / "v", constant(Fraction(25), 140))


@pytest.fixture
def match(tmp_path: Path, video: Path) -> Match:
    return Match(tmp_path, video)


@pytest.fixture
def server(match: Match):
    with Server(match.folder, "-p", match.predictions) as started:
        yield started


@pytest.fixture
def context(browser):
    made = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme="dark")
    yield made
    made.close()


@pytest.fixture
def page(server: Server, context):
    made = opened(context, server.url)
    yield made
    assert made.title() == "e2espot review"
    assert [text for text in made.complaints if "409 (Conflict)" not in text] == []


def counts(page) -> list[int]:
    return [int(text.split()[0]) for text in page.locator("#counts span").all_inner_texts()]


def test_page_shows_counts_and_names_as_text(page, match: Match) -> None:
    assert counts(page) == [2, 1, 3]
    assert page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [1280, 720]
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert HOSTILE in page.inner_text("#lane-names")  # as text
    assert page.locator("img").count() == 1
    assert "<b>game" in page.inner_text("#video-choice")
    assert match.rows() == rows(("PASS", 20), ("DRIVE", 60), ("PASS", 100))
    assert sorted(path.name for path in match.folder.iterdir() if not path.name.endswith(".lock")) == [
        "224p.mp4",
        "Labels-ball.json",
        "Labels-ball.review.jsonl",
    ]


def test_next_previous_and_filters(page) -> None:
    seen = []
    for _ in range(6):
        press(page, "n")
        seen.append((number(page), page.inner_text("#event-card b")))
    assert seen == [(20, "PASS"), (40, "PASS"), (60, "DRIVE"), (80, "DRIVE"), (100, "PASS"), (120, HOSTILE)]
    press(page, "p")
    assert number(page) == 100
    press(page, "Shift+P")
    assert number(page) == 80
    press(page, "Shift+P", "Shift+P")
    assert number(page) == 40
    press(page, "Shift+N", "Shift+N", "Shift+N", "Shift+N")
    assert number(page) == 120
    press(page, *["ArrowUp"] * 9)  # score at least 0.65
    assert page.inner_text("#threshold-value") == "0.65"
    assert counts(page) == [1, 2, 1]
    page.locator("#lane-names button", has_text="DRIVE").click()
    assert counts(page) == [1, 1, 0]
    press(page, "Home", "n", "n")
    assert number(page) == 100
    page.locator("#lane-names button", has_text="DRIVE").click()
    page.select_option("#tolerance", "5")
    press(page, *["ArrowDown"] * 9)
    assert counts(page) == [3, 0, 2]


def test_accept_reject_nudge_add_undo_and_reload(page, match: Match) -> None:
    before = match.labels.read_bytes()
    press(page, "n", "n", "a")
    until(page, "e2espotReview.decisions.numSaved === 1")
    now = rows(("PASS", 20), ("PASS", 40), ("DRIVE", 60), ("PASS", 100))
    assert match.rows() == now
    assert (match.folder / "Labels-ball.json.before-review").read_bytes() == before
    assert counts(page) == [3, 1, 2]

    press(page, "n", "n", "x")  # the false positive at 80
    until(page, "e2espotReview.decisions.numSaved === 2")
    assert match.rows() == now
    assert counts(page) == [3, 1, 1]
    assert "rejected" in page.inner_text("#event-card")

    press(page, "n", ".")  # the missed label at 100
    until(page, "e2espotReview.decisions.numSaved === 3")
    assert number(page) == 101
    press(page, ".")
    until(page, "e2espotReview.decisions.numSaved === 4")
    press(page, ",", ",", ",")
    until(page, "e2espotReview.decisions.numSaved === 7")
    assert number(page) == 99
    assert match.rows()[-1] == ("PASS", position(99))

    press(page, "ArrowRight", "ArrowRight", "ArrowRight", "2")
    until(page, "e2espotReview.decisions.numSaved === 8")
    assert match.rows()[-2:] == rows(("PASS", 99), ("DRIVE", 102))
    press(page, "1")  # still at it: another class
    until(page, "e2espotReview.decisions.numSaved === 9")
    assert match.rows()[-2:] == rows(("PASS", 99), ("PASS", 102))
    press(page, "ArrowRight", "m")
    until(page, "e2espotReview.decisions.numSaved === 10")
    assert match.rows()[-1] == ("PASS", position(103))
    press(page, "x")
    until(page, "e2espotReview.decisions.numSaved === 11")
    assert match.rows()[-1] == ("PASS", position(99))

    page.reload()
    until(page, "document.documentElement.dataset.ready === 'yes'")
    assert counts(page) == [3, 1, 1]
    for count in range(1, 12):
        press(page, "Control+z")
        until(page, f"e2espotReview.decisions.numSaved === {count}")
    assert match.rows() == rows(("PASS", 20), ("DRIVE", 60), ("PASS", 100))
    assert counts(page) == [2, 1, 3]
    press(page, "Control+Shift+z")
    until(page, "e2espotReview.decisions.numSaved === 12")
    assert match.rows() == now
    press(page, "Control+Shift+z", "Control+z", "Control+z")
    until(page, "e2espotReview.decisions.numSaved === 15")
    press(page, "Control+z")
    until(page, "document.querySelector('#toast').textContent.includes('nothing to undo')")


def test_nudge_or_class_key_accepts_a_prediction(page, match: Match) -> None:
    press(page, "n", "n", ",")
    until(page, "e2espotReview.decisions.numSaved === 1")
    assert match.rows()[1] == ("PASS", position(39))
    press(page, "n", "n", "1")
    until(page, "e2espotReview.decisions.numSaved === 2")
    assert match.rows()[3] == ("PASS", position(80))
    assert counts(page)[2] == 1  # only the hostile one is left


def test_second_tab_follows_and_cannot_overwrite(page, server: Server, context, match: Match) -> None:
    other = opened(context, server.url)
    press(page, "n", "n", "a")
    until(other, "e2espotReview.model.labels.size === 4")  # the server notifies it
    press(other, "n", ".")
    until(page, f"[...e2espotReview.model.labels.values()].some(label => label.frame === {21})")
    # A tab that missed a change cannot overwrite it.
    other.evaluate("e2espotReview.changes.onChange = () => {}")
    stale = other.evaluate("e2espotReview.model.revision")
    press(page, "p", ".")
    until(page, "e2espotReview.decisions.numSaved === 2")
    label = "[...e2espotReview.model.labels.values()].find(label => label.frame < 30).id"
    status = other.evaluate(
        f"""async () => (await fetch("/api/games/0/change", {{method: "POST", body: JSON.stringify(
        {{kind: "remove", tab: "x", op: "y", seen: {stale}, id: {label}}})}})).status"""
    )
    assert status == 409
    assert match.rows() == rows(("PASS", 22), ("PASS", 40), ("DRIVE", 60), ("PASS", 100))
    other.complaints = [text for text in other.complaints if "409" not in text]
    assert other.complaints == []


def test_decisions_during_a_server_restart_are_sent_again(context, match: Match) -> None:
    server = Server(match.folder, "-p", match.predictions)
    page = opened(context, server.url)
    press(page, "n", "n", "a")
    until(page, "e2espotReview.decisions.numSaved === 1")
    server.kill()
    for key in ("n", "n", "a"):  # no server answers
        page.keyboard.press(key)
    until(page, "document.querySelector('#save-state').classList.contains('bad')")
    until(page, "document.querySelector('#save-state').textContent.includes('not saved yet')")
    assert match.rows() == rows(("PASS", 20), ("PASS", 40), ("DRIVE", 60), ("PASS", 100))
    with Server(match.folder, "-p", match.predictions, port=server.port):
        until(page, "e2espotReview.decisions.numSaved === 2")  # sent again by the page itself
        until(page, "document.querySelector('#save-state').textContent.startsWith('saved')")
        press(page)
        assert match.rows() == rows(("PASS", 20), ("PASS", 40), ("DRIVE", 60), ("DRIVE", 80), ("PASS", 100))
        assert counts(page) == [4, 1, 1]
        press(page, "Control+z", "Control+z")
        until(page, "e2espotReview.decisions.numSaved === 4")
    assert match.rows() == rows(("PASS", 20), ("DRIVE", 60), ("PASS", 100))


def test_page_works_with_the_keyboard_alone(page, match: Match) -> None:
    press(page, "?")
    assert page.is_visible("#help")
    assert "one picture back" in page.inner_text("#help")
    press(page, "n")  # not while the help is open
    assert page.inner_text("#event-card b") == "Nothing selected"
    press(page, "Escape")
    assert not page.is_visible("#help")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert {"undo", "theme", "help-open", "play", "speed", "list", "threshold", "tolerance", "zoom-in"} <= reached
    page.focus("#theme")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.focus("#tabs [data-tab=disagreements]")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.tab") == "disagreements"
    assert page.locator(".row").count() == 4
    page.keyboard.press("g")
    assert page.locator(".row").count() == 6
    page.focus("#speed")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.querySelector('#video').playbackRate") == 0.5
    page.evaluate("document.activeElement.blur()")
    span = page.evaluate("e2espotReview.timeline.span")
    press(page, "+", "+")
    assert page.evaluate("e2espotReview.timeline.span") < span
    assert match.rows() == rows(("PASS", 20), ("DRIVE", 60), ("PASS", 100))


def test_page_works_with_the_mouse(page, match: Match) -> None:
    box = page.locator("#lanes").bounding_box()
    shown = page.evaluate(
        "[e2espotReview.timeline.from, e2espotReview.timeline.span, e2espotReview.timeline.laneHeight()]"
    )
    x = box["x"] + (80.5 - shown[0]) / shown[1] * box["width"]
    page.mouse.click(x, box["y"] + 18 + shown[2] * 1.5)  # the second lane
    until(page, RESTS)
    assert number(page) == 80
    assert page.inner_text("#event-card b") == "DRIVE"
    page.click("#event-card [data-action=accept]")
    until(page, "e2espotReview.decisions.numSaved === 1")
    page.locator(".row", has_text="00:00.80").click()
    until(page, RESTS)
    assert number(page) == 20
    page.click("#undo")
    until(page, "e2espotReview.decisions.numSaved === 2")
    assert match.rows() == rows(("PASS", 20), ("DRIVE", 60), ("PASS", 100))
    press(page, " ")  # the button has lost the focus
    until(page, "e2espotReview.player.playing")


def test_queue_proceeds_after_each_answer(match: Match, context) -> None:
    with Server(match.folder, "-p", match.predictions, "--queue", "uncertain") as server:
        page = opened(context, server.url)
        assert page.inner_text("#tabs").startswith("Queue 0 of 4")  # two of the six match a label already
        assert number(page) == 40
        for key in "axx":  # faster than the server
            page.keyboard.press(key)
        press(page)
        assert number(page) == 130
        assert page.evaluate("e2espotReview.decisions.numSaved") == 3
        press(page, "Control+z")  # back to the question it was about
        assert [number(page), page.inner_text("#event-card b")] == [120, HOSTILE]
        press(page, "Control+z")
        assert number(page) == 80
        press(page, ".", "a")  # a nudge is an answer, A then proceeds
        assert number(page) == 120
        assert match.rows() == rows(("PASS", 20), ("PASS", 40), ("DRIVE", 60), ("DRIVE", 81), ("PASS", 100))
        press(page, "Control+z", "x")
        assert number(page) == 120
        assert page.complaints == []
    with Server(match.folder, "-p", match.predictions, "--queue", "disagree") as server:
        page = opened(context, server.url)
        assert [number(page), page.inner_text("#event-card b")] == [60, "DRIVE"]  # no confident prediction is near it
        press(page, "a")
        assert [number(page), page.inner_text("#event-card b")] == [100, "PASS"]
        page.reload()
        until(page, "document.documentElement.dataset.ready === 'yes'")
        press(page)
        assert number(page) == 100  # decided questions are not asked again
    assert match.rows() == rows(("PASS", 20), ("PASS", 40), ("DRIVE", 60), ("PASS", 100))


def test_page_without_predictions(match: Match, context) -> None:
    with Server(match.folder) as server:
        page = opened(context, server.url)
        assert page.inner_text("#counts") == "3 labels, no predictions"
        assert page.inner_text("#tabs").endswith("Disagreements 0")
        press(page, "n", "ArrowRight", "2")
        assert match.rows() == rows(("PASS", 20), ("DRIVE", 21), ("DRIVE", 60), ("PASS", 100))
        assert page.complaints == []


def test_undo_goes_back_to_the_match_of_the_decision(tmp_path: Path, video: Path, context) -> None:
    """The queue jumps from one match to the next; undoing follows."""
    match = Match(tmp_path, video)
    other = tmp_path / "league" / "other"
    other.mkdir()
    (other / "224p.mp4").write_bytes(video.read_bytes())
    event = Event(frame=50, label="PASS", confidence=0.5)
    results = match.predictions / "league" / "other" / "results_spotting.json"
    write_predictions(results, url_local="", events=[event], fps=DEFAULT_FPS)
    with Server(tmp_path / "league", "-p", match.predictions, "--queue", "uncertain") as server:
        page = opened(context, server.url)
        shown = []
        for _ in range(5):
            shown.append((page.locator("#video-choice option:checked").inner_text(), number(page)))
            press(page, "a")
        assert shown == [("<b>game", 40), ("<b>game", 80), ("<b>game", 120), ("<b>game", 130), ("other", 50)]
        for position in reversed(shown):
            press(page, "Control+z")
            assert (page.locator("#video-choice option:checked").inner_text(), number(page)) == position
        assert page.complaints == []
    assert match.rows() == rows(("PASS", 20), ("DRIVE", 60), ("PASS", 100))
    assert json.loads((other / "Labels-ball.json").read_text())["annotations"] == []


@pytest.fixture(scope="module")
def long_match(tmp_path_factory) -> Path:
    """Ninety minutes, twelve classes, 20,000 predictions; the video shows a picture every 30 s."""
    root = tmp_path_factory.mktemp("long")
    folder = root / "data" / "g"
    folder.mkdir(parents=True)
    write(folder / "224p", Video(stamps=tuple(range(0, 5400, 30)), time_base=Fraction(1)))
    rng = np.random.default_rng(5)
    names = LABEL_SETS["ball-12"].names
    frames = np.sort(rng.choice(134_000, 1200, replace=False)).tolist()
    labels = [Event(frame=frame, label=names[frame % 12]) for frame in frames]
    write_labels(folder / "Labels-ball.json", url_local="", events=labels, fps=DEFAULT_FPS)
    near = [
        Event(frame=e.frame + frame % 9 - 4, label=e.label, confidence=0.2 + (frame % 79) / 100)
        for frame, e in enumerate(labels)
    ]
    near = [event for event in near if event.frame >= 0]
    rest = rng.choice(135_000 * 12, 20_000 - len(near), replace=False).tolist()
    rest = [Event(frame=k // 12, label=names[k % 12], confidence=float(rng.beta(0.4, 4))) for k in rest]
    unique = {(e.frame, e.label): e for e in (*rest, *near)}
    predictions = sorted(unique.values(), key=lambda e: (e.frame, e.label))
    write_predictions(root / "p" / "g" / "results_spotting.json", url_local="", events=predictions, fps=DEFAULT_FPS)
    scores_TK = np.zeros((135_000, 12), dtype=np.float32)
    scores_TK[[event.frame for event in predictions], 0] = 0.5
    write_scores(root / "p" / "g" / "scores.npz", Scores(scores_TK=scores_TK, label_set=LabelSet(names)))
    return root


DRAWN_MS = """async () => {
  const timeline = e2espotReview.timeline, spent = {};
  for (const span of [500, 3000, 30000, 135000]) {
    timeline.view(span === 135000 ? 0 : 20000, span);
    await new Promise((resolve) => setTimeout(resolve, 60));
    timeline.drawTimesMs.length = 0;
    for (let turn = 0; turn < 21; turn++) {
      if (span === 135000) timeline.zoom(turn % 2 ? 1.02 : 1 / 1.02); else timeline.pan(span / 50);
      await new Promise(requestAnimationFrame);
    }
    spent[span] = timeline.drawTimesMs.sort((a, b) => a - b)[2];
  }
  return spent;
}"""
"""Time to draw the time line, by number of frames in view: the third shortest of 21, as others may be interrupted."""


def test_long_match_is_drawn_fast_and_counted_as_by_the_metric(long_match: Path, context) -> None:
    with Server(long_match / "data", "-p", long_match / "p") as server:
        page = opened(context, server.url)
        until(page, "e2espotReview.timeline.curves.length === 12")
        spent: dict[str, float] = {}
        for _ in range(10):  # other processes may slow it down
            drawn = page.evaluate(DRAWN_MS)
            spent = {span: min(ms, spent.get(span, ms)) for span, ms in drawn.items()}
            if max(spent.values()) < 10:
                break
        assert max(spent.values()) < 10  # of 16.7 at 60 Hz; measured: 1 to 4
        labels, predictions = (
            {
                "g": [
                    ScoredEvent(
                        half=1,
                        position_ms=int(row["position"]),
                        label=row["label"],
                        value=float(row.get("confidence", 1)),
                    )
                    for row in rows_
                ]
            }
            for rows_ in (
                json.loads((long_match / "data" / "g" / "Labels-ball.json").read_text())["annotations"],
                json.loads((long_match / "p" / "g" / "results_spotting.json").read_text())["predictions"],
            )
        )
        for tolerance, threshold in ((1, 0.2), (3, 0.45)):
            page.select_option("#tolerance", str(tolerance))
            page.evaluate(f"e2espotReview.setThreshold({threshold})")
            confident = {"g": [entry for entry in predictions["g"] if entry.value >= threshold]}
            matching = match_events(labels, confident, LABEL_SETS["ball-12"], [tolerance])[tolerance]
            hits = int(matching.hits.sum())
            assert counts(page) == [hits, len(matching.labels) - hits, len(matching.predictions) - hits]
        assert page.complaints == []


def test_reviewed_stretches_are_marked_drawn_saved_and_undone(page, match: Match) -> None:
    assert page.inner_text("#annotated-value") == "all"
    press(page, "Home")
    press(page, "d")
    page.evaluate("e2espotReview.player.showFrame(74)")
    until(page, RESTS)
    press(page, "d")
    until(page, "e2espotReview.decisions.numSaved === 1")
    stored = json.loads(match.labels.read_text())["annotated"]
    assert stored == [{"half": "1", "stretches": [{"from": 0, "to": 3000}]}]
    until(page, "document.getElementById('annotated-value').textContent === '00:03 of 00:05'")
    assert counts(page) == [2, 0, 1]  # one miss and two false positives are later
    page.evaluate("e2espotReview.player.showFrame(49)")
    until(page, RESTS)
    press(page, "Shift+D")
    page.click("#annotated")  # ends the stretch that is being marked
    until(page, "e2espotReview.decisions.numSaved === 2")
    press(page, "d")
    press(page, "Escape")  # no stretch after all
    assert page.evaluate("e2espotReview.annotating.from") is None
    for saved in (3, 4):
        press(page, "Control+z")
        until(page, f"e2espotReview.decisions.numSaved === {saved}")
    assert "annotated" not in json.loads(match.labels.read_text())
    assert page.inner_text("#annotated-value") == "all"


def test_times_of_all_labels_are_shown_moved_then_applied_and_undone(page, match: Match) -> None:
    before = match.rows()
    page.click("#move-open")
    page.fill("#move-shift", "0.8")
    page.fill("#move-rate", "1/2")
    until(
        page, "e2espotReview.model.events.filter((one) => one.kind === 'label').map((one) => one.frame) == '30,50,70'"
    )
    assert "labels hit" in page.inner_text("#move-effect")
    assert match.rows() == before
    page.locator("#list .row", has_text="DRIVE").first.click()
    until(page, RESTS)
    assert number(page) == 50  # the picture at which the label would be
    press(page, "x")
    assert "apply or cancel the moved times first" in page.inner_text("#toast")
    page.fill("#move-shift", "99")
    until(page, "document.getElementById('move-apply').disabled")
    assert "3 would be outside the video" in page.inner_text("#move-effect")
    page.fill("#move-shift", "0.8")
    until(page, "!document.getElementById('move-apply').disabled")
    page.click("#move-apply")
    until(page, "e2espotReview.decisions.numSaved === 1")
    # The milliseconds move: 820 / 2 + 800 = 1210, in frame 30.
    after = [("PASS", "1210"), ("DRIVE", "2010"), ("PASS", "2810")]
    assert match.rows() == after
    assert not page.is_visible("#move-times")
    press(page, "Control+z")
    until(page, "e2espotReview.decisions.numSaved === 2")
    assert match.rows() == before
    press(page, "Control+Shift+z")
    until(page, "e2espotReview.decisions.numSaved === 3")
    assert match.rows() == after
    page.click("#move-open")
    page.fill("#move-shift", "1")
    until(page, "e2espotReview.model.moved.size === 3")
    page.click("#move-cancel")
    assert page.evaluate("e2espotReview.model.events.find((one) => one.kind === 'label').frame") == 30
    assert match.rows() == after

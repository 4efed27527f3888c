"""The report as one HTML file that needs nothing else: sections in the order a reader asks for them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files

import numpy as np

from e2espot.report.analysis import TOLERANCES_S, RunAnalysis, minute_counts
from e2espot.report.charts import (
    error_chart,
    legend,
    minutes_chart,
    precision_recall_chart,
    score_chart,
)
from e2espot.report.frame_strips import STEPS, FrameKey, Strip
from e2espot.report.html import Markup, element, join
from e2espot.scoring.matching import ErrorExample
from e2espot.scoring.metric import METRICS

_SECTIONS = (
    ("scores", "Scores"),
    ("curves", "Precision and recall"),
    ("time", "Time error"),
    ("classes", "Classes"),
    ("match", "Over the match"),
    ("confidence", "Confidence"),
    ("misses", "Worst misses"),
    ("alarms", "False alarms"),
)


_NONE = "\N{EN DASH}"


def report_page(
    title: str, games: Sequence[str], runs: Sequence[RunAnalysis], strips: Mapping[FrameKey, Strip] | None = None
) -> str:
    """The whole page.

    Args:
        title: Heading.
        games: Names of the games, in the order their numbers in ``runs`` mean.
        runs: One or more runs on the same labels.
        strips: Pictures around the moments of the lists, where there are any.
    """
    parts = files("e2espot.report")
    style = (parts / "page.css").read_text(encoding="utf-8")
    script = (parts / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    body = join(
        _header(title, games, runs),
        element("nav", join(*(element("a", text, href=f"#{name}") for name, text in _SECTIONS)), aria_label="Sections"),
        element(
            "main",
            _scores(runs),
            _curves(runs),
            _time(runs),
            _classes(runs),
            _match(runs, games),
            _confidence(runs),
            _cases("misses", runs, games, strips or {}),
            _cases("alarms", runs, games, strips or {}),
        ),
        Markup('<dialog id="large"><div></div><p></p></dialog>'),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark">{element("title", title)}<style>{style}</style></head>'
        f"<body>{body}<script>{script}</script></body></html>\n"
    )


def _header(title: str, games: Sequence[str], runs: Sequence[RunAnalysis]) -> Markup:
    first = runs[0]
    count = len(first.matching.labels)
    shown = games[0] if len(games) == 1 else f"{len(games)} games"
    names = join(*(_run_name(number, run) for number, run in enumerate(runs)))
    classes = ", ".join(first.label_set.names)
    return element(
        "header",
        element("div", element("h1", title), element("button", "Dark", id="theme", type="button"), class_="top"),
        element("p", f"{shown} · {count} labels · {classes}", class_="muted"),
        element("p", names, class_="names"),
    )


def _run_name(number: int, run: RunAnalysis) -> Markup:
    return element("span", element("i"), run.name, class_=f"run run{number % 6}")


def _section(name: str, note: str, *children: Markup) -> Markup:
    heading = dict(_SECTIONS)[name]
    return element("section", element("h2", heading), element("p", note, class_="muted note"), *children, id=name)


def _side_by_side(runs: Sequence[RunAnalysis], draw: Callable[[RunAnalysis], Markup]) -> Markup:
    """One column a run."""
    columns = [
        element("div", _run_name(number, run) if len(runs) > 1 else None, draw(run), class_=f"column run{number % 6}")
        for number, run in enumerate(runs)
    ]
    return element("div", join(*columns), class_="runs", style=f"--runs:{len(runs)}")


def _percent(value: float) -> str:
    return _NONE if np.isnan(value) else f"{100 * value:.2f}"


def _scores(runs: Sequence[RunAnalysis]) -> Markup:
    heads = [f"@{name[2:]}" if name.startswith("at") else name for name in METRICS]
    labels = runs[0].matching.labels
    rows = [("mAP", len(labels), [[run.report.results[name].mAP for name in METRICS] for run in runs])]
    rows += [
        (
            label,
            int((labels.class_N == place).sum()),
            [[run.report.results[name].per_class[label] for name in METRICS] for run in runs],
        )
        for place, label in enumerate(runs[0].label_set.names)
    ]
    body = []
    for label, count, values in rows:
        best = np.nanmax(np.array([[-1.0 if np.isnan(v) else v for v in row] for row in values]), axis=0)
        for number, row in enumerate(values):
            cells: list[Markup] = []
            if number == 0:
                spanned: dict[str, int] = {"rowspan": len(runs)} if len(runs) > 1 else {}
                cells.append(element("th", label, scope="row", **spanned))
                cells.append(element("td", count, class_="count", **spanned))
            if len(runs) > 1:
                cells.append(element("td", _run_name(number, runs[number]), class_="who"))
            for column, value in enumerate(row):
                ahead = len(runs) > 1 and value == best[column] and len({r[column] for r in values}) > 1
                cells.append(
                    element(
                        "td",
                        element("b", _percent(value)) if ahead else _percent(value),
                        class_="bar",
                        style=f"--v:{0 if np.isnan(value) else value:.4f}",
                    )
                )
            body.append(element("tr", join(*cells), class_=f"run{number % 6}" + (" mean" if label == "mAP" else "")))
    names = ["", "labels", *(["run"] if len(runs) > 1 else []), *heads]
    head = element("thead", element("tr", join(*(element("th", text, scope="col") for text in names))))
    note = (
        "mAP and average precision in percent, as SoccerNet's evaluator counts them. @1 takes a prediction within half "
        "a second to each side of a label, @5 within two and a half; tight averages @1 to @5, loose @5 to @60. "
        "The metric's 11 points are out of reach where a single label stays unmatched: then 90.91 is the most."
    )
    table = element("table", head, element("tbody", join(*body)), class_="scores")
    return _section("scores", note, element("div", table, class_="wide", tabindex=0))


def _curves(runs: Sequence[RunAnalysis]) -> Markup:
    def draw(run: RunAnalysis) -> Markup:
        figures = []
        for place, label in enumerate(run.label_set.names):
            curves = [(f"t{s}", *run.matchings[s].curve(place)) for s in reversed(TOLERANCES_S)]
            best = run.thresholds[place]
            point = (best.precision, best.recall) if best.f1 else None
            value = run.report.results["at1"].per_class[label]
            said = f"best F1 {100 * best.f1:.1f} at {best.value:.3f}" if best.f1 else "no hit"
            figures.append(
                element(
                    "figure",
                    element("figcaption", element("b", label), f" AP@1 {_percent(value)}"),
                    precision_recall_chart(f"{label}: precision over recall", curves, point),
                    element("p", said, class_="muted small"),
                )
            )
        return element("div", join(*figures), class_="multiples")

    key = legend(*((f"t{s} stroke", f"@{s}") for s in TOLERANCES_S), ("dot", "best F1"))
    note = (
        "Precision upwards over recall, at the metric's 200 thresholds, one curve a tolerance. Curves that lie apart "
        "tell of hits that come early or late; curves that end early, of labels nothing was said about."
    )
    return _section("curves", note, key, _side_by_side(runs, draw))


def _time(runs: Sequence[RunAnalysis]) -> Markup:
    reach_s = float(runs[0].tolerance_s)

    def draw(run: RunAnalysis) -> Markup:
        errors = run.errors_s
        rows = [_error_row("all", errors)]
        rows += [
            _error_row(label, errors[run.error_classes == place]) for place, label in enumerate(run.label_set.names)
        ]
        heads = ("", "hits", "median", "middle half", "9 of 10 within")
        table = element(
            "table",
            element("thead", element("tr", join(*(element("th", text, scope="col") for text in heads)))),
            element("tbody", join(*rows)),
            class_="plain",
        )
        chart = error_chart("Time error of hits", errors, reach_s, run.matching.framerate)
        return element("div", element("figure", chart), table, class_="pair")

    note = (
        f"Prediction minus label, of hits within {reach_s:g} s to each side and at the best threshold there; right of "
        "zero is late. One bar is one frame, the thin line the median: off zero, it is an offset that can be corrected."
    )
    return _section("time", note, _side_by_side(runs, draw))


def _error_row(name: str, errors_s: np.ndarray) -> Markup:
    if not len(errors_s):
        return element("tr", element("th", name, scope="row"), element("td", 0), *[element("td", _NONE)] * 3)
    low, middle, high = np.quantile(errors_s, (0.25, 0.5, 0.75))
    most = np.quantile(np.abs(errors_s), 0.9)
    texts = (f"{_signed(middle)} s", f"{_signed(low)} to {_signed(high)} s", f"{most:.2f} s")
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", len(errors_s)),
        *(element("td", text) for text in texts),
    )


def _signed(seconds: float) -> str:
    """Two places, a sign unless it is nought, and a true minus."""
    text = f"{abs(seconds):.2f}"
    return text if text == "0.00" else ("\N{MINUS SIGN}" if seconds < 0 else "+") + text


def _classes(runs: Sequence[RunAnalysis]) -> Markup:
    def draw(run: RunAnalysis) -> Markup:
        names = run.label_set.names
        heads = element("tr", element("th", "label ↓ said →"), *_heads(names))
        rows = []
        for row, name in enumerate((*names, "no label")):
            total = max(1, int(run.confusion[row].sum()))
            cells = []
            for column, count in enumerate(run.confusion[row].tolist()):
                kind = "right" if row == column else "lost"
                style = f"--v:{count / total:.3f}"
                blank = row == column == len(names)
                cells.append(element("td", "" if blank else count or "·", class_=kind, style=style))
            rows.append(element("tr", element("th", name, scope="row"), *cells))
        table = element(
            "table",
            element("thead", heads),
            element("tbody", join(*rows)),
            class_="matrix many" if len(names) > 4 else "matrix",
        )
        return element("div", table, class_="wide", tabindex=0)

    note = (
        f"At each class's best threshold and ±{runs[0].tolerance_s / 2:g} s: hits on the diagonal; what is left pairs "
        "with the nearest of another class; the last column was missed, the last row is false alarms. "
        "Shades are shares of a row."
    )
    return _section("classes", note, _side_by_side(runs, draw))


def _heads(names: Sequence[str]) -> list[Markup]:
    return [element("th", element("span", name), scope="col") for name in (*names, "nothing")]


_KINDS = (("hit", "hits"), ("miss", "misses"), ("wrong", "false alarms"))


def _match(runs: Sequence[RunAnalysis], games: Sequence[str]) -> Markup:
    def draw(run: RunAnalysis) -> Markup:
        figures = []
        labels, found = run.matching.labels, run.matching.predictions
        for game, name in enumerate(games):
            halves = {int(half) for m in (labels, found) for half in np.unique(m.half_N[m.game_N == game])}
            for half in sorted(halves):
                counts = minute_counts(run, game, half)
                hit, miss, wrong = counts.sum(axis=0).tolist()
                caption = f"{name}, half {half}" if halves != {1} else name
                told = f"{hit} hits, {miss} misses, {wrong} false alarms"
                figures.append(
                    element(
                        "figure",
                        element("figcaption", element("b", caption), element("span", f" {told}", class_="muted")),
                        minutes_chart(f"{caption}: {told}, by minute", counts),
                    )
                )
        return element("div", join(*figures), class_="stack")

    note = "Counts of each minute at the best thresholds: labels above the line, false alarms below it."
    return _section("match", note, legend(*_KINDS), _side_by_side(runs, draw))


def _confidence(runs: Sequence[RunAnalysis]) -> Markup:
    def draw(run: RunAnalysis) -> Markup:
        figures = []
        matching = run.matching
        for place, label in enumerate(run.label_set.names):
            mine_P = matching.predictions.class_N == place
            scores, hits = matching.predictions.value_N[mine_P], matching.hits[mine_P]
            best = run.thresholds[place]
            said = "nothing worth keeping"
            if best.f1:
                said = f"keep {best.value:.3f} and above: precision {best.precision:.2f}, recall {best.recall:.2f}"
            figures.append(
                element(
                    "figure",
                    element("figcaption", element("b", label)),
                    score_chart(f"{label}: scores of hits and false alarms", scores[hits], scores[~hits], best.value),
                    element("p", said, class_="muted small"),
                )
            )
        return element("div", join(*figures), class_="multiples")

    note = (
        "How many hits (upwards) and false alarms (downwards) have which score, each side on a square-root scale of "
        "its own; the figures are the tallest bars. The line is the threshold with the best F1 on these very games; "
        "choose it on others before believing it."
    )
    return _section("confidence", note, legend(_KINDS[0], _KINDS[2]), _side_by_side(runs, draw))


def _cases(name: str, runs: Sequence[RunAnalysis], games: Sequence[str], strips: Mapping[FrameKey, Strip]) -> Markup:
    def draw(run: RunAnalysis) -> Markup:
        cases = run.misses if name == "misses" else run.false_alarms
        if not cases:
            return element("p", "None.", class_="muted")
        return element("ol", join(*(_case(case, run, games, strips) for case in cases)), class_="cases")

    first, *_, last = (f"{_signed(step / runs[0].matching.framerate)} s" for step in STEPS)
    pictures = f" Pictures from {first} to {last}; press one to see it large." if strips else ""
    notes = {
        "misses": "Labels that no kept prediction hits, those with the least score first." + pictures,
        "alarms": "Predictions that hit no label, the most confident first." + pictures,
    }
    return _section(name, notes[name], _side_by_side(runs, draw))


def _case(case: ErrorExample, run: RunAnalysis, games: Sequence[str], strips: Mapping[FrameKey, Strip]) -> Markup:
    framerate = run.matching.framerate
    clock = _clock(case.bin / framerate)
    place = " · ".join(
        [*([games[case.game]] if len(games) > 1 else []), *([f"half {case.half}"] if case.half > 1 else [])]
    )
    strip = strips.get(FrameKey(game=games[case.game], half=case.half, frame=case.bin))
    head = element(
        "p",
        element("b", run.label_set.names[case.label]),
        element("span", clock, class_="clock"),
        element("span", f"{case.score:.3f}", class_="score", title="highest score of its class there"),
        element("span", place, class_="muted") if place else None,
    )
    return element(
        "li", head, element("p", _what(case, run), class_="muted small"), _pictures(strip, framerate) if strip else None
    )


def _what(case: ErrorExample, run: RunAnalysis) -> str:
    """What lies beside it, in words."""
    names = run.label_set.names
    if case.neighbour < 0:
        return "nothing kept within 2 s" if case.kind == "miss" else "no label within 2 s"
    away = f"{_signed(case.neighbour_s)} s" if case.neighbour_s else "the same frame"
    if case.kind == "miss":
        return f"nearest kept: {names[case.neighbour]} at {away}, {case.neighbour_score:.3f}"
    return f"nearest label: {names[case.neighbour]} at {away}" + (", already hit by another" if case.taken else "")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):02d}:{int(rest * 100 + 1e-6) / 100:05.2f}"


def _pictures(strip: Strip, framerate: int) -> Markup:
    images = [
        element(
            "img",
            src="data:image/jpeg;base64," + base64.b64encode(jpeg).decode(),
            alt=f"{_signed(step / framerate)} s",
            width=strip.width,
            height=strip.height,
            class_="centre" if step == 0 else None,
        )
        for jpeg, step in zip(strip.jpegs, STEPS, strict=True)
    ]
    return element("button", join(*images), class_="strip", type="button", aria_label="Show these pictures large")

"""The sections of the report, in the order in which a reader asks for them; several runs side by side."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from e2espot.report.analysis import TOLERANCES_S, RunAnalysis, counts_by_minute
from e2espot.report.charts import (
    confidence_chart,
    legend,
    minutes_chart,
    precision_recall_chart,
    time_error_chart,
)
from e2espot.report.frame_strips import STEPS, FrameKey, Strip
from e2espot.report.html import Markup, element, join
from e2espot.scoring.error_examples import NEIGHBOUR_S, ErrorExample
from e2espot.scoring.metric import METRICS

HEADINGS = {
    "scores": "Scores",
    "curves": "Precision and recall",
    "time": "Time error",
    "confusion": "Confusion matrix",
    "minutes": "Over the match",
    "confidence": "Confidence",
    "misses": "Worst misses",
    "false-positives": "False positives",
}
"""Id of each section -> heading."""
_NO_VALUE = "\N{EN DASH}"
_NUM_COLOURS = 6
"""Colours of runs in the style sheet; further runs repeat them."""
_OUTCOMES = (("hit", "hits"), ("miss", "misses"), ("false-positive", "false positives"))
"""(CSS class, text) for legends."""


def sections(games: Sequence[str], runs: Sequence[RunAnalysis], strips: Mapping[FrameKey, Strip]) -> Markup:
    """All sections.

    Args:
        games: Names of the games.
        runs: One or more runs, analysed on the same labels.
        strips: Frames around misses and false positives.
    """
    return join(
        _scores(runs),
        _curves(runs),
        _time_errors(runs),
        _confusion(runs),
        _minutes(runs, games),
        _confidence(runs),
        _error_list("misses", runs, games, strips),
        _error_list("false-positives", runs, games, strips),
    )


def run_name(index: int, run: RunAnalysis) -> Markup:
    """Name of a run, with its colour."""
    return element("span", element("i"), run.name, class_=f"run run{index % _NUM_COLOURS}")


def _section(name: str, note: str, *children: Markup) -> Markup:
    return element(
        "section", element("h2", HEADINGS[name]), element("p", note, class_="muted note"), *children, id=name
    )


def _side_by_side(runs: Sequence[RunAnalysis], draw: Callable[[RunAnalysis], Markup]) -> Markup:
    """One column for each run."""
    columns = [
        element(
            "div",
            run_name(index, run) if len(runs) > 1 else None,
            draw(run),
            class_=f"column run{index % _NUM_COLOURS}",
        )
        for index, run in enumerate(runs)
    ]
    return element("div", join(*columns), class_="runs", style=f"--n:{len(runs)}")


def _scores(runs: Sequence[RunAnalysis]) -> Markup:
    labels = runs[0].matching.labels
    rows = [_score_rows("mAP", len(labels), [[run.report.results[name].mAP for name in METRICS] for run in runs], runs)]
    for index, label in enumerate(runs[0].label_set.names):
        count = int((labels.class_N == index).sum())
        values = [[run.report.results[name].per_class[label] for name in METRICS] for run in runs]
        rows.append(_score_rows(label, count, values, runs))
    metrics = [f"@{name[2:]}" if name.startswith("at") else name for name in METRICS]
    columns = ["", "labels", *(["run"] if len(runs) > 1 else []), *metrics]
    head = element("thead", element("tr", join(*(element("th", text, scope="col") for text in columns))))
    note = (
        "mAP and average precision in percent, as SoccerNet's evaluator computes them. At @1 a prediction counts "
        "within half a second of a label, at @5 within two and a half seconds; tight is the mean of @1 to @5, loose "
        "that of @5 to @60. A single unmatched label caps the 11-point average precision of its class at 90.91."
    )
    table = element("table", head, element("tbody", join(*rows)), class_="scores")
    return _section("scores", note, element("div", table, class_="wide", tabindex=0))


def _score_rows(label: str, count: int, values: list[list[float]], runs: Sequence[RunAnalysis]) -> Markup:
    """One row for each run, of one class or of the mean; the best value of each metric is bold."""
    several = len(runs) > 1
    best = np.nanmax(np.array([[-1.0 if np.isnan(value) else value for value in row] for row in values]), axis=0)
    rows = []
    for index, row in enumerate(values):
        cells: list[Markup] = []
        if index == 0:
            span: dict[str, int] = {"rowspan": len(runs)} if several else {}
            cells.append(element("th", label, scope="row", **span))
            cells.append(element("td", count, class_="count", **span))
        if several:
            cells.append(element("td", run_name(index, runs[index]), class_="run-name"))
        for column, value in enumerate(row):
            is_best = several and value == best[column] and len({other[column] for other in values}) > 1
            text = element("b", _percent(value)) if is_best else _percent(value)
            cells.append(element("td", text, class_="bar", style=f"--v:{0 if np.isnan(value) else value:.4f}"))
        rows.append(
            element("tr", join(*cells), class_=f"run{index % _NUM_COLOURS}" + (" mean" if label == "mAP" else ""))
        )
    return join(*rows)


def _percent(value: float) -> str:
    return _NO_VALUE if np.isnan(value) else f"{100 * value:.2f}"


def _curves(runs: Sequence[RunAnalysis]) -> Markup:
    def draw(run: RunAnalysis) -> Markup:
        figures = []
        for index, label in enumerate(run.label_set.names):
            curves = [(f"tolerance{s}", *run.matchings[s].curve(index)) for s in reversed(TOLERANCES_S)]
            best = run.thresholds[index]
            point = (best.precision, best.recall) if best.f1 else None
            average_precision = run.report.results["at1"].per_class[label]
            caption = f"best F1 {100 * best.f1:.1f} at threshold {best.value:.3f}" if best.f1 else "no hit"
            figures.append(
                element(
                    "figure",
                    element("figcaption", element("b", label), f" AP@1 {_percent(average_precision)}"),
                    precision_recall_chart(f"{label}: precision over recall", curves, point),
                    element("p", caption, class_="muted small"),
                )
            )
        return element("div", join(*figures), class_="multiples")

    tolerances = legend(*((f"tolerance{s} stroke", f"@{s}") for s in TOLERANCES_S), ("dot", "best F1"))
    note = (
        "Precision over recall at the metric's 200 thresholds, one curve for each tolerance. Distance between the "
        "curves comes from predictions that are early or late; a curve that ends before recall 1 has labels without "
        "any prediction."
    )
    return _section("curves", note, tolerances, _side_by_side(runs, draw))


def _time_errors(runs: Sequence[RunAnalysis]) -> Markup:
    range_s = float(runs[0].tolerance_s)

    def draw(run: RunAnalysis) -> Markup:
        errors_s = run.time_errors_s
        rows = [_time_error_row("all", errors_s)]
        rows += [
            _time_error_row(label, errors_s[run.time_error_classes == index])
            for index, label in enumerate(run.label_set.names)
        ]
        columns = ("", "hits", "median", "25 % to 75 %", "90 % within")
        table = element(
            "table",
            element("thead", element("tr", join(*(element("th", text, scope="col") for text in columns)))),
            element("tbody", join(*rows)),
            class_="plain",
        )
        chart = time_error_chart("Time error of hits", errors_s, range_s, run.matching.framerate)
        return element("div", element("figure", chart), table, class_="pair")

    note = (
        f"Prediction minus label, for hits within ±{range_s:g} s at the best threshold for that tolerance; positive "
        "is late. One bar is one frame, the thin line is the median. A median away from zero is a constant offset, "
        "which calibration can correct."
    )
    return _section("time", note, _side_by_side(runs, draw))


def _time_error_row(name: str, errors_s: np.ndarray) -> Markup:
    if not len(errors_s):
        return element("tr", element("th", name, scope="row"), element("td", 0), *[element("td", _NO_VALUE)] * 3)
    low, median, high = np.quantile(errors_s, (0.25, 0.5, 0.75))
    within = np.quantile(np.abs(errors_s), 0.9)
    texts = (f"{_signed(median)} s", f"{_signed(low)} to {_signed(high)} s", f"{within:.2f} s")
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", len(errors_s)),
        *(element("td", text) for text in texts),
    )


def _signed(seconds: float) -> str:
    """Two decimals, with a typographic minus; zero has no sign."""
    text = f"{abs(seconds):.2f}"
    return text if text == "0.00" else ("\N{MINUS SIGN}" if seconds < 0 else "+") + text


def _confusion(runs: Sequence[RunAnalysis]) -> Markup:
    def draw(run: RunAnalysis) -> Markup:
        names = run.label_set.names
        column_heads = [element("th", element("span", name), scope="col") for name in (*names, "missed")]
        rows = []
        for row, name in enumerate((*names, "no label")):
            total = max(1, int(run.confusion[row].sum()))
            cells = []
            for column, count in enumerate(run.confusion[row].tolist()):
                is_corner = row == column == len(names)  # neither a label nor a prediction
                cells.append(
                    element(
                        "td",
                        "" if is_corner else count or "·",
                        class_="correct" if row == column else "confused",
                        style=f"--v:{count / total:.3f}",
                    )
                )
            rows.append(element("tr", element("th", name, scope="row"), *cells))
        table = element(
            "table",
            element("thead", element("tr", element("th", "label ↓ predicted →"), *column_heads)),
            element("tbody", join(*rows)),
            class_="matrix many" if len(names) > 4 else "matrix",
        )
        return element("div", table, class_="wide", tabindex=0)

    note = (
        f"At each class's best threshold, within ±{runs[0].tolerance_s / 2:g} s. Hits are on the diagonal. Each "
        "remaining prediction is paired with the nearest remaining label of another class. The last column counts "
        "misses, the last row false positives. Shades are shares of a row."
    )
    return _section("confusion", note, _side_by_side(runs, draw))


def _minutes(runs: Sequence[RunAnalysis], games: Sequence[str]) -> Markup:
    def draw(run: RunAnalysis) -> Markup:
        figures = []
        columns = (run.matching.labels, run.matching.predictions)
        for game, name in enumerate(games):
            halves = {int(half) for events in columns for half in np.unique(events.half_N[events.game_N == game])}
            for half in sorted(halves):
                counts_M3 = counts_by_minute(run, game, half)
                hits, misses, false_positives = counts_M3.sum(axis=0).tolist()
                caption = f"{name}, half {half}" if halves != {1} else name
                summary = f"{hits} hits, {misses} misses, {false_positives} false positives"
                figures.append(
                    element(
                        "figure",
                        element("figcaption", element("b", caption), element("span", f" {summary}", class_="muted")),
                        minutes_chart(f"{caption}: {summary}, by minute", counts_M3),
                    )
                )
        return element("div", join(*figures), class_="stack")

    note = "Counts per minute at the best thresholds: hits and misses above the line, false positives below it."
    return _section("minutes", note, legend(*_OUTCOMES), _side_by_side(runs, draw))


def _confidence(runs: Sequence[RunAnalysis]) -> Markup:
    def draw(run: RunAnalysis) -> Markup:
        figures = []
        matching = run.matching
        for index, label in enumerate(run.label_set.names):
            of_class_P = matching.predictions.class_N == index
            scores, hits = matching.predictions.value_N[of_class_P], matching.hits[of_class_P]
            best = run.thresholds[index]
            caption = "no threshold gives a hit"
            if best.f1:
                caption = f"threshold {best.value:.3f}: precision {best.precision:.2f}, recall {best.recall:.2f}"
            title = f"{label}: confidences of hits and false positives"
            figures.append(
                element(
                    "figure",
                    element("figcaption", element("b", label)),
                    confidence_chart(title, scores[hits], scores[~hits], best.value),
                    element("p", caption, class_="muted small"),
                )
            )
        return element("div", join(*figures), class_="multiples")

    note = (
        "Histograms of confidence: hits upwards, false positives downwards, each on its own square-root scale; the "
        "numbers are the highest counts. The line is the threshold with the best F1 on these games. To report a "
        "result, choose the threshold on other games."
    )
    return _section("confidence", note, legend(_OUTCOMES[0], _OUTCOMES[2]), _side_by_side(runs, draw))


def _error_list(
    name: str, runs: Sequence[RunAnalysis], games: Sequence[str], strips: Mapping[FrameKey, Strip]
) -> Markup:
    def draw(run: RunAnalysis) -> Markup:
        examples = run.misses if name == "misses" else run.false_positives
        if not examples:
            return element("p", "None.", class_="muted")
        return element("ol", join(*(_example(example, run, games, strips) for example in examples)), class_="examples")

    first, *_, last = (f"{_signed(step / runs[0].matching.framerate)} s" for step in STEPS)
    frames = f" Frames from {first} to {last}; select them to enlarge." if strips else ""
    notes = {
        "misses": "Labels without a hit at the best threshold, lowest score first." + frames,
        "false-positives": "Predictions without a label, highest confidence first." + frames,
    }
    return _section(name, notes[name], _side_by_side(runs, draw))


def _example(example: ErrorExample, run: RunAnalysis, games: Sequence[str], strips: Mapping[FrameKey, Strip]) -> Markup:
    framerate = run.matching.framerate
    context = [games[example.game]] if len(games) > 1 else []
    context += [f"half {example.half}"] if example.half > 1 else []
    strip = strips.get(FrameKey(game=games[example.game], half=example.half, frame=example.bin))
    score_title = "highest score of its class here" if example.kind == "miss" else "confidence"
    head = element(
        "p",
        element("b", run.label_set.names[example.label]),
        element("span", _clock(example.bin / framerate), class_="clock"),
        element("span", f"{example.score:.3f}", class_="score", title=score_title),
        element("span", " · ".join(context), class_="muted") if context else None,
    )
    return element(
        "li",
        head,
        element("p", _neighbour(example, run), class_="muted small"),
        _strip_button(strip, framerate) if strip else None,
    )


def _neighbour(example: ErrorExample, run: RunAnalysis) -> str:
    """The nearest prediction of a miss, or the nearest label of a false positive, in words."""
    names = run.label_set.names
    if example.neighbour < 0:
        what = "prediction above threshold" if example.kind == "miss" else "label"
        return f"no {what} within {NEIGHBOUR_S:g} s"
    distance = f"{_signed(example.neighbour_s)} s" if example.neighbour_s else "the same frame"
    if example.kind == "miss":
        return f"nearest prediction: {names[example.neighbour]} at {distance}, {example.neighbour_score:.3f}"
    duplicate = ", already hit by another prediction" if example.is_duplicate else ""
    return f"nearest label: {names[example.neighbour]} at {distance}{duplicate}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    # Rounded down, so that 59.999 does not read 60.00; the epsilon keeps 1.16 from reading 1.15.
    return f"{int(minutes):02d}:{int(rest * 100 + 1e-6) / 100:05.2f}"


def strip_pictures(strip: Strip, framerate: int) -> Markup:
    """The pictures of a strip side by side, the centre marked."""
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
    return join(*images)


def _strip_button(strip: Strip, framerate: int) -> Markup:
    pictures = strip_pictures(strip, framerate)
    return element("button", pictures, class_="strip", type="button", aria_label="Enlarge these frames")

"""The summary of a dataset as one HTML file, with the pictures around some of its labels.

A wrong offset or a stretched clock shows at once: the middle picture of each strip is the moment of the label.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from itertools import zip_longest

import numpy as np

from e2espot.core.events import ScoredEvent
from e2espot.core.timeline import DEFAULT_FPS, frame_of_position_ms, game_time
from e2espot.report.dataset_summary import DatasetSummary, VideoSummary
from e2espot.report.frame_strips import FrameKey, Strip
from e2espot.report.html import Markup, element, join
from e2espot.report.sections import strip_pictures


def sample_events(summary: DatasetSummary, count: int, seed: int = 0) -> list[tuple[VideoSummary, ScoredEvent]]:
    """Labels whose pictures are shown: at random, every class and every video in turn; the same seed gives the same."""
    rng = np.random.default_rng(seed)
    groups: dict[tuple[str, str, int], list[tuple[VideoSummary, ScoredEvent]]] = {}
    for video in summary.videos:
        if video.minutes:
            for event in video.events:
                groups.setdefault((event.label, video.game, video.half), []).append((video, event))
    shuffled = [[group[int(index)] for index in rng.permutation(len(group))] for group in groups.values()]
    order = [shuffled[int(index)] for index in rng.permutation(len(shuffled))]
    turns = [item for turn in zip_longest(*order) for item in turn if item is not None]
    return turns[:count]


def key_of(video: VideoSummary, event: ScoredEvent) -> FrameKey:
    """Centre of the strip of a label."""
    return FrameKey(game=video.game, half=video.half, frame=frame_of_position_ms(event.position_ms, DEFAULT_FPS))


def dataset_page(title: str, summary: DatasetSummary, count: int, strips: Mapping[FrameKey, Strip]) -> str:
    """Build the page.

    Args:
        title: Heading.
        summary: The dataset.
        count: Number of labels that were sampled.
        strips: Pictures around them, as far as there are any.

    Returns:
        HTML.
    """
    style = (files("e2espot.report") / "page.css").read_text(encoding="utf-8")
    figures = [
        _figure(video, event, strips[key_of(video, event)])
        for video, event in sample_events(summary, count)
        if key_of(video, event) in strips
    ]
    body = join(
        element("header", element("div", element("h1", title), class_="top")),
        element(
            "main",
            element("section", element("h2", "Summary"), element("pre", summary.text())),
            element("section", element("h2", "Pictures around labels"), *figures) if figures else None,
        ),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark">{element("title", title)}<style>{style}</style></head><body>{body}</body></html>\n'
    )


def _figure(video: VideoSummary, event: ScoredEvent, strip: Strip) -> Markup:
    clock = f"{game_time(event.position_ms, event.half)}.{event.position_ms % 1000 // 100}"
    team = f", {event.team}" if event.team else ""
    return element(
        "figure",
        element("figcaption", f"{event.label}{team} at {clock} of {video.game}"),
        element("div", strip_pictures(strip, int(DEFAULT_FPS)), class_="strip"),
        class_="example",
    )

"""The report as one HTML file that loads nothing else: a header, links to the sections, and the sections."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files

from e2espot.core.wording import counted
from e2espot.report.analysis import RunAnalysis
from e2espot.report.frame_strips import FrameKey, Strip
from e2espot.report.html import Markup, element, join
from e2espot.report.sections import HEADINGS, run_name, sections


def report_page(
    title: str, games: Sequence[str], runs: Sequence[RunAnalysis], strips: Mapping[FrameKey, Strip] | None = None
) -> str:
    """Build the page.

    Args:
        title: Heading.
        games: Names of the games; ``runs`` refers to them by index.
        runs: One or more runs, analysed on the same labels.
        strips: Frames around misses and false positives, as far as there are any.

    Returns:
        HTML.
    """
    package = files("e2espot.report")
    style = (package / "page.css").read_text(encoding="utf-8")
    script = (package / "page.js").read_text(encoding="utf-8")
    # Names on the page come from files. Should one ever escape the escaping, the browser still runs only this script.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    links = join(*(element("a", heading, href=f"#{name}") for name, heading in HEADINGS.items()))
    body = join(
        _header(title, games, runs),
        element("nav", links, aria_label="Sections"),
        element("main", sections(games, runs, strips or {})),
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
    subject = games[0] if len(games) == 1 else f"{len(games)} games"
    classes = ", ".join(first.label_set.names)
    return element(
        "header",
        element("div", element("h1", title), element("button", "Dark", id="theme", type="button"), class_="top"),
        element("p", f"{subject} · {counted(len(first.matching.labels), 'label')} · {classes}", class_="muted"),
        element("p", join(*(run_name(index, run) for index, run in enumerate(runs))), class_="run-names"),
    )

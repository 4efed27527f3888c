"""Names of the formats of events; apart from their readers and writers, so that a help text need not load these."""

from __future__ import annotations

from typing import Literal

FormatName = Literal[
    "soccernet",
    "opensportslab",
    "e2e-spot",
    "soccertrack-v2",
    "sn-gar",
    "table",
    "sportscode",
    "dfl",
    "footpass",
    "boris",
    "elan",
]
"""A format that is read and written."""

FeedName = Literal["statsbomb", "wyscout", "opta", "statsperform", "sportec"]
"""An event feed, which is read only."""

ToolName = Literal["labelstudio", "via", "cvat", "fcpxml"]
"""A format of an annotation or editing program, which is read only."""

CutListName = Literal["srt", "vtt", "chapters", "losslesscut", "edl"]
"""A format for players and editors, of captions or cuts; both read and written."""

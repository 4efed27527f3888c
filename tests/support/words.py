"""Words the project does not use, each with what it uses instead; ``tests/test_language.py`` enforces them.

CONTRIBUTING.md shows the same table; ``python -m tests.test_language table`` prints it.
"""

import re

NAMES: dict[str, str] = {
    "anew": "again",
    "arms": "variants",
    "beside": "next_to, adjacent, or the thing itself",
    "carried": "cached, streaming",
    "graphed": "cuda_graph",
    "guesser": "baseline",
    "hub_as_it_is": "offline_if_unreachable",
    "lay_out": "to_channels_last, draw",
    "lesson": "batch",
    "made_finer": "upsample",
    "mend": "fix, repair",
    "mended": "fixed, repaired",
    "nobody": "none",
    "patience": "retry_policy",
    "road": "path, route, pipeline, backend",
    "roads": "paths, routes, pipelines, backends",
    "somebody": "caller, user, process",
    "sound": "reliable, valid",
    "stands": "is",
    "tell": "report, print_figure, forward",
    "telling": "progress",
    "tells": "reports",
    "told": "args, outputs, request, message, parsed, ready",
    "trunk": "backbone",
    "trunks": "backbones",
    "whoever": "caller",
    "wish": "request",
    "wishes": "options",
}
"""Word (or words) of an identifier -> the usual term. Words are those between underscores and capitals."""

WHOLE_NAMES: dict[str, str] = {
    "found": "what it is: events, result, files",
    "here": "local, current",
    "kept": "what it is: retained, stored",
    "own": "what it is: local, default",
    "place": "position, index, path, slot, location",
    "places": "positions, indexes, paths, slots",
    "where": "source, location, mask",
}
"""Identifiers that say nothing by themselves -> what to use instead; they may be words of longer ones."""

PROSE: dict[str, tuple[str, str]] = {
    "anew": (r"anew", "again"),
    "beside": (r"beside", "next to, alongside, together with, compared with"),
    "data set": (r"data sets?", "dataset"),
    "in a word": (r"a word on|without a word|with a word", "a description of, silently, with a message"),
    "mend": (r"mend(s|ed|ing)?", "fix, repair"),
    "nobody": (r"nobody", "no process, no caller, no user"),
    "of ... only": (r"of pickles only", "only ... are read from pickles"),
    "road": (r"roads?", "path, route, pipeline, backend"),
    "says so": (r"sa(y|ys|id) so", "reports it, logs it"),
    "somebody": (r"somebody", "a user, a process"),
    "tell": (r"tells|telling", "shows, gives, reports"),
    "told": (r"told", "given, passed, reported"),
    "trunk": (r"trunks?", "backbone"),
    "whoever": (r"whoever", "the caller, the process"),
    "wish": (r"wish(es)?", "request"),
}
"""Word -> (pattern, what to write), for docstrings, comments and messages."""

_QUOTED = re.compile(r"``[^`]*``|`[^`]*`|https?://\S+")


def names_in(identifier: str) -> list[str]:
    """Banned words of an identifier: ``ToldReader.tell_all`` -> ``told``, ``tell``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower()
    exact = [identifier.strip("_")] if identifier.strip("_") in WHOLE_NAMES else []
    return exact + [word for word in NAMES if f"_{word}_" in f"_{words}_"]


def prose_in(text: str) -> list[str]:
    """Banned words of a text; what is quoted, an address or a file name does not count."""
    plain = _QUOTED.sub("", text)
    return [
        word
        for word, (pattern, _) in PROSE.items()
        if re.search(rf"(?<![\w./\"'-])(?:{pattern})(?![\w/\"'-]|\.\w)", plain, re.IGNORECASE)
    ]


def table() -> str:
    """Both lists as one Markdown table."""
    rows = WHOLE_NAMES | NAMES | {word: usual for word, (_, usual) in PROSE.items()}
    lines = [f"| {word.replace('_', ' ')} | {usual.replace('_', ' ')} |" for word, usual in sorted(rows.items())]
    return "\n".join(["| not | but |", "|---|---|", *lines])

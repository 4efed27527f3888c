"""The readers of event feeds, with a valid file for each."""

import json
from collections.abc import Callable
from pathlib import Path

from e2espot.formats.conversion import Conversion, convert
from tests.support.event_feeds import FEEDS
from tests.support.fuzz_targets_text import Target


def feed_targets() -> dict[str, Target]:
    """The file of the events of each format, next to its valid second file."""
    targets = {}
    for provider, make in FEEDS.items():
        *second, events = make()
        is_json = events.startswith((b"{", b"["))
        targets[f"{provider} feed"] = Target(
            name="events.feed",
            valid=json.loads(events) if is_json else events.decode(),
            read=_reader(provider, second),
            encoding="json" if is_json else "text",
        )
    return targets


def _reader(provider: str, second: list[bytes]) -> Callable[[Path], object]:
    def read(at: Path) -> object:
        if second:
            (at / "second.feed").write_bytes(second[0])
        return convert(
            Conversion(
                source=at / "events.feed",
                target=at / "out",
                from_format=provider,  # type: ignore[arg-type]
                to_format="soccernet",
                predictions=False,
                second_file=at / "second.feed" if second else None,
                overwrite=True,
            )
        )

    return read

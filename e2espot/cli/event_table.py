"""The table of events that ``e2espot infer`` prints: the strongest ones, with their times and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from e2espot.core.errors import VideoError
from e2espot.core.wording import counted

if TYPE_CHECKING:
    from e2espot.core.events import Event
    from e2espot.core.open_arguments import OpenArguments
    from e2espot.formats.game import Game, Video


def print_events(game: Game, events: Sequence[Event], fps: Fraction, rows: int, opening: OpenArguments) -> None:
    """Print the strongest events with their times, and their pictures: what a player or an editor counts.

    Args:
        game: Where they are.
        events: On a grid of ``fps``, in any order.
        fps: Frames per second.
        rows: How many are printed.
        opening: How the videos were opened.
    """
    from e2espot.core.timeline import game_time, position_ms_of_frame

    strongest = sorted(events, key=lambda event: -event.confidence)[:rows]
    shown = f": the {len(strongest)} strongest of {counted(len(events), 'event')}" if strongest else ""
    print(f"\n{game.name}{shown}")
    if strongest:
        print(f"{'time':>12}  {'picture':>7}  {'label':<24} confidence")
    pictures = {video.half: _pictures_of_frames(video, fps, opening) for video in game.videos} if strongest else {}
    for event in sorted(strongest, key=lambda event: (event.half, event.frame)):
        position_ms = position_ms_of_frame(event.frame, fps)
        clock = f"{game_time(position_ms, event.half)}.{position_ms % 1000 // 10:02d}"
        of_half = pictures.get(event.half, ())
        picture = of_half[event.frame] if event.frame < len(of_half) else "-"
        print(f"{clock:>12}  {picture:>7}  {event.label:<24} {event.confidence:.3f}")
    likely = Counter(event.label for event in events if event.confidence >= 0.5)
    print("above 0.5: " + (", ".join(f"{count} {label}" for label, count in likely.most_common()) or "none"))


def _pictures_of_frames(video: Video, fps: Fraction, opening: OpenArguments) -> Sequence[int]:
    """Number of the picture that each frame shows, from 0; nothing for a video in a store or in several files."""
    from e2espot.video import index_of, parts_of, pictures_of_grid

    if video.url is not None or len(parts_of(video.path)) > 1:
        return ()
    try:
        return pictures_of_grid(index_of(video.path, **opening), fps).tolist()  # type: ignore[no-any-return]
    except VideoError:  # such as a feature file
        return ()

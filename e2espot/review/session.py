"""A review while it runs: what is shown, what is decided, what is asked next, and who hears of it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from e2espot.core.errors import AnnotationError
from e2espot.core.events import Event
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.games import Video
from e2espot.review.active_learning import Answer, Question, QueueMode, disagree, in_batches, uncertain
from e2espot.review.browser_video import Playable, playable
from e2espot.review.export import undecided
from e2espot.review.inputs import Material, ReviewGame
from e2espot.review.label_rows import Place, judged_place, verdict_key
from e2espot.review.label_store import ConflictError, LabelStore
from e2espot.review.state import ACCEPTED, LABEL, Applied

_CONFIRMED = "label"


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A change as the page asks for it."""

    kind: Literal["add", "accept", "reject", "confirm", "open", "change", "remove", "undo", "redo"]
    tab: str
    op: str
    seen: int = 0
    id: int = -1
    """The label, for confirm, change and remove."""
    half: int = 1
    frame: int = 0
    label: str = ""
    """Where and what: of the new label, or of the changed one."""
    of_frame: int = -1
    of_label: str = ""
    """The prediction, for accept, reject and open."""


@dataclass(eq=False)
class Tab:
    """A page that is open and waits to hear of changes."""

    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[str]


@dataclass(eq=False)
class Review:
    """A review while it runs: stores opened and videos made ready when first asked for."""

    material: Material
    cache: Path
    queue_mode: QueueMode | None = None
    threshold: float = 0.2
    allow_truncated: bool = False
    _stores: dict[int, LabelStore] = field(default_factory=dict)
    _playable: dict[int, Playable] = field(default_factory=dict)
    _tabs: dict[str, list[Tab]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _video_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def videos(self) -> list[tuple[int, Video]]:
        """(place of the game, video), in the order the page numbers them."""
        return [(place, video) for place, game in enumerate(self.material.games) for video in game.videos]

    def store(self, game: int) -> LabelStore:
        """Labels of a game."""
        with self._lock:
            if game not in self._stores:
                found = self.material.games[game]
                self._stores[game] = LabelStore(found.target, found.source)
                self._stores[game].listeners.append(partial(self._tell, game))
            return self._stores[game]

    def playable(self, video: int, progress: Callable[[int], object] | None = None) -> Playable:
        """A video ready for the browser."""
        with self._video_lock:  # a long copy must not keep the others waiting
            if video not in self._playable:
                path = self.videos[video][1].path
                self._playable[video] = playable(path, self.cache, progress, allow_truncated=self.allow_truncated)
            return self._playable[video]

    def close(self) -> None:
        """Let go of all label files."""
        for store in self._stores.values():
            store.close()

    # Telling the tabs

    def join(self, tab: str, waiting: Tab) -> None:
        """A page is open and wants to hear of changes."""
        with self._lock:
            self._tabs.setdefault(tab, []).append(waiting)

    def leave(self, tab: str, waiting: Tab) -> None:
        """The page was closed."""
        with self._lock:
            self._tabs[tab].remove(waiting)
            if not self._tabs[tab]:
                del self._tabs[tab]

    def _tell(self, game: int, applied: Applied | None) -> None:
        store = self._stores[game]
        told: dict[str, Any] = {"game": game, "revision": store.revision}
        if applied is None:
            told["reload"] = True
        else:
            told |= described(store, applied)
        text = json.dumps(told)
        with self._lock:
            waiting = [tab for tabs in self._tabs.values() for tab in tabs]
        for tab in waiting:
            tab.loop.call_soon_threadsafe(tab.queue.put_nowait, text)

    # Answers

    def session(self) -> dict[str, Any]:
        """What the page is about."""
        games = [
            {"name": game.name, "target": str(game.target), "spotters": len(game.predictions)}
            for game in self.material.games
        ]
        videos = [
            {
                "game": place,
                "half": video.half,
                "name": video.path.name,
                "scores": video.half in self._game(place).scores,
            }
            for place, video in self.videos
        ]
        return {
            "games": games,
            "videos": videos,
            "classes": list(self.material.label_set.names),
            "fps": float(DEFAULT_FPS),
            "queue": self.queue_mode,
            "threshold": self.threshold,
        }

    def _game(self, place: int) -> ReviewGame:
        return self.material.games[place]

    def predictions(self, video: int) -> list[Event]:
        """Predictions of the first spotter for one video."""
        game, half = self.videos[video][0], self.videos[video][1].half
        sets = self._game(game).predictions
        return [event for event in sets[0] if event.half == half] if sets else []

    def questions(self, mode: QueueMode) -> list[Question]:
        """Moments of all games, those whose answers teach the most first."""
        shown: dict[int, list[Event]] = {}
        others: list[dict[int, list[Event]]] = []
        labels: dict[int, list[Event]] = {}
        answers: list[Answer] = []
        for video, (place, footage) in enumerate(self.videos):
            game, store = self._game(place), self.store(place)
            shown[video] = self.predictions(video)
            for number, events in enumerate(game.predictions[1:]):
                while len(others) <= number:
                    others.append({})
                others[number][video] = [event for event in events if event.half == footage.half]
            labels[video] = [
                Event(frame=found.frame, label=found.label, half=found.half)
                for found in store.places()
                if found.half == footage.half
            ]
            answers += _answers(video, footage.half, store.verdicts(), shown[video])
        if mode == "uncertain":
            hit = {video: _free_of(events, labels[video]) for video, events in shown.items()}
            return in_batches(uncertain(hit, answers))
        confirmed = {
            (video, found["frame"], found["label"])
            for video, (place, footage) in enumerate(self.videos)
            for found in self.store(place).snapshot()["labels"]
            if found["half"] == footage.half and f"{_CONFIRMED}/{found['id']}" in self.store(place).verdicts()
        }
        asked = disagree(shown, labels, answers, others=others)
        return in_batches([q for q in asked if q.kind != "label" or (q.video, q.frame, q.label) not in confirmed])

    def change(self, game: int, asked: Asked) -> Applied:
        """Do what the page asks.

        Raises:
            ConflictError: something changed meanwhile.
            AnnotationError: a frame or class that does not exist.
        """
        store = self.store(game)
        if asked.kind in ("undo", "redo"):
            return store.undo(asked.tab, asked.op, redo=asked.kind == "redo", gone=lambda tab: tab not in self._tabs)
        place = Place(half=asked.half, frame=asked.frame, label=asked.label)
        if asked.kind in ("add", "accept", "change"):
            self._check(game, place)
        of = Place(half=asked.half, frame=asked.of_frame, label=asked.of_label)
        if asked.kind in ("accept", "reject", "open"):
            self._check(game, of)
        named = asked.label or asked.of_label
        name = f"{asked.kind} {named}".strip()
        who = {"tab": asked.tab, "op": asked.op, "seen": asked.seen, "name": name}
        if asked.kind == "add":
            return store.add(place, **who)
        if asked.kind == "accept":
            return store.accept(of, place, **who)
        if asked.kind in ("reject", "open"):
            return store.judge(verdict_key(of), "rejected" if asked.kind == "reject" else None, **who)
        if asked.kind == "confirm":
            if store.row_for_page(asked.id) is None:
                raise ConflictError("that label is gone; it was removed meanwhile")
            return store.judge(f"{_CONFIRMED}/{asked.id}", "confirmed", **who)
        return store.change(asked.id, place if asked.kind == "change" else None, **who)

    def _check(self, game: int, place: Place) -> None:
        known = {label["label"] for label in self.store(game).snapshot()["labels"]}
        if place.label not in self.material.label_set and place.label not in known:
            raise AnnotationError(f"no class {place.label!r} in this review")
        videos = [n for n, (g, video) in enumerate(self.videos) if g == game and video.half == place.half]
        if not videos:
            raise AnnotationError(f"no half {place.half} in this review")
        num_frames = len(self.playable(videos[0]).picture_K)
        if not 0 <= place.frame < num_frames:
            raise AnnotationError(f"frame {place.frame} lies outside the video, which has {num_frames}")


def described(store: LabelStore, applied: Applied) -> dict[str, Any]:
    """A change as the pages take it over."""
    changes = [
        {
            "kind": change.kind,
            "key": change.key,
            "after": store.row_for_page(int(change.key)) if change.kind == LABEL else change.after,
        }
        for change in applied.changes
    ]
    return {
        "revision": applied.revision,
        "changes": changes,
        "name": applied.name,
        "tab": applied.tab,
        "op": applied.op,
    }


def _answers(video: int, half: int, verdicts: dict[str, str], predictions: list[Event]) -> list[Answer]:
    """Verdicts on the predictions of one video."""
    scores = {(event.frame, event.label): event.confidence for event in predictions}
    out = []
    for key, verdict in verdicts.items():
        place = judged_place(key)
        if place is not None and place.half == half:
            score = scores.get((place.frame, place.label))
            right = verdict.startswith(ACCEPTED)
            out.append(Answer(video=video, frame=place.frame, label=place.label, score=score, right=right))
    return out


def _free_of(events: list[Event], labels: list[Event]) -> list[Event]:
    """Predictions that no label stands at; where one does, there is nothing to ask."""
    return undecided(
        events, [Place(half=label.half, frame=label.frame, label=label.label) for label in labels], {}, 0.0
    )

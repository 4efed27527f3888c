"""A running review: label stores and videos, opened when first needed, and the changes that pages request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from e2espot.core.errors import AnnotationError
from e2espot.core.events import Event
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.game import Video
from e2espot.review.active_learning import Question, QueueMode
from e2espot.review.browser_video import BrowserVideo, prepare_browser_video
from e2espot.review.encoded_fragments import FragmentEncoder
from e2espot.review.inputs import ReviewInputs
from e2espot.review.label_rows import EventKey
from e2espot.review.label_store import ConflictError, LabelStore
from e2espot.review.moving import MovedLabels, parse_move
from e2espot.review.open_tabs import OpenTabs
from e2espot.review.questions import VideoReview, review_queue
from e2espot.review.state import FIELD, LABEL, VERDICT, AppliedChange, Change, ChangeOrigin
from e2espot.review.verdicts import CONFIRMED, REJECTED, label_verdict_key, verdict_key


class ChangeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A change that a page asks for."""

    kind: Literal["add", "accept", "reject", "confirm", "open", "change", "remove", "move", "annotate", "undo", "redo"]
    """What to do; ``open`` removes the verdict on a prediction."""
    tab: str
    """Id of the browser tab."""
    op: str
    """Id that the tab gave the operation; one that is sent twice is applied once."""
    seen: int = 0
    """Revision of the labels that the tab had seen."""
    id: int = -1
    """Id of the label, for confirm, change and remove."""
    half: int = 1
    """Half of the event, for all kinds that name one."""
    frame: int = 0
    """Frame of the label, for add, accept and change; the first one for annotate."""
    label: str = ""
    """Class of the label, for add, accept and change."""
    of_frame: int = -1
    """Frame of the prediction, for accept, reject and open."""
    of_label: str = ""
    """Class of the prediction, for accept, reject and open."""
    shift: str = "0"
    """Seconds or a clock by which all labels of the half move, for move."""
    rate: str = "1"
    """Factor of their times before that, such as 25/24, for move."""
    to_frame: int = 0
    """The last frame, for annotate."""
    complete: bool = True
    """Whether the labels in these frames are complete, for annotate."""

    @property
    def event(self) -> EventKey:
        """The label."""
        return EventKey(half=self.half, frame=self.frame, label=self.label)

    @property
    def prediction(self) -> EventKey:
        """The prediction."""
        return EventKey(half=self.half, frame=self.of_frame, label=self.of_label)

    @property
    def origin(self) -> ChangeOrigin:
        """Where the change comes from."""
        name = f"{self.kind} {self.label or self.of_label}".strip()
        return ChangeOrigin(tab=self.tab, op=self.op, name=name, seen=self.seen)


class Review:
    """A running review."""

    def __init__(
        self,
        inputs: ReviewInputs,
        cache: Path,
        *,
        queue_mode: QueueMode | None = None,
        threshold: float = 0.2,
        allow_truncated: bool = False,
    ) -> None:
        """Prepare a review without opening labels or videos.

        Args:
            inputs: The games.
            cache: Folder for videos copied to a container that browsers play.
            queue_mode: How the review queue is ordered; the page shows no queue without it.
            threshold: Score below which predictions are hidden at first.
            allow_truncated: Use a truncated video up to where it ends.
        """
        self.inputs = inputs
        self.queue_mode = queue_mode
        self.threshold = threshold
        self.videos: list[tuple[int, Video]] = [
            (number, video) for number, game in enumerate(inputs.games) for video in game.videos
        ]
        """(number of the game, video) in the order of the page."""
        self.tabs = OpenTabs()
        self._cache, self._allow_truncated = cache, allow_truncated
        self._stores: dict[int, LabelStore] = {}
        self._browser_videos: dict[int, BrowserVideo] = {}
        self._fragment_encoders: dict[tuple[int, int], FragmentEncoder] = {}
        self._store_lock = threading.RLock()
        self._video_lock = threading.Lock()

    def store(self, game: int) -> LabelStore:
        """Labels of a game, by its number."""
        with self._store_lock:
            if game not in self._stores:
                review_game = self.inputs.games[game]
                store = LabelStore(review_game.target, review_game.source)
                store.listeners.append(partial(self._broadcast, game, store))
                self._stores[game] = store
            return self._stores[game]

    def browser_video(self, video: int, progress: Callable[[int], object] | None = None) -> BrowserVideo:
        """A video for the browser, by its number."""
        with self._video_lock:  # not the lock of the stores: copying a video takes long
            if video not in self._browser_videos:
                shown = self.videos[video][1]
                self._browser_videos[video] = prepare_browser_video(
                    shown.path,
                    self._cache,
                    progress,
                    allow_truncated=self._allow_truncated,
                    video_stream=shown.video_stream,
                )
            return self._browser_videos[video]

    def fragment_encoder(self, video: int, file: int) -> FragmentEncoder:
        """Encodes a file of a video for browsers that cannot play it, by the numbers of both.

        Raises:
            IndexError: There is no such video or file.
        """
        index = self.browser_video(video).files[file].index
        with self._video_lock:
            return self._fragment_encoders.setdefault((video, file), FragmentEncoder(index))

    def close(self) -> None:
        """Close all label stores and videos."""
        for encoder in self._fragment_encoders.values():
            encoder.close()
        for store in self._stores.values():
            store.close()

    def _broadcast(self, game: int, store: LabelStore, applied: AppliedChange | None) -> None:
        """Send a change to all tabs; without one they reload the labels."""
        update = {"reload": True} if applied is None else page_update(store, applied)
        self.tabs.broadcast(json.dumps({"game": game, "revision": store.revision, **update}))

    # What pages ask for

    def session(self) -> dict[str, Any]:
        """Games, videos, classes and settings, as plain values."""
        games = self.inputs.games
        return {
            "games": [{"name": game.name, "target": str(game.target)} for game in games],
            "videos": [
                {
                    "game": number,
                    "half": video.half,
                    "name": video.path.name,
                    "scores": video.half in games[number].scores,
                }
                for number, video in self.videos
            ],
            "classes": list(self.inputs.label_set.names),
            "fps": float(DEFAULT_FPS),
            "queue": self.queue_mode,
            "threshold": self.threshold,
        }

    def predictions(self, video: int) -> list[Event]:
        """Predictions of the shown model, the first one, for one video."""
        game_index, game_video = self.videos[video]
        game = self.inputs.games[game_index]
        return game.predictions_of(0, game_video.half) if game.predictions else []

    def questions(self, mode: QueueMode) -> list[Question]:
        """The review queue of all games, the most informative questions first."""
        snapshots = [self.store(number).snapshot() for number in range(len(self.inputs.games))]
        videos = [
            VideoReview.of(self.inputs.games[number], video.half, snapshots[number]) for number, video in self.videos
        ]
        return review_queue(videos, mode)

    def change(self, game: int, request: ChangeRequest) -> AppliedChange:
        """Apply a change.

        Args:
            game: Number of the game.
            request: The change.

        Raises:
            ConflictError: Something was changed in the meantime.
            AnnotationError: A frame or class that does not exist.
        """
        store = self.store(game)
        if request.kind in ("undo", "redo"):
            redo = request.kind == "redo"
            return store.undo(request.tab, request.op, redo=redo, is_closed=self.tabs.is_closed)
        if request.kind in ("add", "accept", "change"):
            self._check_event(game, request.event)
        if request.kind in ("accept", "reject", "open"):
            self._check_event(game, request.prediction)
        if request.kind == "move":
            retiming = parse_move(request.shift, request.rate)
            return store.move_labels(request.half, retiming, self._num_frames(game, request.half), request.origin)
        if request.kind == "annotate":
            return self._mark_annotated(game, request)
        return _apply(store, request)

    def _mark_annotated(self, game: int, request: ChangeRequest) -> AppliedChange:
        num_frames = self._num_frames(game, request.half)
        if not 0 <= request.frame <= request.to_frame < num_frames:
            raise AnnotationError(
                f"frames {request.frame} to {request.to_frame} are no stretch of the video, which has {num_frames}"
            )
        halves = {video.half for of_game, video in self.videos if of_game == game}
        return self.store(game).mark_annotated(
            request.half, request.frame, request.to_frame, request.origin, complete=request.complete, halves=halves
        )

    def moved(self, game: int, half: int, shift: str, rate: str) -> MovedLabels:
        """Where the labels of a half would be after a move; nothing is changed.

        Raises:
            AnnotationError: values of another form, or no such half.
        """
        return self.store(game).moved(half, parse_move(shift, rate), self._num_frames(game, half))

    def _check_event(self, game: int, event: EventKey) -> None:
        labels = self.store(game).label_events().values()
        if event.label not in self.inputs.label_set and all(event.label != label.label for label in labels):
            raise AnnotationError(f"no class {event.label!r} in this review")
        num_frames = self._num_frames(game, event.half)
        if not 0 <= event.frame < num_frames:
            raise AnnotationError(f"frame {event.frame} is outside the video, which has {num_frames}")

    def _num_frames(self, game: int, half: int) -> int:
        videos = [index for index, (of_game, video) in enumerate(self.videos) if (of_game, video.half) == (game, half)]
        if not videos:
            raise AnnotationError(f"no half {half} in this review")
        return len(self.browser_video(videos[0]).picture_K)


def _apply(store: LabelStore, request: ChangeRequest) -> AppliedChange:
    """Apply a checked change other than undo and redo."""
    origin = request.origin
    match request.kind:
        case "add":
            return store.add(request.event, origin)
        case "accept":
            return store.accept(request.prediction, request.event, origin)
        case "reject":
            return store.set_verdict(verdict_key(request.prediction), REJECTED, origin)
        case "open":
            return store.set_verdict(verdict_key(request.prediction), None, origin)
        case "confirm":
            if store.row_for_page(request.id) is None:
                raise ConflictError("that label does not exist any more; it was removed in the meantime")
            return store.set_verdict(label_verdict_key(request.id), CONFIRMED, origin)
        case "change":
            return store.change_label(request.id, request.event, origin)
        case "remove":
            return store.remove_label(request.id, origin)
        case _:
            raise ValueError(f"{request.kind} is not a change")


def page_update(store: LabelStore, applied: AppliedChange) -> dict[str, Any]:
    """A change as plain values for the pages."""
    after: dict[str, Callable[[Change], Any]] = {
        LABEL: lambda change: store.row_for_page(int(change.key)),
        VERDICT: lambda change: change.after,
        FIELD: lambda change: store.annotated_for_page(),
    }
    changes = [
        {"kind": change.kind, "key": change.key, "after": after[change.kind](change)} for change in applied.changes
    ]
    return {
        "revision": applied.revision,
        "changes": changes,
        "name": applied.name,
        "tab": applied.tab,
        "op": applied.op,
    }

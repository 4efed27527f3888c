"""The review server: hands out the page, the videos and the labels, takes decisions, tells all tabs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from e2espot.errors import AnnotationError, E2ESpotError
from e2espot.events import Event
from e2espot.formats.scores import read_scores
from e2espot.games import Video
from e2espot.review.export import osl_json, undecided
from e2espot.review.guard import Guard
from e2espot.review.material import Material, ReviewGame
from e2espot.review.playable import Playable, playable
from e2espot.review.queue import Answer, Question, QueueMode, disagree, uncertain
from e2espot.review.rows import Place, judged_place, verdict_key
from e2espot.review.store import LABEL, Applied, ConflictError, LabelStore
from e2espot.timeline import DEFAULT_FPS

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_LONGEST_BODY = 10_000
_HEARTBEAT_S = 15.0
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
class _Tab:
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[str]


@dataclass(eq=False)
class Review:
    """A review while it runs: stores opened and videos made ready when first asked for."""

    material: Material
    cache: Path
    queue_mode: QueueMode | None = None
    threshold: float = 0.2
    _stores: dict[int, LabelStore] = field(default_factory=dict)
    _playable: dict[int, Playable] = field(default_factory=dict)
    _tabs: dict[str, list[_Tab]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

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
        with self._lock:
            if video not in self._playable:
                self._playable[video] = playable(self.videos[video][1].path, self.cache, progress)
            return self._playable[video]

    def close(self) -> None:
        """Let go of all label files."""
        for store in self._stores.values():
            store.close()

    # Telling the tabs

    def join(self, tab: str, waiting: _Tab) -> None:
        """A page is open and wants to hear of changes."""
        with self._lock:
            self._tabs.setdefault(tab, []).append(waiting)

    def leave(self, tab: str, waiting: _Tab) -> None:
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
        """Moments of all games in the order they should be looked at."""
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
            return uncertain(hit, answers)
        confirmed = {
            (video, found["frame"], found["label"])
            for video, (place, footage) in enumerate(self.videos)
            for found in self.store(place).snapshot()["labels"]
            if found["half"] == footage.half and f"{_CONFIRMED}/{found['id']}" in self.store(place).verdicts()
        }
        asked = disagree(shown, labels, answers, others=others)
        return [q for q in asked if q.kind != "label" or (q.video, q.frame, q.label) not in confirmed]

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
            right = verdict == "accepted"
            out.append(Answer(video=video, frame=place.frame, label=place.label, score=score, right=right))
    return out


def _free_of(events: list[Event], labels: list[Event]) -> list[Event]:
    """Predictions that no label stands at; where one does, there is nothing to ask."""
    return undecided(
        events, [Place(half=label.half, frame=label.frame, label=label.label) for label in labels], {}, 0.0
    )


# Routes


def application(review: Review, port: int) -> Guard:
    """The ASGI application, guarded."""
    static = {path.name: path for path in _STATIC.iterdir() if path.suffix in _TYPES}

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in static:
            return Response("no such file", status_code=404)
        path = static[name]
        return FileResponse(path, media_type=_TYPES[path.suffix], headers={"cache-control": "no-cache"})

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/static/{name}", page),
            Route("/api/session", _answering(review, lambda r, _: r.session())),
            Route("/api/videos/{video:int}/file", _video_file(review)),
            Route("/api/videos/{video:int}", _answering(review, _video)),
            Route("/api/videos/{video:int}/times", _answering(review, lambda r, n: r.playable(n["video"]).times_P)),
            Route("/api/videos/{video:int}/grid", _answering(review, _grid)),
            Route("/api/videos/{video:int}/scores", _answering(review, _scores)),
            Route("/api/games/{game:int}/labels", _answering(review, lambda r, n: r.store(n["game"]).snapshot())),
            Route("/api/games/{game:int}/osl", _answering(review, _osl)),
            Route("/api/queue/{mode}", _answering(review, _queue)),
            Route("/api/games/{game:int}/change", _changing(review), methods=["POST"]),
            Route("/api/changes/{tab}", _listening(review)),
        ]
    )
    return Guard(app, port)


def _answering(review: Review, answer: Callable[[Review, dict[str, Any]], Any]) -> Callable[[Request], Any]:
    """An endpoint for ``answer``, which gives plain values or an array; an error of the user's is one line."""

    async def endpoint(request: Request) -> Response:
        told = {**request.query_params, **request.path_params}
        headers = {"cache-control": "no-store"}
        try:
            content = await run_in_threadpool(answer, review, told)
        except IndexError:
            return JSONResponse({"error": "no such video or game in this review"}, status_code=404)
        except E2ESpotError as error:
            return JSONResponse({"error": str(error)}, status_code=422, headers=headers)
        if isinstance(content, np.ndarray):
            return Response(content.tobytes(), media_type="application/octet-stream", headers=headers)
        return JSONResponse(content, headers=headers)

    return endpoint


def _video(review: Review, told: dict[str, Any]) -> dict[str, Any]:
    ready = review.playable(told["video"])
    game, footage = review.videos[told["video"]]
    events = review.predictions(told["video"])
    names = sorted({event.label for event in events} | set(review.material.label_set.names))
    scores = _score_file(review, told["video"])
    return {
        "game": game,
        "half": footage.half,
        "width": ready.width,
        "height": ready.height,
        "num_frames": len(ready.picture_K),
        "media_type": ready.media_type,
        "names": names,
        "predictions": {
            "frame": [event.frame for event in events],
            "name": [names.index(event.label) for event in events],
            "score": [event.confidence for event in events],
        },
        "scores": None if scores is None else {"classes": list(scores.label_set.names), "fps": float(scores.fps)},
    }


def _grid(review: Review, told: dict[str, Any]) -> np.ndarray:
    """The picture of each frame, then the frame of each picture."""
    ready = review.playable(told["video"])
    return np.concatenate([ready.picture_K, ready.frame_P])


def _score_file(review: Review, video: int) -> Any:
    game, footage = review.videos[video]
    path = review.material.games[game].scores.get(footage.half)
    return None if path is None else read_scores(path)


def _scores(review: Review, told: dict[str, Any]) -> np.ndarray:
    """uint8 ``(T, K)``, 255 for 1."""
    scores = _score_file(review, told["video"])
    if scores is None:
        raise AnnotationError("no scores of every frame for this video; tools/infer.py --save_scores writes them")
    return np.asarray(np.rint(np.clip(scores.scores_TK, 0, 1) * 255).astype(np.uint8))


def _queue(review: Review, told: dict[str, Any]) -> list[dict[str, Any]]:
    if told["mode"] not in ("uncertain", "disagree"):
        raise AnnotationError("the queue is ordered by uncertain or disagree")
    return [msgspec.to_builtins(question) for question in review.questions(told["mode"])]


def _osl(review: Review, told: dict[str, Any]) -> dict[str, Any]:
    game, store = review.material.games[told["game"]], review.store(told["game"])
    left: list[Event] = []
    if "threshold" in told and game.predictions:
        try:
            threshold = float(told["threshold"])
        except ValueError:
            raise AnnotationError("threshold must be a number") from None
        left = undecided(game.predictions[0], store.places(), store.verdicts(), threshold)
    return osl_json([(game.name, game.videos, store.places(), left)], review.material.label_set)


def _video_file(review: Review) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            ready = await run_in_threadpool(review.playable, request.path_params["video"])
        except IndexError:
            return Response("no such video", status_code=404)
        except E2ESpotError as error:
            return Response(str(error), status_code=422)
        return FileResponse(ready.path, media_type=ready.media_type, headers={"cache-control": "no-cache"})

    return endpoint


def _changing(review: Review) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        game = request.path_params["game"]
        try:
            body = b""
            async for part in request.stream():
                body += part
                if len(body) > _LONGEST_BODY:
                    return JSONResponse({"error": "too long"}, status_code=413)
            asked = msgspec.json.decode(body, type=Asked)
            applied = await run_in_threadpool(review.change, game, asked)
        except msgspec.MsgspecError as error:
            return JSONResponse({"error": f"not a change: {error}"}, status_code=400)
        except IndexError:
            return JSONResponse({"error": "no such game in this review"}, status_code=404)
        except ConflictError as error:
            return JSONResponse({"error": str(error)}, status_code=409)
        except AnnotationError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except E2ESpotError as error:
            return JSONResponse({"error": str(error)}, status_code=507)
        return JSONResponse(described(review.store(game), applied))

    return endpoint


def _listening(review: Review) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        tab = request.path_params["tab"][:64]
        waiting = _Tab(loop=asyncio.get_running_loop(), queue=asyncio.Queue())

        async def stream() -> AsyncIterator[str]:
            review.join(tab, waiting)
            try:
                yield "retry: 1000\n\n"
                while True:
                    try:
                        text = await asyncio.wait_for(waiting.queue.get(), _HEARTBEAT_S)
                    except TimeoutError:
                        yield ": still here\n\n"
                        continue
                    yield f"data: {text}\n\n"
            finally:
                review.leave(tab, waiting)

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    return endpoint

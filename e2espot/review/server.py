"""The routes of the review server: the page, the videos, the labels, the decisions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from e2espot.core.errors import AnnotationError, E2ESpotError
from e2espot.core.events import Event
from e2espot.core.scores import Scores
from e2espot.formats.scores import read_scores
from e2espot.review.export import osl_json, undecided
from e2espot.review.label_store import ConflictError
from e2espot.review.origin_guard import Guard
from e2espot.review.session import Asked, Review, Tab, described

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_LONGEST_BODY = 10_000
_HEARTBEAT_S = 15.0


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
    num_frames = len(ready.picture_K)
    events = [event for event in review.predictions(told["video"]) if event.frame < num_frames]
    names = sorted({event.label for event in events} | set(review.material.label_set.names))
    scores = _score_file(review, told["video"])
    return {
        "game": game,
        "half": footage.half,
        "width": ready.width,
        "height": ready.height,
        "num_frames": num_frames,
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


def _score_file(review: Review, video: int) -> Scores | None:
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
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return JSONResponse({"error": f"not a change: {' '.join(str(error).split())}"}, status_code=400)
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
        waiting = Tab(loop=asyncio.get_running_loop(), queue=asyncio.Queue())

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

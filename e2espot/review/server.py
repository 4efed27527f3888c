"""The HTTP interface of a review: the page, the videos, the labels, and changes to them.

::

    GET  /                              the page; /static/NAME its parts
    GET  /api/session                   games, videos, classes, settings
    GET  /api/videos/N                  size, predictions, names of the scores' classes
    GET  /api/videos/N/file/F           file F of the video, by ranges; most videos have file 0 only
    GET  /api/videos/N/file/F/fragment/S pictures of it from S * fragment_pictures on, encoded as MP4
    GET  /api/videos/N/times            float64: seconds of each picture, and the end of the last
    GET  /api/videos/N/start_after/P    the first picture after P at which decoding can begin
    GET  /api/videos/N/grid             int32: the picture of each frame, then the frame of each picture
    GET  /api/videos/N/scores           uint8 (T, K): scores of every frame, 255 for 1
    GET  /api/games/N/labels            labels and verdicts with their revision
    GET  /api/games/N/moved?half=H&shift=S&rate=R   (id, frame) of its labels after a move; nothing is changed
    GET  /api/games/N/osl?threshold=X   OpenSportsLab JSON; with unreviewed predictions of at least X
    GET  /api/queue/MODE                questions for the reviewer, in order
    POST /api/games/N/change            a ChangeRequest; answered when it is on disk
    GET  /api/changes/TAB               server-sent events: changes made in any tab
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from e2espot.core.errors import AnnotationError, E2ESpotError, one_line
from e2espot.core.events import Event
from e2espot.core.scores import Scores
from e2espot.core.timeline import HALVES
from e2espot.formats.scores import read_scores
from e2espot.review.encoded_fragments import FRAGMENT_PICTURES
from e2espot.review.export import ExportedGame, export_opensportslab, unreviewed
from e2espot.review.label_store import ConflictError
from e2espot.review.open_tabs import TabConnection
from e2espot.review.origin_guard import OriginGuard
from e2espot.review.session import ChangeRequest, Review, page_update

Params = Mapping[str, Any]
"""Parameters of a request: those of the path, such as ``video``, and those of the query."""

Endpoint = Callable[[Request], Awaitable[Response]]
"""What Starlette calls for a request."""

STATIC_FOLDER = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_MAX_BODY_BYTES = 10_000
_MAX_TAB_CHARACTERS = 64
_HEARTBEAT_S = 15.0
"""Seconds between comments in the event stream, so that closed connections are noticed."""


def application(review: Review, port: int) -> OriginGuard:
    """The ASGI application, restricted to its own origin.

    Args:
        review: The review.
        port: Port on the loopback interface that it is served on.
    """
    app = Starlette(
        routes=[
            Route("/", _static_file()),
            Route("/static/{name}", _static_file()),
            Route("/api/session", _read(review, _session)),
            Route("/api/videos/{video:int}", _read(review, _video)),
            Route("/api/videos/{video:int}/file/{file:int}", _video_file(review)),
            Route("/api/videos/{video:int}/file/{file:int}/fragment/{fragment:int}", _fragment(review)),
            Route("/api/videos/{video:int}/start_after/{picture:int}", _read(review, _start_after)),
            Route("/api/videos/{video:int}/times", _read(review, _times)),
            Route("/api/videos/{video:int}/grid", _read(review, _grid)),
            Route("/api/videos/{video:int}/scores", _read(review, _scores)),
            Route("/api/games/{game:int}/labels", _read(review, _labels)),
            Route("/api/games/{game:int}/moved", _read(review, _moved)),
            Route("/api/games/{game:int}/osl", _read(review, _opensportslab)),
            Route("/api/queue/{mode}", _read(review, _queue)),
            Route("/api/games/{game:int}/change", _change(review), methods=["POST"]),
            Route("/api/changes/{tab}", _event_stream(review)),
        ]
    )
    return OriginGuard(app, port)


# Endpoints. Each of these functions returns one for Starlette.


def _static_file() -> Endpoint:
    # Looked up by name, never joined to a path: nothing outside the folder can be asked for.
    files = {path.name: path for path in STATIC_FOLDER.iterdir() if path.suffix in _MEDIA_TYPES}

    async def endpoint(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            return Response("no such file", status_code=404)
        path = files[name]
        return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers={"cache-control": "no-cache"})

    return endpoint


def _read(review: Review, read: Callable[[Review, Params], Any]) -> Endpoint:
    """An endpoint that answers with plain values as JSON, or with the bytes of an array."""

    async def endpoint(request: Request) -> Response:
        params = {**request.query_params, **request.path_params}
        headers = {"cache-control": "no-store"}
        try:
            content = await run_in_threadpool(read, review, params)
        except IndexError:
            return JSONResponse({"error": "no such video or game in this review"}, status_code=404)
        except E2ESpotError as error:
            return JSONResponse({"error": str(error)}, status_code=422, headers=headers)
        if isinstance(content, np.ndarray):
            return Response(content.tobytes(), media_type="application/octet-stream", headers=headers)
        return JSONResponse(content, headers=headers)

    return endpoint


def _video_file(review: Review) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            video = await run_in_threadpool(review.browser_video, request.path_params["video"])
            file = video.files[request.path_params["file"]]
        except IndexError:
            return Response("no such video", status_code=404)
        except E2ESpotError as error:
            return Response(str(error), status_code=422)
        if file.media_type is None:
            return Response("browsers do not play this file; ask for its fragments", status_code=415)
        return FileResponse(file.path, media_type=file.media_type, headers={"cache-control": "no-cache"})

    return endpoint


def _fragment(review: Review) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        params = request.path_params
        try:
            encoder = await run_in_threadpool(review.fragment_encoder, params["video"], params["file"])
            content = await run_in_threadpool(encoder.encode, params["fragment"])
        except IndexError:
            return Response("no such fragment", status_code=404)
        except E2ESpotError as error:
            return Response(str(error), status_code=422)
        return Response(content, media_type="video/mp4", headers={"cache-control": "no-store"})

    return endpoint


def _change(review: Review) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        game = request.path_params["game"]
        try:
            body = b""
            async for part in request.stream():
                body += part
                if len(body) > _MAX_BODY_BYTES:
                    return JSONResponse({"error": "the request is too long"}, status_code=413)
            change = msgspec.json.decode(body, type=ChangeRequest)
            applied = await run_in_threadpool(review.change, game, change)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return JSONResponse({"error": f"not a valid change: {one_line(error)}"}, status_code=400)
        except IndexError:
            return JSONResponse({"error": "no such game in this review"}, status_code=404)
        except ConflictError as error:
            return JSONResponse({"error": str(error)}, status_code=409)
        except AnnotationError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except E2ESpotError as error:  # the disk is full
            return JSONResponse({"error": str(error)}, status_code=507)
        return JSONResponse(page_update(review.store(game), applied))

    return endpoint


def _event_stream(review: Review) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        tab = request.path_params["tab"][:_MAX_TAB_CHARACTERS]
        connection = TabConnection(loop=asyncio.get_running_loop())

        async def stream() -> AsyncIterator[str]:
            review.tabs.join(tab, connection)
            try:
                yield "retry: 1000\n\n"
                while True:
                    try:
                        message = await asyncio.wait_for(connection.queue.get(), _HEARTBEAT_S)
                    except TimeoutError:
                        yield ": heartbeat\n\n"
                        continue
                    yield f"data: {message}\n\n"
            finally:
                review.tabs.leave(tab, connection)

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    return endpoint


# What the reading endpoints answer.


def _session(review: Review, params: Params) -> dict[str, Any]:
    return review.session()


def _video(review: Review, params: Params) -> dict[str, Any]:
    number = params["video"]
    browser_video = review.browser_video(number)
    game, video = review.videos[number]
    num_frames = len(browser_video.picture_K)
    events = [event for event in review.predictions(number) if event.frame < num_frames]
    names = sorted({event.label for event in events} | set(review.inputs.label_set.names))
    index_of_name = {name: index for index, name in enumerate(names)}
    scores = _read_scores(review, number)
    return {
        "game": game,
        "half": video.half,
        "width": browser_video.width,
        "height": browser_video.height,
        "num_frames": num_frames,
        "files": [
            {
                "name": file.index.path.name,
                "first": file.first_picture,
                "start_s": float(file.starts_at_s),
                "encoded": file.media_type is None,
            }
            for file in browser_video.files
        ],
        "fragment_pictures": FRAGMENT_PICTURES,
        "names": names,
        "predictions": {  # columns, because a match has up to 20,000 predictions
            "frame": [event.frame for event in events],
            "name": [index_of_name[event.label] for event in events],
            "score": [event.confidence for event in events],
        },
        "scores": None if scores is None else {"classes": list(scores.label_set.names), "fps": float(scores.fps)},
    }


def _times(review: Review, params: Params) -> np.ndarray:
    return review.browser_video(params["video"]).times_P


def _start_after(review: Review, params: Params) -> dict[str, int | None]:
    starts = review.browser_video(params["video"]).start_P
    later = starts[starts > params["picture"]]
    return {"picture": int(later[0]) if len(later) else None}


def _grid(review: Review, params: Params) -> np.ndarray:
    video = review.browser_video(params["video"])
    return np.concatenate([video.picture_K, video.frame_P])


def _scores(review: Review, params: Params) -> np.ndarray:
    scores = _read_scores(review, params["video"])
    if scores is None:
        raise AnnotationError("there are no scores of every frame for this video; `e2espot infer` can save them")
    return np.asarray(np.rint(np.clip(scores.scores_TK, 0, 1) * 255).astype(np.uint8))


def _read_scores(review: Review, number: int) -> Scores | None:
    game, video = review.videos[number]
    path = review.inputs.games[game].scores.get(video.half)
    return None if path is None else read_scores(path)


def _labels(review: Review, params: Params) -> dict[str, Any]:
    return review.store(params["game"]).snapshot()


def _moved(review: Review, params: Params) -> dict[str, Any]:
    half = str(params.get("half", "1"))
    if half not in map(str, HALVES):
        raise AnnotationError("half must be the number of a half")
    moved = review.moved(params["game"], int(half), str(params.get("shift", "0")), str(params.get("rate", "1")))
    return {"labels": list(moved.frames.items()), "outside": moved.num_outside}


def _opensportslab(review: Review, params: Params) -> dict[str, Any]:
    game, store = review.inputs.games[params["game"]], review.store(params["game"])
    predictions: list[Event] = []
    if "threshold" in params and game.predictions:
        try:
            threshold = float(params["threshold"])
        except ValueError:
            raise AnnotationError("threshold must be a number") from None
        labels = list(store.label_events().values())
        predictions = unreviewed(game.predictions[0], labels, store.verdicts(), threshold)
    exported = ExportedGame(name=game.name, videos=game.videos, text=store.text(), predictions=predictions)
    return export_opensportslab([exported], review.inputs.label_set).document


def _queue(review: Review, params: Params) -> list[dict[str, Any]]:
    if params["mode"] not in ("uncertain", "disagree"):
        raise AnnotationError("the order of the queue must be uncertain or disagree")
    return [msgspec.to_builtins(question) for question in review.questions(params["mode"])]

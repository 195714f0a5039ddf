"""What is answered at which path. All of it only looks.

    /                       the page, page.js, page.css
    /overview               figures, rates, the busiest queues, who is connected
    /queues/<name>          its messages: ?state=dead&key=…&after=<id>
    /messages/<id>          one message, whole
    /metrics                for Prometheus
    /health                 200 while the server answers, else 503; tells nothing else

What the server refuses is answered as JSON with an `error`.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from importlib.resources import files
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qclient.errors import BadName, BadRequest, Error, NotFound, ReplyError
from qclient.web import metrics
from qclient.web.guard import Guard
from qclient.web.looking import Looking

FILES: Final = {
    "page.html": "text/html",
    "page.js": "text/javascript",
    "page.css": "text/css",
}

Look = Callable[[Request], Awaitable[dict[str, Any]]]


def make(
    looking: Looking, *, password: str | None = None, hosts: Collection[str] | None = None
) -> Starlette:
    """The application. See `Guard` for the password and the hosts."""

    async def overview(_: Request) -> dict[str, Any]:
        return await looking.overview()

    async def queue(request: Request) -> dict[str, Any]:
        asked = request.query_params
        return await looking.messages(
            request.path_params["name"],
            state=asked.get("state") or None,
            key=asked.get("key") or None,
            after=_id(asked["after"]) if asked.get("after") else None,
        )

    async def message(request: Request) -> dict[str, Any]:
        return await looking.message(_id(request.path_params["id"]))

    async def scraped(request: Request) -> Response:
        families = [metrics.up(is_up=True)]
        try:
            figures, queues = await looking.figures()
            families += metrics.of_server(figures, looking.server)
            families += metrics.of_queues(queues, int(figures.get("queues", 0)))
        except Error:
            families = [metrics.up(is_up=False)]
        text, content_type = metrics.encoded(families, request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    async def health(_: Request) -> Response:
        try:
            await looking.ping()
        except Error:
            return _as_json({"ok": False}, 503)
        return _as_json({"ok": True})

    return Starlette(
        routes=[
            Route("/", _file("page.html")),
            *(Route(f"/{name}", _file(name)) for name in FILES if name != "page.html"),
            Route("/overview", _json(overview)),
            Route("/queues/{name}", _json(queue)),
            Route("/messages/{id}", _json(message)),
            Route("/metrics", scraped),
            Route("/health", health),
        ],
        middleware=[Middleware(Guard, password=password, hosts=hosts)],
        exception_handlers={Error: _refused, HTTPException: _not_there},
    )


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("qclient.web").joinpath(name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type=FILES[name])

    return answer


def _json(look: Look) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return _as_json(await look(request))

    return answer


def _as_json(
    value: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):  # noqa: PLR2004  as the wire
        raise BadRequest(f"{text!r} is no message's id")
    return int(text)


async def _refused(_: Request, error: Exception) -> Response:
    if isinstance(error, NotFound):
        status = 404
    elif isinstance(error, BadName | BadRequest):
        status = 400
    else:
        status = 502 if isinstance(error, ReplyError) else 503
    return _as_json({"error": str(error)}, status)


async def _not_there(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _as_json({"error": error.detail}, error.status_code, error.headers)

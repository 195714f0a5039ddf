"""Who may see the page, and what browsers are told about it."""

import base64
import binascii
import hmac
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN: Final = "/health"
"""Probes of a container need no password; it tells nothing else."""

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """Stands before the page.

    Args:
        password: what a browser asks its user for, with any name; None for nothing.
        hosts: the names by which the page may be asked for; None for any. A web page of somebody
            else's can have its own name point here, and could read what this one shows.
    """

    def __init__(
        self, app: ASGIApp, password: str | None = None, hosts: Collection[str] | None = None
    ) -> None:
        self._app = app
        self._password = None if password is None else password.encode()
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(Headers(scope=scope), scope["path"])
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers, path: str) -> PlainTextResponse | None:
        host = host_of(headers.get("host", ""))
        if self._hosts is not None and host not in self._hosts:
            return PlainTextResponse(f"not by the name {host!r}: see --name\n", 421)
        if path != OPEN and not self._is_known(headers.get("authorization", "")):
            challenge = {"WWW-Authenticate": 'Basic realm="qserver", charset="UTF-8"'}
            return PlainTextResponse("the password, please\n", 401, challenge)
        return None

    def _is_known(self, said: str) -> bool:
        if self._password is None:
            return True
        scheme, _, encoded = said.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            _, _, password = base64.b64decode(encoded).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(password, self._password)


def host_of(header: str) -> str:
    """The name in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()

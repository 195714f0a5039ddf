"""Where the server is, and how a connection to it begins: connect, then HELLO."""

import asyncio
import os
import re
import socket
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from qclient import queues
from qclient.connection import Call, Connection
from qclient.errors import BadRequest, CannotConnect, ConnectionLost, Error
from qclient.replies import Reply
from qclient.reports import Server
from qclient.words import Duration

PORT: Final = 7711

_PARTS: Final = re.compile(r"((?:\w+://)?)(?:.*@)?(.*)", re.DOTALL)


class Address(msgspec.Struct, frozen=True):
    """A server's place, and the token that it wants, which no text of this shows."""

    host: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    __repr__ = __str__


def address(url: str) -> Address:
    """The place a URL names: `qserver://:token@host:port`, `host:port` or `host`.

    Raises:
        BadRequest: it is none of these.
    """
    whole = url if "://" in url else f"qserver://{url}"
    try:
        parts = urlsplit(whole)
        port = parts.port or PORT
    except ValueError as error:
        why = "" if "@" in url else f": {error}"  # which may show a part of the token
        raise BadRequest(f"not an address: {shown(url)!r}{why}") from None
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme != "qserver" or extra:
        raise BadRequest(
            f"not an address: {shown(url)!r}; it looks like qserver://127.0.0.1:{PORT}, "
            f"or with a token qserver://:token@127.0.0.1:{PORT}"
        )
    return Address(parts.hostname or "127.0.0.1", port, _token_of(parts.password))


def _token_of(password: str | None) -> str | None:
    if not password:
        return None
    try:
        token = unquote(password, errors="strict")
        token.encode()
    except UnicodeError:
        raise BadRequest("the token is no text in UTF-8") from None
    return token


def with_token(url: str, token: str) -> str:
    """The URL with a token: `qserver://:token@host:port`."""
    scheme, place = _parted(url)
    # What can't be encoded gets through, and `address` refuses it without showing it.
    return f"{scheme or 'qserver://'}:{quote(token, safe='', errors='surrogatepass')}@{place}"


def shown(url: str) -> str:
    """The URL for people: without its token."""
    return "".join(_parted(url))


def _parted(url: str) -> tuple[str, str]:
    """The scheme, if there is one, and what stands behind the token, whatever is in that."""
    match = _PARTS.fullmatch(url)
    assert match is not None
    return match[1], match[2]


class Dialler:
    """Makes connections that have said HELLO, all with the same name and session.

    Attributes:
        server: what the server said to the last HELLO.
        greeting: that HELLO.
    """

    def __init__(
        self,
        where: Address,
        *,
        client: str | None,
        session: str | None,
        grace: Duration | None,
        connect_timeout: float,
        patience_s: float,
    ) -> None:
        self.server = Server()
        self._where = where
        self.greeting = queues.hello(client=client, session=session, grace=grace, token=where.token)
        self._connect_timeout = connect_timeout
        self._patience_s = patience_s

    async def __call__(self) -> Connection:
        """A new connection.

        Raises:
            ConnectionLost: nobody answers, or not in time.
            ReplyError: the server refuses: too many connections, a grace past its limit …
        """
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = await self._connect()
                await self._greet(connection)
        except TimeoutError as error:
            text = f"{self._where} did not answer within {self._connect_timeout:g} s"
            raise CannotConnect(text) from error
        except OSError as error:
            raise CannotConnect(f"cannot connect to {self._where}: {reason(error)}") from error
        return connection

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        where = self._where
        _, connection = await loop.create_connection(
            lambda: Connection(_Greeter(), self._patience_s), where.host, where.port
        )
        return connection

    async def _greet(self, connection: Connection) -> None:
        future: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        connection.send(Call(self.greeting, future))
        try:
            self.server = self.greeting.parse(await future)
        except BaseException:
            connection.fail(ConnectionLost("not wanted any more"))
            raise
        if not connection.is_open:
            raise ConnectionLost("connection lost while it was made")


class _Greeter:
    """Owns a connection until it has been greeted: whatever goes wrong goes to the caller."""

    def on_lost(self, connection: Connection, calls: list[Call], error: Error) -> None:
        assert not connection.is_open
        for call in calls:
            if not call.future.done():
                call.future.set_exception(error)

    def on_orphan(self, replies: list[Reply]) -> None:
        """A greeting leases nothing."""

    def on_room(self) -> None:
        """Nobody waits."""


def reason(error: OSError) -> str:
    """What the system says, without its number."""
    if isinstance(error, socket.gaierror):
        return "no such host"
    return os.strerror(error.errno).lower() if error.errno else str(error)

"""`connect`: from an address to a client and back."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qclient.backoff import Backoff
from qclient.client import Client
from qclient.dialler import Dialler, address, with_token
from qclient.errors import ConnectionLost
from qclient.link import Link
from qclient.waiting import WaitingPool
from qclient.words import Duration

DEFAULT_URL = "qserver://127.0.0.1:7711"


@asynccontextmanager
async def connect(
    url: str = DEFAULT_URL,
    *,
    client: str | None = None,
    session: str | None = None,
    grace: Duration | None = None,
    token: str | None = None,
    dedup: bool = True,
    retry_for: float = 60.0,
    connect_for: float = 0.0,
    timeout: float = 30.0,  # noqa: ASYNC109
    connect_timeout: float = 5.0,
    in_flight_max: int = 10_000,
    waiting_max: int = 64,
    backoff: Backoff | None = None,
) -> AsyncIterator[Client]:
    """A connected client, as an async context manager. Times are in seconds.

        async with connect("qserver://127.0.0.1:7711") as client:
            await client.put("emails", {"to": "ada@example.com"})

    Args:
        url: `qserver://host:port`; `host:port` and `host` do as well.
        client: a name for people who look at the server; host and process id by default.
        session: what leases belong to. They end `grace` after the client's last connection has
            gone, and outlive a reconnect within it. Without one they run until their deadline.
        grace: seconds or timedelta; the server's default is 10 s.
        token: the secret of a server that wants one. It can also stand in the URL, percent-encoded:
            `qserver://:token@host:port`.
        dedup: give every PUT a key of its own, so that it can be sent again after a lost
            connection and lands once. It costs the server some memory for each message during the
            queue's `dedup_window`. Without it a PUT whose reply was lost raises ConnectionLost.
        retry_for: how long a request waits for a lost connection to come back.
        connect_for: how long the first connection is tried; by default once.
        timeout: a server that owes a reply and is silent for longer counts as gone.
        connect_timeout: of one attempt to connect.
        in_flight_max: requests under way; more wait for a place.
        waiting_max: GETs that wait at once, a connection each; more wait for their turn.
        backoff: delays between attempts to connect.

    Raises:
        CannotConnect: nothing answers there.
        ReplyError: the server refuses: Unauthorized, Busy, BadName of the session, OverLimit of the
            grace.
    """
    backoff = backoff or Backoff()
    dialler = Dialler(
        address(url if token is None else with_token(url, token)),
        client=client or f"{socket.gethostname()}:{os.getpid()}",
        session=session,
        grace=grace,
        connect_timeout=connect_timeout,
        patience_s=timeout,
    )
    link = Link(dialler, retry_for=retry_for, in_flight_max=in_flight_max, backoff=backoff)
    await _open(link, connect_for)
    waiting = WaitingPool(dialler, link, connections_max=waiting_max, patience_s=timeout)
    opened = Client(link, waiting, dialler, session=session, dedup=dedup)
    try:
        yield opened
    finally:
        await opened.close()


async def _open(link: Link, connect_for: float) -> None:
    """The first connection, tried again for a while where that was asked for."""
    loop = asyncio.get_running_loop()
    gives_up_at = loop.time() + connect_for
    attempt = 0
    while True:
        try:
            await link.open()
        except ConnectionLost:
            delay_s = link.backoff.delay_s(attempt)
            if loop.time() + delay_s > gives_up_at or not connect_for:
                raise
            await asyncio.sleep(delay_s)
            attempt += 1
        else:
            return

"""`connect`: from an address to a synchronous client."""

import os
import time
import weakref
from typing import Final

from qclient.backoff import Backoff
from qclient.dialler import address, with_token
from qclient.errors import ConnectionLost
from qclient.opening import DEFAULT_URL
from qclient.sync.client import Client
from qclient.sync.dialler import Dialler
from qclient.sync.link import Link
from qclient.sync.pool import Pool
from qclient.words import Duration


def connect(
    url: str = DEFAULT_URL,
    *,
    client: str | None = None,
    session: str | None = None,
    grace: Duration | None = None,
    token: str | None = None,
    dedup: bool = True,
    retry_for: float = 60.0,
    connect_for: float = 0.0,
    timeout: float = 30.0,
    connect_timeout: float = 5.0,
    connections_max: int = 64,
    waiting_max: int = 64,
    backoff: Backoff | None = None,
) -> Client:
    """A connected client; close it, or use it as a context manager. Times are in seconds.

        with connect("qserver://127.0.0.1:7711") as client:
            client.put("emails", {"to": "ada@example.com"})

    One client does for a whole process: threads share it, and a process that is forked off goes
    on with connections and dedup keys of its own.

    Args:
        url: `qserver://host:port`; `host:port` and `host` do as well.
        client: a name for people who look at the server; host and process id by default.
        session: what leases belong to. They end `grace` after the client's last connection has
            gone. Nothing reconnects between two calls: an idle client whose connections are lost
            loses its leases after the grace. Processes that were forked share it.
        grace: seconds or timedelta; the server's default is 10 s.
        token: the secret of a server that wants one. It can also stand in the URL, percent-encoded:
            `qserver://:token@host:port`.
        dedup: give every PUT a key of its own, so that it can be sent again after a lost
            connection and lands once. See `qclient.connect`.
        retry_for: how long a request tries to get a lost connection back.
        connect_for: how long the first connection is tried; by default once.
        timeout: a server that owes a reply and is silent for longer counts as gone.
        connect_timeout: of one attempt to connect.
        connections_max: requests under way at once, a connection each; more wait for a place.
        waiting_max: the same for GETs that wait.
        backoff: delays between attempts to connect.

    Raises:
        CannotConnect: nothing answers there.
        ReplyError: the server refuses: Unauthorized, Busy, BadName of the session, OverLimit of the
            grace.
    """
    backoff = backoff or Backoff()
    dialler = Dialler(
        address(url if token is None else with_token(url, token)),
        client=client,
        session=session,
        grace=grace,
        connect_timeout=connect_timeout,
    )
    pool = Pool(dialler, connections_max=connections_max, waiting_max=waiting_max)
    _open(pool, connect_for, backoff)
    link = Link(pool, retry_for=retry_for, patience_s=timeout, backoff=backoff)
    opened = Client(link, pool, dialler, session=session, dedup=dedup)
    _CLIENTS.add(opened)
    return opened


def _open(pool: Pool, connect_for: float, backoff: Backoff) -> None:
    """The first connection, tried again for a while where that was asked for."""
    gives_up_at = time.monotonic() + connect_for
    attempt = 0
    while True:
        try:
            pool.give(pool.take(waits=False))
        except ConnectionLost:
            delay_s = backoff.delay_s(attempt)
            if time.monotonic() + delay_s > gives_up_at or not connect_for:
                raise
            time.sleep(delay_s)
            attempt += 1
        else:
            return


_CLIENTS: Final[weakref.WeakSet[Client]] = weakref.WeakSet()
"""Those of this process."""


def _renew_all() -> None:
    for client in list(_CLIENTS):
        client.renew()


os.register_at_fork(after_in_child=_renew_all)

"""The connections of one client: each request borrows one, the last that was given back first.

There are as many as threads have been in a request at the same time, within bounds of their own
for GETs that wait and for all else; who finds no place waits for one. One connection for each
thread under way, instead of one with a lock around it, because the server syncs once for all the
requests that stand before it.
"""

import math
import threading
from queue import SimpleQueue
from typing import Protocol

from qclient.errors import Closed
from qclient.sync.connection import Connection


class Dial(Protocol):
    """Connects and says HELLO, within some seconds. Raises ConnectionLost or a ReplyError."""

    def __call__(self, within_s: float = ..., /) -> Connection:
        """A new connection."""
        ...


class Places:
    """Lets so many threads in at once; more wait. A context, for any number of threads.

    The tokens lie in a queue that is written in C: 0.3 µs in and out, where `threading.Semaphore`
    takes 1 to 4, which is a sixth of a whole put.
    """

    def __init__(self, count: int) -> None:
        free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            free.put(None)
        self._take = free.get
        self._give = free.put

    def __enter__(self) -> None:
        self._take()

    def __exit__(self, *_: object) -> None:
        self._give(None)


class Pool:
    """Lends connections.

    Args:
        dial: makes one.
        connections_max: requests under way at once.
        waiting_max: GETs that wait at once, besides.

    Attributes:
        dial: the same.
        places: to be held during a request.
        waiting: to be held during a GET that waits.
        is_closed: nothing is lent any more.
    """

    def __init__(self, dial: Dial, *, connections_max: int, waiting_max: int) -> None:
        self.dial = dial
        self.is_closed = False
        self._connections_max = connections_max
        self._waiting_max = waiting_max
        self._idle: list[Connection] = []
        self._lent: dict[Connection, bool] = {}
        self.renew()

    def renew(self) -> None:
        """Begin afresh in a process that was just forked.

        The parent's connections are the parent's: closed here, so that their end is seen when the
        parent ends, and nothing is said on them. A lock may have been held by a thread that this
        process doesn't have.
        """
        for connection in [*self._idle, *self._lent]:
            connection.close()
        self._idle = []
        self._lent = {}
        self._lock = threading.Lock()
        self.places = Places(self._connections_max)
        self.waiting = Places(self._waiting_max)

    def take(self, within_s: float = math.inf, *, waits: bool) -> Connection:
        """An idle connection that is still open, or a new one.

        Args:
            within_s: how long making one may take.
            waits: it is for a GET that waits.

        Raises:
            Closed: the client is closed.
            Error: what `dial` raised.
        """
        while (connection := self._take_idle(waits=waits)) is not None:
            if connection.is_quiet:
                return connection
            self.drop(connection)
        connection = self.dial(within_s)
        with self._lock:
            self._lent[connection] = waits
            is_late = self.is_closed
        if is_late:
            self.drop(connection)
            raise Closed("the client was closed")
        return connection

    def give(self, connection: Connection) -> None:
        """Back to the others, for whoever asks next."""
        with self._lock:
            self._lent.pop(connection, None)
            if not self.is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def drop(self, connection: Connection) -> None:
        """Close one that is of no use any more."""
        with self._lock:
            self._lent.pop(connection, None)
        connection.close()

    def close(self) -> None:
        """Close all; a GET that waits in another thread is answered now, all else there fails."""
        with self._lock:
            self.is_closed = True
            idle, self._idle = self._idle, []
            for connection, waits in self._lent.items():
                if waits:
                    connection.end_wait()
                else:
                    connection.end()
        for connection in idle:
            connection.close()

    def _take_idle(self, *, waits: bool) -> Connection | None:
        with self._lock:
            if self.is_closed:
                raise Closed("the client is closed")
            if not self._idle:
                return None
            connection = self._idle.pop()
            self._lent[connection] = waits
            return connection

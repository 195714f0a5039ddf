"""How a blocking connection begins: connect, then HELLO."""

import math
import os
import socket
import time
from typing import Final

from qclient import queues
from qclient.dialler import Address, reason
from qclient.errors import CannotConnect, TimedOut
from qclient.replies import Request
from qclient.reports import Server
from qclient.sync.connection import Connection
from qclient.words import Duration

INSTANT_S: Final = 0.001
"""What is left of a time that has passed: sockets take 0 for something else."""


class Dialler:
    """Makes connections that have said HELLO, all with the same name and session.

    Attributes:
        server: what the server said to the last HELLO.
    """

    def __init__(
        self,
        where: Address,
        *,
        client: str | None,
        session: str | None,
        grace: Duration | None,
        connect_timeout: float,
    ) -> None:
        self.server = Server()
        self._where = where
        self._client = client
        self._session = session
        self._grace = grace
        self._connect_timeout = connect_timeout

    @property
    def greeting(self) -> Request[Server]:
        """The HELLO of this process."""
        client = self._client or f"{socket.gethostname()}:{os.getpid()}"
        token = self._where.token
        return queues.hello(client=client, session=self._session, grace=self._grace, token=token)

    def __call__(self, within_s: float = math.inf) -> Connection:
        """A new connection, made within that time and `connect_timeout`.

        Raises:
            ConnectionLost: nobody answers, or not in time.
            ReplyError: the server refuses: too many connections, a grace past its limit …
        """
        greeting = self.greeting
        timeout_s = max(min(within_s, self._connect_timeout), INSTANT_S)
        ends_at = time.monotonic() + timeout_s
        where = self._where
        try:
            sock = socket.create_connection((where.host, where.port), timeout_s)
        except TimeoutError as error:
            raise self._silence(timeout_s) from error
        except OSError as error:
            raise CannotConnect(f"cannot connect to {where}: {reason(error)}") from error
        connection = Connection(sock)
        try:
            left_s = max(ends_at - time.monotonic(), INSTANT_S)
            self.server = greeting.parse(connection.exchange(greeting, left_s))
        except TimedOut as error:
            connection.close()
            raise self._silence(timeout_s) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _silence(self, timeout_s: float) -> CannotConnect:
        return CannotConnect(f"{self._where} did not answer within {timeout_s:g} s")

"""The asynchronous client's fake server on a thread of its own, and time that a test lets pass."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import qclient.sync
from tests.unit.qclient.client_fakes import SOON, FakeServer, Peer, Script, turns

T = TypeVar("T")

PATIENCE_S = 60.0


class Fake:
    """A fake server that blocking sockets can talk to."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        self._do(self.server.start())

    def stop(self) -> None:
        """Every connection has been closed when this returns."""
        self._do(self.server.stop())

    def drop_connections(self) -> None:
        """The same, and it goes on listening."""
        self._do(_drop(self.server))

    def say(self, verb: str, *replies: bytes | Script) -> None:
        self.server.say(verb, *replies)

    def sent(self, verb: str) -> list[str]:
        return self.server.sent(verb)

    def arrival(self, verb: str) -> threading.Event:
        """Is set when the next request of this verb has come; it is answered as ever."""
        event = threading.Event()

        def note(_peer: Peer, _line: str) -> None:
            event.set()

        self.server.say(verb, note)
        return event

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)


async def _drop(server: FakeServer) -> None:
    server.drop_connections()
    if server._serving:
        await asyncio.wait(server._serving)
    await turns(5)


@contextmanager
def connected(**options: Any) -> Iterator[tuple[Fake, qclient.sync.Client]]:
    options.setdefault("backoff", SOON)
    with Fake() as fake, qclient.sync.connect(fake.url, **options) as client:
        yield fake, client


class Time:
    """What a client takes for time: it passes only in pauses, and by hand."""

    def __init__(self, client: qclient.sync.Client) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        client._link._clock = lambda: self.now
        client._link._pause = self.pause

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Background:
    """A call in another thread."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def outcome(self) -> Any:
        """What it returned; raises what it raised."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.result

    def _run(self) -> None:
        try:
            self.result = self._call()
        except Exception as error:  # noqa: BLE001  raised again where it is asked for
            self.error = error


class Interrupting:
    """A socket that is interrupted by Ctrl-C instead of the first `reads` reads."""

    def __init__(self, sock: Any, reads: int = 1) -> None:
        self._socket = sock
        self._left = reads

    def recv(self, size: int) -> bytes:
        if self._left:
            self._left -= 1
            raise KeyboardInterrupt
        received: bytes = self._socket.recv(size)
        return received

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def interrupt_next(client: qclient.sync.Client, reads: int = 1) -> None:
    """The connection that is used next is interrupted while it waits for its reply."""
    connection: Any = client._pool._idle[-1]
    connection._socket = Interrupting(connection._socket, reads)

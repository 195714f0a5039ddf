"""A small server that speaks the protocol over a real socket, and a loop whose time jumps.

The fake keeps one list of messages per queue and no rules: enough to see what the client does.
What it must say at a given moment is scripted with `say`, what it received is in `lines`.

`virtual(main)` runs a coroutine on a loop that skips the waiting: when nothing is to be read or
written, its clock jumps to the next timer. So a test of a 60 s retry takes milliseconds.
"""

import asyncio
import selectors
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

from qclient import Backoff, Client, connect

T = TypeVar("T")

CLOSE = b"<close>"
SILENCE = b"<silence>"
HELLO = b"OK server=fake/1 protocol=1 sync=always count_max=1000 line_bytes_max=1048576 leases=0\n"

Script = Callable[["Peer", str], bytes | None]


class Peer:
    """One connection of the fake."""

    def __init__(
        self, server: "FakeServer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.lines: list[str] = []
        self.parked: asyncio.Future[None] | None = None
        self.has_ended = False

    async def serve(self) -> None:
        pending: asyncio.Queue[str | None] = asyncio.Queue()
        reading = asyncio.ensure_future(self.read(pending))
        try:
            while (line := await pending.get()) is not None:
                await self.answer(line)
        except ConnectionError:
            pass
        finally:
            reading.cancel()
            self.writer.close()

    async def read(self, pending: asyncio.Queue[str | None]) -> None:
        while True:
            try:
                line = await self.reader.readline()
            except (ConnectionError, asyncio.CancelledError):
                line = b""
            if not line:
                self.end()
                pending.put_nowait(None)
                return
            text = line.decode().rstrip("\n")
            self.lines.append(text)
            self.server.lines.append(text)
            pending.put_nowait(text)

    def end(self) -> None:
        self.has_ended = True
        if self.parked is not None and not self.parked.done():
            self.parked.set_result(None)

    async def answer(self, line: str) -> None:
        verb = line.split(" ", 1)[0]
        script = self.server.scripts[verb]
        scripted = script.popleft()(self, line) if script else None
        reply = scripted or await self.server.reply(self, verb, line)
        if reply == SILENCE:
            return
        self.writer.write(reply.removesuffix(CLOSE))
        if reply.endswith(CLOSE):
            self.writer.close()
            raise ConnectionResetError


class FakeServer:
    """See the top of the file."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.peers: list[Peer] = []
        self.scripts: dict[str, deque[Script]] = defaultdict(deque)
        self.queues: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self.leased: dict[str, tuple[str, int, str]] = {}
        self.wanted: deque[Peer] = deque()
        self.last_id = 0
        self.last_lease = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"qserver://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=1 << 24
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.drop_connections()
        await turns(5)  # who was just accepted is a peer by then
        self.drop_connections()
        if self._serving:
            await asyncio.wait(self._serving)
        await turns(5)  # an aborted transport closes its socket a turn later

    def drop_connections(self) -> None:
        for peer in self.peers:
            peer.writer.transport.abort()
            peer.end()
        self.peers.clear()

    def say(self, verb: str, *replies: bytes | Script) -> None:
        """The next requests of this verb are answered so, and nothing is done."""
        for reply in replies:
            self.scripts[verb].append(reply if callable(reply) else _always(reply))

    def sent(self, verb: str) -> list[str]:
        return [line for line in self.lines if line.split(" ", 1)[0] == verb]

    async def reply(self, peer: Peer, verb: str, line: str) -> bytes:
        if verb == "HELLO":
            return HELLO
        if verb == "PUT":
            return self.put(line)
        if verb == "GET":
            return await self.get(peer, line)
        if verb in {"ACK", "NACK", "RELEASE", "TOUCH"}:
            return self.settle(verb, line)
        return b"OK\n"

    def put(self, line: str) -> bytes:
        words = line.split(" ", 2)
        rest = words[2]
        while rest[0].islower() and "=" in rest.split(" ", 1)[0]:
            rest = rest.split(" ", 1)[1]
        self.last_id += 1
        self.queues[words[1]].append((self.last_id, rest))
        self.wake()
        return b"OK %d\n" % self.last_id

    def wake(self) -> None:
        while self.wanted:
            parked = self.wanted.popleft().parked
            if parked is not None and not parked.done():
                parked.set_result(None)
                return

    async def get(self, peer: Peer, line: str) -> bytes:
        words = line.split(" ")
        options = dict(word.split("=", 1) for word in words[2:])
        count = int(options.get("count", 1))
        reply = self.take(words[1].split(","), count)
        wait = float(options.get("wait", 0))
        if not reply and wait and not peer.has_ended:
            peer.parked = asyncio.get_running_loop().create_future()
            self.wanted.append(peer)
            await asyncio.wait([peer.parked], timeout=wait)
            peer.parked.cancel()
            if not peer.has_ended:
                reply = self.take(words[1].split(","), count)
        return b"".join(reply) + b"OK %d\n" % len(reply)

    def take(self, names: list[str], count: int) -> list[bytes]:
        lines: list[bytes] = []
        for name in names:
            queue = self.queues[name]
            while queue and len(lines) < count:
                number, body = queue.pop(0)
                self.last_lease += 1
                receipt = f"{number}.{self.last_lease}"
                self.leased[receipt] = (name, number, body)
                lines.append(f"* {receipt} {name} {body}\n".encode())
        return lines

    def settle(self, verb: str, line: str) -> bytes:
        receipts = [word for word in line.split(" ")[1:] if word[0].isdigit()]
        late = [receipt for receipt in receipts if receipt not in self.leased]
        for receipt in receipts:
            if receipt in self.leased and verb != "TOUCH":
                name, number, body = self.leased.pop(receipt)
                if verb == "RELEASE":
                    delay_s = float(line.partition("delay=")[2] or 0)
                    loop = asyncio.get_running_loop()
                    loop.call_later(delay_s, self.give_back, name, number, body)
        said = "".join(f"* {receipt} not-leased\n" for receipt in late)
        return f"{said}OK {len(receipts) - len(late)}\n".encode()

    def give_back(self, name: str, number: int, body: str) -> None:
        self.queues[name].insert(0, (number, body))
        self.wake()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(self, reader, writer)
        self.peers.append(peer)
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        await peer.serve()


def _always(reply: bytes) -> Script:
    return lambda _peer, _line: reply


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer, says how long it would have waited."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0.002 if timeout is None or timeout > 0 else 0)
        if timeout is None and not ready:
            ready = super().select(20)
            assert ready, "nothing will ever happen: a deadlock"
        if ready or timeout is None or timeout <= 0:
            return ready
        self.skipped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.skipped


def virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def passes(seconds: float) -> None:
    """Time passes, in an instant."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    handle = loop.call_later(seconds, future.set_result, None)
    try:
        await future
    finally:
        handle.cancel()


async def turns(count: int) -> None:
    """Let the loop turn so often."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any], patience: int = 20_000) -> None:
    """Let the loop run until something is so."""
    for turn in range(patience):
        if condition():
            return
        await (asyncio.sleep(0) if turn < 100 else passes(0.001))
    raise AssertionError("it never became so")


SOON = Backoff(random=lambda: 0.5)


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[tuple[FakeServer, Client]]:
    async with FakeServer() as server:
        options.setdefault("backoff", SOON)
        async with connect(server.url, **options) as client:
            yield server, client


def now() -> float:
    return asyncio.get_running_loop().time()

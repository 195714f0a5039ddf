"""A Consumer: an endless stream of messages, fetched ahead and kept leased.

    server ── GET wait ──► ready ── async for ──► held ── ack, nack, release ──► settled
                             │                      │
                             └── stop: released     └── touched while held

It keeps up to `prefetch` messages ready and asks for more when half are gone, by a GET that waits
on a connection of its own. Whatever it holds, ready or handed out, is touched every third of the
lease, by receipt: a `TOUCH *` would also keep alive what nobody knows of, namely leases whose
GET's reply was lost with a connection. A touch can't happen while the event loop is blocked: give
`lease` room for that.
"""

import asyncio
import logging
from collections import deque
from typing import Any, Generic, Self, TypeVar, overload

from qclient import verbs
from qclient.client import Client
from qclient.errors import Error
from qclient.message import Message
from qclient.settling import Waiter
from qclient.words import Duration, duration, names

logger = logging.getLogger("qclient")

T = TypeVar("T")

UNCONFIRMED_MAX = 10_000
"""Settlements under way; past that nothing is fetched until they are answered."""


class Consumer(Generic[T]):
    """Messages of one or more queues, as an async context manager and iterator.

        async with Consumer(client, "emails", type=Email) as consumer:
            async for message in consumer:
                async with message:           # ack; nack on an exception
                    await send(message.body)

    An exception goes on through the `async with message`, after the nack: catch it around the
    block to go on with the next message. Several tasks may iterate over one consumer. Leaving the
    outer block releases what was not begun, and waits for the settlements under way; messages
    that are still held by then are touched no more.

    Attributes:
        lost: how many messages' leases ended while they were held.
    """

    @overload
    def __init__(
        self: "Consumer[Any]",
        client: Client,
        *queues: str,
        prefetch: int = 100,
        lease: float = 30.0,
        wait: float = 20.0,
    ) -> None: ...
    @overload
    def __init__(
        self,
        client: Client,
        *queues: str,
        type: type[T],
        prefetch: int = 100,
        lease: float = 30.0,
        wait: float = 20.0,
    ) -> None: ...
    def __init__(
        self,
        client: Client,
        *queues: str,
        type: Any = None,  # noqa: A002
        prefetch: int = 100,
        lease: float = 30.0,
        wait: float = 20.0,
    ) -> None:
        """Nothing is fetched before the context is entered.

        Args:
            client: where from.
            queues: the first is emptied first.
            type: what to decode bodies into.
            prefetch: how many messages may be ready and not begun; with 0 a message is fetched
                only when one is asked for.
            lease: seconds that a message is held for without a touch.
            wait: seconds of one waiting GET.
        """
        names(queues)
        duration(lease, "lease")
        self.lost = 0
        self._client = client
        self._queues = queues
        self._type = type
        self._prefetch = prefetch
        self._lease = lease
        self._wait = wait
        self._ready: deque[Message[T]] = deque()
        self._held: dict[str, Message[Any]] = {}
        self._askers: deque[asyncio.Future[None]] = deque()
        self._room = asyncio.Event()
        self._error: Exception | None = None
        self._is_stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        create = asyncio.get_running_loop().create_task
        self._tasks = [create(self._fetch()), create(self._keep())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message[T]:
        """The next message, waiting for it.

        Raises:
            StopAsyncIteration: `stop` was called.
            ConnectionLost: the server did not come back within the client's `retry_for`.
        """
        ready = self._ready
        while not ready:
            if self._is_stopped:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            await self._wait_ready()
        message = ready.popleft()
        if len(ready) <= self._prefetch >> 1:
            self._room.set()
        return message

    def stop(self) -> None:
        """Fetch no more, release what was not begun, end the iteration. Safe to call twice."""
        self._is_stopped = True
        if self._tasks:
            self._tasks[0].cancel()
        while self._ready:
            self.release(self._ready.popleft(), None)
        self._wake(len(self._askers))

    async def close(self) -> None:
        """Stop, and wait for the settlements under way."""
        self.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        await self._client.settling.drain()

    # ── the Settler of its messages ──

    def ack(self, message: Message[Any], waiter: Waiter) -> None:
        """See `message.Settler`."""
        self._held.pop(message.receipt, None)
        self._client.settling.ack(message, waiter)

    def release(self, message: Message[Any], waiter: Waiter, *, delay: Duration = 0) -> None:
        """See `message.Settler`."""
        self._held.pop(message.receipt, None)
        self._client.settling.release(message, waiter, delay=delay)

    def nack(
        self,
        message: Message[Any],
        waiter: Waiter,
        *,
        delay: Duration | None,
        reason: str | None,
        dead: bool,
    ) -> None:
        """See `message.Settler`."""
        self._held.pop(message.receipt, None)
        self._client.settling.nack(message, waiter, delay=delay, reason=reason, dead=dead)

    async def touch(self, message: Message[Any], lease: Duration | None) -> bool:
        """See `message.Settler`."""
        return await self._client.settling.touch(message, lease)

    # ── fetching ──

    async def _fetch(self) -> None:
        try:
            await self._fetch_on()
        except Exception as error:  # noqa: BLE001  else who iterates would wait for ever
            self._error = error
            self._wake(len(self._askers))

    async def _fetch_on(self) -> None:
        loop = asyncio.get_running_loop()
        settling = self._client.settling
        empty = 0
        while True:
            count = await self._wait_room()
            if settling.unconfirmed > UNCONFIRMED_MAX:
                await settling.drain()
            began = loop.time()
            messages = await self._client.lease(
                self,
                self._queues,
                wanted=self._type,
                count=count,
                wait=self._wait,
                lease=self._lease,
            )
            if messages:
                empty = 0
                self._take(messages)
            elif loop.time() - began < self._wait / 2:  # a server that is going down, say
                await asyncio.sleep(self._client.backoff.delay_s(empty))
                empty += 1

    async def _wait_room(self) -> int:
        """How many messages to ask for, once it is at least one."""
        while True:
            missing = max(self._prefetch - len(self._ready), len(self._askers))
            if missing > 0 and len(self._ready) <= self._prefetch >> 1:
                return min(missing, self._client.server.count_max)
            self._room.clear()
            await self._room.wait()

    def _take(self, messages: list[Message[T]]) -> None:
        for message in messages:
            self._held[message.receipt] = message
        self._ready.extend(messages)
        self._wake(len(messages))

    async def _wait_ready(self) -> None:
        asker = asyncio.get_running_loop().create_future()
        self._askers.append(asker)
        self._room.set()
        try:
            await asker
        except asyncio.CancelledError:
            if asker.cancelled():
                self._askers.remove(asker)
            else:
                self._wake(1)  # the message it was woken for is there for another
            raise

    def _wake(self, count: int) -> None:
        while count > 0 and self._askers:
            asker = self._askers.popleft()
            if not asker.done():
                asker.set_result(None)
                count -= 1

    # ── keeping leases ──

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            receipts = list(self._held)
            step = self._client.server.count_max
            for at in range(0, len(receipts), step):
                await self._touch(receipts[at : at + step])

    async def _touch(self, receipts: list[str]) -> None:
        try:
            settled = await self._client.run(verbs.touch(receipts, lease=self._lease))
        except Error as error:
            logger.warning("%d leases could not be extended: %s", len(receipts), error)
            return
        for receipt in settled.not_leased:
            message = self._held.pop(receipt, None)
            if message is not None:
                self._lose(message)

    def _lose(self, message: Message[Any]) -> None:
        self.lost += 1
        message.is_lost = True
        if message in self._ready:
            self._ready.remove(message)
        logger.warning(
            "the lease of %s of %s ended while it was held: it was or will be delivered again",
            message.receipt,
            message.queue,
        )

"""The asynchronous client: one typed method per verb.

`opening.py` has `connect`; `caretaker.py` has the half of the verbs that looks after queues.
Requests of any number of coroutines share one connection; GETs that wait have theirs.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, TypeVar, overload

from qclient import verbs
from qclient.backoff import Backoff
from qclient.batches import put_batches
from qclient.caretaker import Caretaker
from qclient.dialler import Dialler
from qclient.errors import Error, ReplyError, TooLong
from qclient.link import Link
from qclient.message import (
    Delivery,
    Message,
    Settler,
    anything,
    decoder,
    reason_text,
    receipts_of,
)
from qclient.puts import Puts, ids
from qclient.replies import Request
from qclient.reports import Outcome, Put, Server, Settled
from qclient.settling import Settling
from qclient.waiting import WaitingPool
from qclient.words import Duration

T = TypeVar("T")

CLOSE_S = 5.0
"""How long closing waits for settlements that nobody else waits for."""


class Client(Caretaker):
    """A connected client. Made by `connect`; used by any number of coroutines of one loop.

    Attributes:
        session: the name of its session, or None.
        settling: settles messages; for consumers.
    """

    def __init__(
        self,
        link: Link,
        waiting: WaitingPool,
        dialler: Dialler,
        *,
        session: str | None,
        dedup: bool,
    ) -> None:
        self.session = session
        self._link = link
        self._waiting = waiting
        self._dialler = dialler
        self.settling = Settling(link, dialler.server.count_max)
        self._puts = Puts(dedup=dedup, line_bytes_max=dialler.server.line_bytes_max)

    @property
    def server(self) -> Server:
        """What the server said when this client last connected: version, limits, sync policy."""
        return self._dialler.server

    @property
    def backoff(self) -> Backoff:
        """Delays between attempts."""
        return self._link.backoff

    @property
    def lost_gets(self) -> int:
        """How many GETs lost their reply with a connection; see `leases`."""
        return self._link.lost_gets

    async def run(self, request: Request[T]) -> T:
        """The result of a request that `verbs` or `queues` made."""
        return await self._link.run(request)

    async def put(
        self,
        queue: str,
        item: object,
        /,
        *,
        delay: Duration | None = None,
        at: datetime | None = None,
        priority: int | None = None,
        ttl: Duration | None = None,
        dedup: str | None = None,
        dedup_window: Duration | None = None,
        key: str | None = None,
        trace: str | None = None,
    ) -> Put:
        """Store a message at the end of a queue.

        Args:
            queue: its name; it comes into being with its first message.
            item: the body, anything that msgspec can write as JSON; `msgspec.Raw(b"…")` is sent
                as it stands.
            delay: not delivered before this has passed; seconds or timedelta.
            at: not delivered before then; an aware datetime.
            priority: 0 to 9, higher first; the server's default is 4.
            ttl: dropped if not delivered by then.
            dedup: a second message with this key stores nothing, within the queue's window.
            dedup_window: how long this key holds instead; seconds or timedelta.
            key: kept and shown; `list` can filter by it.
            trace: handed to the consumer as it is.

        Raises:
            Full: there is no room; nothing was stored.
            ConnectionLost: no reply in time; with `maybe_done` it may be stored.
        """
        if (delay, at, priority, ttl, key, trace, dedup_window) == verbs.NO_OPTIONS:
            head = verbs.plain_head(queue)
        else:
            head = verbs.put_head(
                queue,
                delay=delay,
                at=at,
                priority=priority,
                ttl=ttl,
                key=key,
                trace=trace,
                dedup_window=dedup_window,
            )
        return await self._link.run(self._puts.request(head, item, dedup))

    def put_with(
        self, head: bytes, item: object, dedup: str | None = None
    ) -> Coroutine[Any, Any, Put]:
        """`put` with what `verbs.put_head` made, for those that put with the same options."""
        return self._link.run(self._puts.request(head, item, dedup))

    def put_line(self, head: bytes, item: object) -> bytes:
        """The line of a PUT, with a `dedup` key of its own where this client gives them."""
        return self._puts.line(head, item)

    def too_long(self, line: bytes) -> str | None:
        """What is wrong with a line that is over the server's limit, or None."""
        return self._puts.too_long(line)

    async def put_many(
        self,
        queue: str,
        bodies: Iterable[object],
        *,
        delay: Duration | None = None,
        at: datetime | None = None,
        priority: int | None = None,
        ttl: Duration | None = None,
        key: str | None = None,
        trace: str | None = None,
    ) -> list[int]:
        """Store many messages with the same options; returns their ids in order.

        They go out a few hundred at a time, with a bounded number under way, and `bodies` is read
        as they go. It is not all or nothing.

        Raises:
            BatchError: some were refused; its `outcomes` say which, the others are stored.
            BadJson: a body can't be sent; a note on the error says how many were put before it.
        """
        head = verbs.put_head(
            queue, delay=delay, at=at, priority=priority, ttl=ttl, key=key, trace=trace
        )
        failed: list[Error] = []
        outcomes: list[int | ReplyError] = []
        lines = self._puts.lines(head, bodies, failed)
        batches = put_batches(self._link, lines, is_repeatable=self._puts.is_repeatable)
        async with aclosing(batches):
            async for batch in batches:
                outcomes += batch
        return ids(outcomes, failed)

    @overload
    async def get(
        self,
        *queues: str,
        count: int = 1,
        wait: Duration = 0,
        lease: Duration | None = None,
    ) -> list[Message[Any]]: ...
    @overload
    async def get(
        self,
        *queues: str,
        type: type[T],
        count: int = 1,
        wait: Duration = 0,
        lease: Duration | None = None,
    ) -> list[Message[T]]: ...
    async def get(
        self,
        *queues: str,
        type: Any = None,  # noqa: A002
        count: int = 1,
        wait: Duration = 0,
        lease: Duration | None = None,
    ) -> list[Message[Any]]:
        """Lease up to `count` messages, of the first queue first.

        Cancelled, it leaves nothing behind: what the server leased to it is released at once.
        After a lost connection it is asked again for what is left of `wait`.

        Args:
            queues: one or more names.
            type: what to decode bodies into: a Struct, a dataclass, dict …; anything by default.
            count: never more; it may be fewer.
            wait: how long to wait for the first, if there is none.
            lease: how long they are held; each queue's setting by default.

        Returns:
            The messages; none when there were none in time.
        """
        return await self.lease(
            self.settling, queues, wanted=type, count=count, wait=wait, lease=lease
        )

    def lease(
        self,
        settler: Settler,
        queues: Sequence[str],
        *,
        wanted: object,
        count: int,
        wait: Duration,
        lease: Duration | None,
    ) -> Coroutine[Any, Any, list[Message[Any]]]:
        """`get` for messages that another settler than the client settles: a consumer, say."""
        decode = anything if wanted is None else decoder(wanted)
        make = _maker(settler, decode)
        seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
        if not seconds:
            return self._link.run(verbs.get(queues, make, count=count, lease=lease))

        def request(left: float) -> Request[list[Message[Any]]]:
            return verbs.get(queues, make, count=count, wait=left, lease=lease)

        request(seconds)  # what is wrong with it is said before a connection is taken
        return self._waiting.run(request, seconds)

    async def ack(self, *receipts: str | Delivery[Any]) -> Settled:
        """The work is done: these messages are gone. At most the server's `count_max` at once."""
        return await self._link.run(verbs.ack(receipts_of(receipts)))

    async def nack(
        self,
        *receipts: str | Delivery[Any],
        delay: Duration | None = None,
        reason: str | BaseException | None = None,
        dead: bool = False,
    ) -> Settled:
        """The work failed: delivered again after `delay` or the queue's backoff, or `dead`."""
        said = reason_text(reason)
        request = verbs.nack(receipts_of(receipts), delay=delay, reason=said, dead=dead)
        return await self._link.run(request)

    async def release(self, *receipts: str | Delivery[Any], delay: Duration = 0) -> Settled:
        """Give them back untouched, nothing counted: ready at once, or after `delay`."""
        return await self._link.run(verbs.release(receipts_of(receipts), delay=delay))

    async def touch(self, *receipts: str | Delivery[Any], lease: Duration | None = None) -> Settled:
        """Their leases run for `lease` (default: the queue's setting) from now on."""
        return await self._link.run(verbs.touch(receipts_of(receipts), lease=lease))

    async def done(
        self,
        receipt: str | Delivery[Any],
        result: object,
        *,
        retain: Duration | None = None,
    ) -> Settled:
        """The work is done, and this came of it: an ack whose result is kept for `retain`.

        Args:
            receipt: of the message.
            result: anything that msgspec can write as JSON.
            retain: how long it is kept; the queue's setting by default, which is 0 by default:
                then it is an ack.

        Raises:
            Full: there is no room for the result; the lease goes on, and an ack is never refused.
        """
        return await self._send(verbs.done(receipts_of([receipt])[0], result, retain=retain))

    @overload
    async def result(self, id: int, *, wait: Duration = 0) -> Outcome[Any]: ...
    @overload
    async def result(self, id: int, *, type: type[T], wait: Duration = 0) -> Outcome[T]: ...
    async def result(
        self,
        id: int,  # noqa: A002
        *,
        type: Any = Any,  # noqa: A002
        wait: Duration = 0,
    ) -> Outcome[Any]:
        """What came of a message: its result when it is done, else its state as it stands.

        After a lost connection it is asked again for what is left of `wait`.

        Args:
            id: the message's number.
            type: what to decode the result into; anything by default.
            wait: how long to wait until it is done or dead.

        Raises:
            NotFound: it is gone: acked without being retained, purged, dropped, expired.
        """
        seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
        if not seconds:
            return await self._link.run(verbs.result(id, type))

        def request(left: float) -> Request[Outcome[Any]]:
            return verbs.result(id, type, wait=left)

        request(seconds)  # what is wrong with it is said before a connection is taken
        return await self._waiting.run(request, seconds)

    async def progress(self, receipt: str | Delivery[Any], value: object) -> Settled:
        """Say how far the work has got: a JSON value of at most 4,096 bytes, kept and shown.

        It replaces the one before, stays when the message comes back, and does not extend the
        lease.

        Raises:
            OverLimit: it is longer.
            Full: there is no room for it; nothing was changed.
        """
        return await self._send(verbs.progress(receipts_of([receipt])[0], value))

    async def touch_all(self, *, lease: Duration | None = None) -> Settled:
        """The same for every lease of this client's session.

        That includes leases whose GET's reply was lost with a connection: nobody works on those,
        and they stay held for as long as this is called. `Consumer` names its receipts instead.

        Raises:
            NoSession: the client was connected without `session=`.
        """
        return await self._link.run(verbs.touch_all(lease=lease))

    async def hello(self) -> Server:
        """Ask the server again what it said on connecting: version, limits, leases held."""
        return await self._link.run(self._dialler.greeting)

    async def _send(self, request: Request[T]) -> T:
        """Run a request that may be too long."""
        wrong = self.too_long(request.line)
        if wrong is not None:
            raise TooLong(wrong)
        return await self._link.run(request)

    async def close(self) -> None:
        """Wait for settlements under way, give back what waiting GETs were given, close.

        Called at the end of `connect`'s block.
        """
        await self._waiting.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.settling.drain()
        await self._link.close()


def _maker(settler: Settler, decode: Callable[[bytes], Any]) -> verbs.Make[Message[Any]]:
    """A lambda, since a function's annotations would be evaluated for each GET."""
    return lambda receipt, queue, raw, metadata: (
        Message(receipt, queue, raw, decode, _settler=settler)
        if metadata is None  # nearly always, and half the time
        else Message(receipt, queue, raw, decode, _settler=settler, **metadata)
    )

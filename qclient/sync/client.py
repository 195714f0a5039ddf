"""The synchronous client: the asynchronous one's methods, each of which waits for its answer.

`opening.py` has `connect`; `caretaker.py` has the half of the verbs that looks after queues. No
threads and no event loop run behind it.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar, overload

from qclient import verbs
from qclient.backoff import Backoff
from qclient.batches import batches
from qclient.errors import Error, ReplyError, TooLong
from qclient.message import Delivery, anything, decoder, reason_text, receipts_of
from qclient.puts import Puts, ids
from qclient.replies import Request
from qclient.reports import Outcome, Put, Server, Settled
from qclient.sync.caretaker import Caretaker
from qclient.sync.consuming import consume
from qclient.sync.dialler import Dialler
from qclient.sync.link import Link
from qclient.sync.message import Message, Settler
from qclient.sync.pool import Pool
from qclient.words import Duration

T = TypeVar("T")


class Client(Caretaker):
    """A connected client. Made by `connect`; for any number of threads, and across a fork.

    As a context it is closed at the end of the block.

    Attributes:
        session: the name of its session, or None.
    """

    def __init__(
        self, link: Link, pool: Pool, dialler: Dialler, *, session: str | None, dedup: bool
    ) -> None:
        self.session = session
        self._link = link
        self._pool = pool
        self._dialler = dialler
        self._puts = Puts(dedup=dedup, line_bytes_max=dialler.server.line_bytes_max)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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

    def run(self, request: Request[T]) -> T:
        """The result of a request that `verbs` or `queues` made."""
        return self._link.run(request)

    def put(
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
        """Store a message at the end of a queue; it is on disk when this returns.

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
        return self._link.run(self._puts.request(head, item, dedup))

    def put_many(
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

        They go out a few hundred at a time, and `bodies` is read as they go. It is not all or
        nothing.

        Raises:
            BatchError: some were refused; its `outcomes` say which, the others are stored.
            BadJson: a body can't be sent; a note on the error says how many were put before it.
        """
        head = verbs.put_head(
            queue, delay=delay, at=at, priority=priority, ttl=ttl, key=key, trace=trace
        )
        failed: list[Error] = []
        outcomes: list[int | ReplyError] = []
        for batch in batches(self._puts.lines(head, bodies, failed)):
            request = verbs.put_lines(batch, is_repeatable=self._puts.is_repeatable)
            some = self._link.run(request)
            outcomes += some
        return ids(outcomes, failed)

    @overload
    def get(
        self,
        *queues: str,
        count: int = 1,
        wait: Duration = 0,
        lease: Duration | None = None,
    ) -> list[Message[Any]]: ...
    @overload
    def get(
        self,
        *queues: str,
        type: type[T],
        count: int = 1,
        wait: Duration = 0,
        lease: Duration | None = None,
    ) -> list[Message[T]]: ...
    def get(
        self,
        *queues: str,
        type: Any = None,  # noqa: A002
        count: int = 1,
        wait: Duration = 0,
        lease: Duration | None = None,
    ) -> list[Message[Any]]:
        """Lease up to `count` messages, of the first queue first.

        Broken off by Ctrl-C it leaves nothing behind: what the server leased to it is released.
        After a lost connection it is asked again for what is left of `wait`. Nothing extends a
        lease but `touch`.

        Args:
            queues: one or more names.
            type: what to decode bodies into: a Struct, a dataclass, dict …; anything by default.
            count: never more; it may be fewer.
            wait: how long to wait for the first, if there is none.
            lease: how long they are held; each queue's setting by default.

        Returns:
            The messages; none when there were none in time.
        """
        decode = anything if type is None else decoder(type)
        make = _maker(self, decode)
        seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
        if not seconds:
            return self._link.run(verbs.get(queues, make, count=count, lease=lease))

        def request(left: float) -> Request[list[Message[Any]]]:
            return verbs.get(queues, make, count=count, wait=left, lease=lease)

        request(seconds)  # what is wrong with it is said before a place is waited for
        return self._link.run_waiting(request, seconds)

    @overload
    def consume(
        self,
        *queues: str,
        count: int = 1,
        wait: Duration | None = None,
        lease: Duration | None = None,
    ) -> Iterator[Message[Any]]: ...
    @overload
    def consume(
        self,
        *queues: str,
        type: type[T],
        count: int = 1,
        wait: Duration | None = None,
        lease: Duration | None = None,
    ) -> Iterator[Message[T]]: ...
    def consume(
        self,
        *queues: str,
        type: Any = None,  # noqa: A002
        count: int = 1,
        wait: Duration | None = None,
        lease: Duration | None = None,
    ) -> Iterator[Message[Any]]:
        """Messages one after the other, for ever: `for message in client.consume("emails"): …`.

        Each is to be settled, by `with message:` best. Leaving the loop releases what was fetched
        for it and not begun.

        Args:
            queues: the first is emptied first.
            type: what to decode bodies into; see `get`.
            count: how many are fetched at once. More than one is faster, and the last of them
                waits here for those before it: within the lease, which nothing extends.
            wait: the loop ends when nothing has come for so long; never by default.
            lease: how long each is held; each queue's setting by default.
        """
        return consume(self, queues, wanted=type, count=count, wait=wait, lease=lease)

    def ack(self, *receipts: str | Delivery[Any]) -> Settled:
        """The work is done: these messages are gone. At most the server's `count_max` at once."""
        return self._link.run(verbs.ack(receipts_of(receipts)))

    def nack(
        self,
        *receipts: str | Delivery[Any],
        delay: Duration | None = None,
        reason: str | BaseException | None = None,
        dead: bool = False,
    ) -> Settled:
        """The work failed: delivered again after `delay` or the queue's backoff, or `dead`."""
        said = reason_text(reason)
        request = verbs.nack(receipts_of(receipts), delay=delay, reason=said, dead=dead)
        return self._link.run(request)

    def release(self, *receipts: str | Delivery[Any], delay: Duration = 0) -> Settled:
        """Give them back untouched, nothing counted: ready at once, or after `delay`."""
        return self._link.run(verbs.release(receipts_of(receipts), delay=delay))

    def touch(self, *receipts: str | Delivery[Any], lease: Duration | None = None) -> Settled:
        """Their leases run for `lease` (default: the queue's setting) from now on."""
        return self._link.run(verbs.touch(receipts_of(receipts), lease=lease))

    def done(
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
        return self._send(verbs.done(receipts_of([receipt])[0], result, retain=retain))

    @overload
    def result(self, id: int, *, wait: Duration = 0) -> Outcome[Any]: ...
    @overload
    def result(self, id: int, *, type: type[T], wait: Duration = 0) -> Outcome[T]: ...
    def result(
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
            return self._link.run(verbs.result(id, type))

        def request(left: float) -> Request[Outcome[Any]]:
            return verbs.result(id, type, wait=left)

        request(seconds)  # what is wrong with it is said before a place is waited for
        return self._link.run_waiting(request, seconds)

    def progress(self, receipt: str | Delivery[Any], value: object) -> Settled:
        """Say how far the work has got: a JSON value of at most 4,096 bytes, kept and shown.

        It replaces the one before, stays when the message comes back, and does not extend the
        lease.

        Raises:
            OverLimit: it is longer.
            Full: there is no room for it; nothing was changed.
        """
        return self._send(verbs.progress(receipts_of([receipt])[0], value))

    def touch_all(self, *, lease: Duration | None = None) -> Settled:
        """The same for every lease of this client's session; see `qclient.Client.touch_all`.

        Raises:
            NoSession: the client was connected without `session=`.
        """
        return self._link.run(verbs.touch_all(lease=lease))

    def hello(self) -> Server:
        """Ask the server again what it said on connecting: version, limits, leases held."""
        return self._link.run(self._dialler.greeting)

    def _send(self, request: Request[T]) -> T:
        """Run a request that may be too long."""
        wrong = self._puts.too_long(request.line)
        if wrong is not None:
            raise TooLong(wrong)
        return self._link.run(request)

    def close(self) -> None:
        """Close all connections; requests of other threads fail with Closed. Safe to call twice.

        A GET that waits in another thread is answered by the server first; what it was leased is
        released.
        """
        self._pool.close()

    def renew(self) -> None:
        """Begin afresh in a process that was just forked. Called by itself."""
        self._pool.renew()
        self._puts.renew()


def _maker(settler: Settler, decode: Callable[[bytes], Any]) -> verbs.Make[Message[Any]]:
    """A lambda, since a function's annotations would be evaluated for each GET."""
    return lambda receipt, queue, raw, metadata: (
        Message(receipt, queue, raw, decode, _settler=settler)
        if metadata is None  # nearly always, and half the time
        else Message(receipt, queue, raw, decode, _settler=settler, **metadata)
    )

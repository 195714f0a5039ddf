"""The client's verbs that look at messages and look after queues and the server."""

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any, TypeVar, overload

from qclient import queues, verbs
from qclient.link import Link
from qclient.message import Stored
from qclient.reports import Lease, Peer, Queue, Settings
from qclient.words import Duration

T = TypeVar("T")


class Caretaker:
    """Part of Client."""

    _link: Link

    async def help(self, verb: str | None = None) -> list[str]:
        """The server's verbs with their forms, or one of them."""
        return await self._link.run(queues.help_(verb))

    @overload
    async def peek(self, id: int) -> Stored[Any]: ...
    @overload
    async def peek(self, id: int, *, type: type[T]) -> Stored[T]: ...
    async def peek(self, id: int, *, type: Any = Any) -> Stored[Any]:  # noqa: A002
        """One message with all its metadata, whatever its state.

        Raises:
            NotFound: there is no such message.
        """
        return await self._link.run(verbs.peek(id, type))

    @overload
    def list(
        self,
        queue: str,
        *,
        state: str | Iterable[str] | None = None,
        key: str | None = None,
        after: int | None = None,
        limit: int | None = None,
        page: int = 100,
    ) -> AsyncIterator[Stored[Any]]: ...
    @overload
    def list(
        self,
        queue: str,
        *,
        type: type[T],
        state: str | Iterable[str] | None = None,
        key: str | None = None,
        after: int | None = None,
        limit: int | None = None,
        page: int = 100,
    ) -> AsyncIterator[Stored[T]]: ...
    async def list(
        self,
        queue: str,
        *,
        type: Any = Any,  # noqa: A002
        state: str | Iterable[str] | None = None,
        key: str | None = None,
        after: int | None = None,
        limit: int | None = None,
        page: int = 100,
    ) -> AsyncIterator[Stored[Any]]:
        """The messages of a queue in order of id, page by page as they are asked for.

        Args:
            queue: its name.
            type: what to decode bodies into.
            state: one state, several with commas, or a list; all by default.
            key: only messages put with this key.
            after: begin behind this id.
            limit: end after so many.
            page: messages of one request.
        """
        cursor = None if after is None else str(after)
        left = limit
        while left is None or left > 0:
            count = page if left is None else min(page, left)
            request = queues.messages(queue, type, state=state, key=key, count=count, after=cursor)
            answer = await self._link.run(request)
            for row in answer.rows:
                yield row
            left = None if left is None else left - len(answer.rows)
            cursor = answer.next
            if cursor is None:
                return

    async def leases(self, *, page: int = 100) -> AsyncIterator[Lease]:
        """Every lease of this client's session in order of message id.

        For a client that came back and may have lost the reply to a GET: what it does not know
        it can release.

        Raises:
            NoSession: the client was connected without `session=`.
        """
        cursor: str | None = None
        while True:
            answer = await self._link.run(queues.leases(count=page, after=cursor))
            for row in answer.rows:
                yield row
            cursor = answer.next
            if cursor is None:
                return

    async def clients(self, *, after: int | None = None, page: int = 100) -> AsyncIterator[Peer]:
        """The connections of the server in order of number, page by page as they are asked for.

        Args:
            after: begin behind this number.
            page: connections of one request.
        """
        cursor = None if after is None else str(after)
        while True:
            answer = await self._link.run(queues.clients(count=page, after=cursor))
            for row in answer.rows:
                yield row
            cursor = answer.next
            if cursor is None:
                return

    async def queues(self, *, after: str | None = None, page: int = 100) -> AsyncIterator[Queue]:
        """The queues in order of name, page by page as they are asked for.

        Args:
            after: begin behind this name.
            page: queues of one request.
        """
        cursor = after
        while True:
            answer = await self._link.run(queues.queues(count=page, after=cursor))
            for row in answer.rows:
                yield row
            cursor = answer.next
            if cursor is None:
                return

    async def queue(
        self,
        name: str,
        *,
        lease: Duration | None = None,
        max_failures: int | None = None,
        max_losses: int | None = None,
        backoff: Duration | None = None,
        backoff_factor: float | None = None,
        backoff_max: Duration | None = None,
        requeue: str | None = None,
        dedup_window: Duration | None = None,
        ttl: Duration | None = None,
        expired: str | None = None,
        retain: Duration | None = None,
        max_messages: int | None = None,
        max_bytes: int | None = None,
        **more: str | float | timedelta,
    ) -> Settings:
        """Create a queue or change its settings; those that aren't given stay as they are.

        Args:
            name: the queue.
            lease: how long a GET holds a message unless it says otherwise.
            max_failures: nacks until a message is dead; 0 is no limit.
            max_losses: losses until a message is dead; 0 is no limit.
            backoff: delay after the first failure.
            backoff_factor: by how much each next one grows.
            backoff_max: no delay is longer.
            requeue: where a message goes that comes back: `front` or `back`.
            dedup_window: how long a dedup key holds. This client repeats a PUT after a lost
                connection for up to `retry_for`: a shorter window than that can store it twice.
            ttl: of messages put without one; 0 is none.
            expired: what becomes of an expired message: `drop` or `dead`.
            retain: how long an acked message stays visible as `done`.
            max_messages: more are refused with Full; 0 is no limit.
            max_bytes: more bytes of bodies are refused with Full; 0 is no limit.
            more: settings of a newer server.

        Returns:
            All the settings as they stand.
        """
        settings = {
            "lease": lease,
            "max_failures": max_failures,
            "max_losses": max_losses,
            "backoff": backoff,
            "backoff_factor": backoff_factor,
            "backoff_max": backoff_max,
            "requeue": requeue,
            "dedup_window": dedup_window,
            "ttl": ttl,
            "expired": expired,
            "retain": retain,
            "max_messages": max_messages,
            "max_bytes": max_bytes,
            **more,
        }
        return await self._link.run(queues.queue(name, settings))

    async def pause(self, queue: str) -> bool:
        """GETs find nothing in it from now on. False when it was paused before."""
        return await self._link.run(queues.pause(queue))

    async def resume(self, queue: str) -> bool:
        """End a pause. False when there was none."""
        return await self._link.run(queues.resume(queue))

    async def purge(self, queue: str, *, state: str | Iterable[str] | None = None) -> int:
        """Remove all messages, or those in some states; returns how many.

        Not repeated after a lost connection: ConnectionLost then says so in `maybe_done`.
        """
        return await self._link.run(queues.purge(queue, state=state))

    async def drop(self, queue: str) -> int:
        """Remove the queue with everything in it; returns how many messages that were.

        Not repeated after a lost connection.
        """
        return await self._link.run(queues.drop(queue))

    async def redrive(
        self,
        queue: str,
        *,
        count: int | None = None,
        reason: str | None = None,
        to: str | None = None,
        dry: bool = False,
    ) -> int:
        """Make dead messages ready again; returns how many. Repeated only with `dry`.

        Args:
            queue: whose dead messages.
            count: the first so many.
            reason: those whose whole reason matches this glob (`*`, `?`, `[abc]`).
            to: move them to this queue.
            dry: only count.
        """
        request = queues.redrive(queue, count=count, reason=reason, to=to, dry=dry)
        return await self._link.run(request)

    async def stats(self) -> dict[str, int | float | str]:
        """Figures of the whole server by name."""
        return await self._link.run(queues.stats())

    async def ping(self) -> None:
        """Wait for an answer of the server."""
        await self._link.run(queues.ping())

"""The synchronous client's verbs that look at messages and look after queues and the server."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeVar, overload

from qclient import queues, verbs
from qclient.message import Stored
from qclient.reports import Lease, Peer, Queue, Settings
from qclient.sync.link import Link
from qclient.words import Duration

T = TypeVar("T")


class Caretaker:
    """Part of Client."""

    _link: Link

    def help(self, verb: str | None = None) -> list[str]:
        """The server's verbs with their forms, or one of them."""
        return self._link.run(queues.help_(verb))

    @overload
    def peek(self, id: int) -> Stored[Any]: ...
    @overload
    def peek(self, id: int, *, type: type[T]) -> Stored[T]: ...
    def peek(self, id: int, *, type: Any = Any) -> Stored[Any]:  # noqa: A002
        """One message with all its metadata, whatever its state.

        Raises:
            NotFound: there is no such message.
        """
        return self._link.run(verbs.peek(id, type))

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
    ) -> Iterator[Stored[Any]]: ...
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
    ) -> Iterator[Stored[T]]: ...
    def list(
        self,
        queue: str,
        *,
        type: Any = Any,  # noqa: A002
        state: str | Iterable[str] | None = None,
        key: str | None = None,
        after: int | None = None,
        limit: int | None = None,
        page: int = 100,
    ) -> Iterator[Stored[Any]]:
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
            answer = self._link.run(request)
            yield from answer.rows
            left = None if left is None else left - len(answer.rows)
            cursor = answer.next
            if cursor is None:
                return

    def clients(self, *, after: int | None = None, page: int = 100) -> Iterator[Peer]:
        """The connections of the server in order of number, page by page as they are asked for.

        Args:
            after: begin behind this number.
            page: connections of one request.
        """
        cursor = None if after is None else str(after)
        while True:
            answer = self._link.run(queues.clients(count=page, after=cursor))
            yield from answer.rows
            cursor = answer.next
            if cursor is None:
                return

    def queues(self, *, after: str | None = None, page: int = 100) -> Iterator[Queue]:
        """The queues in order of name, page by page as they are asked for.

        Args:
            after: begin behind this name.
            page: queues of one request.
        """
        cursor = after
        while True:
            answer = self._link.run(queues.queues(count=page, after=cursor))
            yield from answer.rows
            cursor = answer.next
            if cursor is None:
                return

    def leases(self, *, page: int = 100) -> Iterator[Lease]:
        """Every lease of this client's session in order of message id; see `lost_gets`.

        Raises:
            NoSession: the client was connected without `session=`.
        """
        cursor: str | None = None
        while True:
            answer = self._link.run(queues.leases(count=page, after=cursor))
            yield from answer.rows
            cursor = answer.next
            if cursor is None:
                return

    def queue(
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

        What each means: `qclient.Client.queue`.

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
        return self._link.run(queues.queue(name, settings))

    def pause(self, queue: str) -> bool:
        """GETs find nothing in it from now on. False when it was paused before."""
        return self._link.run(queues.pause(queue))

    def resume(self, queue: str) -> bool:
        """End a pause. False when there was none."""
        return self._link.run(queues.resume(queue))

    def purge(self, queue: str, *, state: str | Iterable[str] | None = None) -> int:
        """Remove all messages, or those in some states; returns how many.

        Not repeated after a lost connection: ConnectionLost then says so in `maybe_done`.
        """
        return self._link.run(queues.purge(queue, state=state))

    def drop(self, queue: str) -> int:
        """Remove the queue with everything in it; returns how many messages that were.

        Not repeated after a lost connection.
        """
        return self._link.run(queues.drop(queue))

    def redrive(
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
        return self._link.run(request)

    def stats(self) -> dict[str, int | float | str]:
        """Figures of the whole server by name."""
        return self._link.run(queues.stats())

    def ping(self) -> None:
        """Wait for an answer of the server."""
        self._link.run(queues.ping())

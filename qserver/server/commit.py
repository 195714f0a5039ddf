"""Group commit: one write and one sync for everything that was asked in a turn.

A reply to a request that changed something is held until the batch with its records is stored, by
the rule of the sync policy. One batch is under way at a time; what is asked meanwhile gathers for
the next one, so the slower the disk, the larger the batches. Replies are given out in the order in
which they were held.

When the journal fails, what was held has an unknown end: each client is told so, and the server
stops. Nothing is retried, since after a failed sync nobody knows what is on the disk.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from qserver.broker.broker import Broker
from qserver.broker.checkpoint import checkpoint
from qserver.errors import StorageError
from qserver.ports import Journal
from qserver.storage.recorder import JournalRecorder


class Recipient(Protocol):
    """Who a held reply is for."""

    def release(self, reply: bytes) -> None:
        """The reply may be sent."""
        ...

    def abandon(self) -> None:
        """The journal has failed: what became of the request is unknown."""
        ...


class Committer:
    """Stores what the recorder has gathered, and holds the replies that wait for it.

    Args:
        sync_s: the sync policy, as in `Config`.
        failed: called once, when the journal has failed, with the reason and how many replies
            were held.
    """

    def __init__(
        self,
        journal: Journal,
        recorder: JournalRecorder,
        broker: Broker,
        sync_s: float | None,
        failed: Callable[[StorageError, int], None],
    ) -> None:
        self._journal = journal
        self._recorder = recorder
        self._broker = broker
        self._sync_s = sync_s
        self._failed = failed
        self._held: list[tuple[Recipient, bytes]] = []
        self._under_way: list[tuple[Recipient, bytes]] = []
        self._is_busy = False
        self._has_failed = False
        self._reservations = 0
        self._sync_timer: asyncio.TimerHandle | None = None
        self._oldest_segment = 0
        self._is_dropping = False
        self._idle: asyncio.Event | None = None

    def hold(self, recipient: Recipient, reply: bytes) -> None:
        """Send the reply when everything recorded so far is stored."""
        if self._has_failed:
            recipient.abandon()
        else:
            self._held.append((recipient, reply))

    def commit(self) -> None:
        """Store what has been recorded, if no batch is under way; else when that one is done."""
        while not self._is_busy and not self._has_failed:
            if not self._journal.pending and not self._is_dropping:
                self._release(self._take_held())
                return
            self._under_way = self._take_held()
            self._is_dropping = False
            try:
                waited = self._journal.commit(sync=self._must_sync(), waiting=len(self._under_way))
            except StorageError as error:
                self._fail(error)
                return
            if self._recorder.begin_batch():
                checkpoint(self._broker)
            if waited is not None:
                self._is_busy = True
                asyncio.ensure_future(waited).add_done_callback(self._commit_done)
                return
            self._stored()

    async def drain(self) -> None:
        """Wait until everything recorded is stored and synced, and every reply is given out."""
        self.commit()
        while self._is_busy:
            self._idle = asyncio.Event()
            await self._idle.wait()
        if not self._has_failed:
            waited = self._journal.sync()
            if waited is not None:
                await waited

    def _must_sync(self) -> bool:
        """Whether this batch must survive a power cut before it is answered.

        Numbers that were reserved ahead must, whatever the policy: they guard against handing a
        receipt out twice after a power cut.
        """
        reservations = self._broker.reservations
        is_new = reservations != self._reservations
        self._reservations = reservations
        return self._sync_s is None or is_new

    def _take_held(self) -> list[tuple[Recipient, bytes]]:
        held = self._held
        self._held = []
        return held

    def _commit_done(self, done: "asyncio.Future[None]") -> None:
        self._is_busy = False
        error = done.exception()
        if error is not None:
            if not isinstance(error, StorageError):
                raise error
            self._fail(error)
        else:
            self._stored()
            self.commit()
        if self._idle is not None and not self._is_busy:
            self._idle.set()

    def _stored(self) -> None:
        stored, self._under_way = self._under_way, []
        self._release(stored)
        self._drop_dead_segments()
        if self._sync_s and self._sync_timer is None:
            loop = asyncio.get_running_loop()
            self._sync_timer = loop.call_later(self._sync_s, self._sync)

    @staticmethod
    def _release(replies: list[tuple[Recipient, bytes]]) -> None:
        for recipient, reply in replies:
            recipient.release(reply)

    def _drop_dead_segments(self) -> None:
        live = self._recorder.live
        if live.get(self._oldest_segment):
            return
        needed = [segment for segment, count in live.items() if count]
        oldest = min(needed, default=self._recorder.segment)
        if oldest > self._oldest_segment:
            self._journal.drop_before(oldest)
            self._is_dropping = self._oldest_segment > 0  # at a start there is nothing to drop yet
            for segment in [segment for segment in live if segment < oldest]:
                del live[segment]
            self._oldest_segment = oldest

    def _sync(self) -> None:
        """The interval is over."""
        self._sync_timer = None
        if self._has_failed:
            return
        try:
            waited: Awaitable[None] | None = self._journal.sync()
        except StorageError as error:
            self._fail(error)
            return
        if waited is not None:
            asyncio.ensure_future(waited).add_done_callback(self._sync_done)

    def _sync_done(self, done: "asyncio.Future[None]") -> None:
        error = done.exception()
        if isinstance(error, StorageError):
            self._fail(error)
        elif error is not None:
            raise error

    def _fail(self, error: StorageError) -> None:
        if self._has_failed:
            return
        self._has_failed = True
        abandoned = self._under_way + self._take_held()
        self._under_way = []
        self._failed(error, len(abandoned))
        for recipient, _ in abandoned:
            recipient.abandon()

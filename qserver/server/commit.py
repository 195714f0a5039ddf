"""Group commit: one write and one sync for everything that was asked in a turn.

A reply to a request that changed something is held until the batch with its records is stored, by
the rule of the sync policy. One batch is under way at a time; what is asked meanwhile gathers for
the next one, so the slower the disk, the larger the batches. Replies are given out in the order in
which they were held.

Whether a batch is stored is looked at when a turn of the loop ends, as well as when the loop tells
it, since that may be a turn later, and under load a turn takes 4 ms.

When the disk is full, the journal keeps the batch, the replies stay held, and it is tried again and
again until there is room. Meanwhile others are answered what they only ask, and PUTs are refused
before they change anything: the broker is told how much the disk can take with each batch.

When the journal fails, what was held has an unknown end: each client is told so, and the server
stops. Nothing is retried, since after a failed sync nobody knows what is on the disk.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sized
from concurrent.futures import Future
from typing import Final, Protocol

from qserver.broker.broker import Broker
from qserver.broker.checkpoint import Checkpoint
from qserver.config import ROOM_RETRY_S
from qserver.errors import StorageError, StorageFull
from qserver.ports import Journal
from qserver.server.compactor import Compactor
from qserver.storage.recorder import JournalRecorder

RELEASED_MAX: Final = 200
"""So many replies are given out at once, in about 2 ms: each takes a call of the system."""


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
        clients: all who are connected: where one is alone, a commit holds up nobody else.

    Attributes:
        is_behind: whether `commit` is to be called again soon, since there is more to move or tell.
        retry_s: how long a batch that found no room waits until it is tried again.
    """

    def __init__(
        self,
        journal: Journal,
        recorder: JournalRecorder,
        broker: Broker,
        compactor: Compactor,
        sync_s: float | None,
        failed: Callable[[StorageError, int], None],
        clients: Sized = (),
    ) -> None:
        self.is_behind = False
        self.retry_s = ROOM_RETRY_S
        self._journal = journal
        self._recorder = recorder
        self._broker = broker
        self._compactor = compactor
        self._sync_s = sync_s
        self._failed = failed
        self._clients = clients
        self._held: list[tuple[Recipient, bytes]] = []
        self._under_way: list[tuple[Recipient, bytes]] = []
        self._is_busy = False
        self._waited: Future[None] | None = None
        self._has_ended = False  # the journal has failed, or all is drained
        self._is_draining = False
        self._lack: StorageFull | None = None
        self._room_timer: asyncio.TimerHandle | None = None
        self._is_new_segment = False
        self._checkpoint: Checkpoint | None = None
        self._reservations = 0
        self._sync_timer: asyncio.TimerHandle | None = None
        self._is_dropping = False
        self._idle: asyncio.Event | None = None
        self._unsent: deque[tuple[Recipient, bytes]] = deque()

    def hold(self, recipient: Recipient, reply: bytes) -> None:
        """Send the reply when everything recorded so far is stored."""
        if self._has_ended:
            recipient.abandon()
        else:
            self._held.append((recipient, reply))

    def begin_with_checkpoint(self) -> None:
        """Let the first batch hold a checkpoint: the last server may have ended before its own."""
        self._is_new_segment = True

    @property
    def is_busy(self) -> bool:
        """Whether a batch is under way."""
        return self._is_busy

    def commit(self) -> None:
        """Store what has been recorded, if no batch is under way; else when that one is done.

        What is moved to keep the journal small joins the batch: here, and not at the end of a turn,
        since under load every turn may end while a batch is under way.
        """
        if self._waited is not None and self._waited.done():
            self._commit_done(self._waited)  # and back to here
            return
        if self._is_busy or self._has_ended:
            return
        if not self._is_dropping:
            self.is_behind = not self._is_draining and self._compactor.move_some()
        if self._checkpoint is not None and not self._is_draining:
            self._tell_some()
        while self._journal.pending or self._is_dropping:
            self._under_way = self._take_held()
            self._is_dropping = False
            self._hand_over(sync=self._must_sync())
            if self._is_busy or self._has_ended:
                break
        else:
            self._release(self._take_held())
        if self._checkpoint is not None:
            self.is_behind = not self._is_draining

    def look_for_room(self) -> None:
        """Find out what the disk can take; to be called about once a second."""
        waited = None if self._has_ended else self._journal.look_for_room()
        if waited is None:
            self._looked_for_room()
        else:
            _tell(waited, self._looked_for_room)

    async def drain(self) -> None:
        """Wait until everything recorded is stored and synced, and every reply is given out.

        Or until the journal has failed, which is told as ever. It is the end: what is recorded
        later, as that a client has gone, is not stored, and the journal may be closed.

        Raises:
            StorageFull: there is no room for it, and it was given up.
        """
        self._is_draining = True
        if self._room_timer is not None:
            self._room_timer.cancel()
            self._try_again()
        else:
            self.commit()
        while self._is_busy:
            self._idle = asyncio.Event()
            await self._idle.wait()
        self._release_some(len(self._unsent))
        if self._lack is not None:
            raise self._lack
        if self._has_ended:
            return
        try:
            waited = self._journal.sync()
            if waited is not None:
                await asyncio.wrap_future(waited)
        except StorageError as error:
            self._fail(error)
        self._has_ended = True

    def _hand_over(self, *, sync: bool) -> None:
        """Let the journal store what was recorded, or what it kept.

        A segment's checkpoint joins the first batch that it has anyway: one that came by itself
        could take the segment past its size, so that the next one would begin with another.
        """
        if self._is_new_segment and self._journal.pending and self._checkpoint is None:
            self._is_new_segment = False
            self._checkpoint = Checkpoint(self._broker)
            self._tell_some()
        waited: Future[None] | None = None
        lack: StorageFull | None = None
        try:
            waited = self._journal.commit(sync=sync, alone=len(self._clients) == 1)
        except StorageFull as error:
            lack = error
        except StorageError as error:
            self._fail(error)
            return
        if self._recorder.begin_batch():
            self._is_new_segment = True
        self._tell_of_room()
        if lack is not None:
            self._wait_for_room(lack)
        elif waited is not None:
            self._is_busy = True
            self._waited = waited
            _tell(waited, self._commit_done)
        else:
            self._stored()

    def _tell_some(self) -> None:
        """Tell some of a segment's checkpoint: most often that is all of it."""
        assert self._checkpoint is not None
        if self._checkpoint.tell_some():
            self._compactor.kept_from = self._checkpoint.segment
            self._checkpoint = None

    def _wait_for_room(self, lack: StorageFull) -> None:
        if self._is_draining:
            self._lack = lack
            self._has_ended = True
            return
        self._is_busy = True
        loop = asyncio.get_running_loop()
        self._room_timer = loop.call_later(self.retry_s, self._try_again)

    def _try_again(self) -> None:
        self._room_timer = None
        self._is_busy = False
        self._hand_over(sync=False)  # what was asked for at first still holds
        self.commit()

    def _looked_for_room(self, _: object = None) -> None:
        # With records pending, what they take of the room is not known yet: their commit tells.
        if not self._journal.pending or not self._journal.room:
            self._tell_of_room()

    def _tell_of_room(self) -> None:
        """Let the broker take no more than the disk can: each batch is told anew."""
        broker = self._broker
        room = self._journal.room
        allowed = broker.limits.memory_bytes_max
        if room < allowed:
            allowed = min(allowed, broker.memory + room) if room else 0
        broker.memory_bytes_max = allowed

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

    def _commit_done(self, done: "Future[None]") -> None:
        if done is not self._waited:
            return  # a turn's end has seen it before the loop told
        self._waited = None
        self._is_busy = False
        error = done.exception()
        if error is not None:
            if isinstance(error, StorageFull):
                self._tell_of_room()
                self._wait_for_room(error)
            elif isinstance(error, StorageError):
                self._fail(error)
            else:
                raise error
        else:
            self._looked_for_room()
            self._stored()
            self.commit()
        if self._idle is not None and not self._is_busy:
            self._idle.set()

    def _stored(self) -> None:
        stored, self._under_way = self._under_way, []
        self._release(stored)
        self._is_dropping = self._compactor.drop_dead_segments()
        if self._sync_s and self._sync_timer is None:
            loop = asyncio.get_running_loop()
            self._sync_timer = loop.call_later(self._sync_s, self._sync)

    def _release(self, replies: list[tuple[Recipient, bytes]]) -> None:
        """Give out replies; those of a crowd some at a time, with the loop's other work between."""
        if self._unsent or len(replies) > RELEASED_MAX:
            if not self._unsent:
                asyncio.get_running_loop().call_soon(self._release_more)
            self._unsent.extend(replies)
            return
        for recipient, reply in replies:
            recipient.release(reply)

    def _release_more(self) -> None:
        self._release_some(RELEASED_MAX)
        if self._unsent:
            asyncio.get_running_loop().call_soon(self._release_more)

    def _release_some(self, count: int) -> None:
        for _ in range(min(count, len(self._unsent))):
            recipient, reply = self._unsent.popleft()
            recipient.release(reply)

    def _sync(self) -> None:
        """The interval is over."""
        self._sync_timer = None
        if self._has_ended:
            return
        try:
            waited = self._journal.sync()
        except StorageError as error:
            self._fail(error)
            return
        if waited is not None:
            _tell(waited, self._sync_done)

    def _sync_done(self, done: "Future[None]") -> None:
        error = done.exception()
        if isinstance(error, StorageError):
            self._fail(error)
        elif error is not None:
            raise error

    def _fail(self, error: StorageError) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self.is_behind = False
        self._release_some(len(self._unsent))
        abandoned = self._under_way + self._take_held()
        self._under_way = []
        self._failed(error, len(abandoned))
        for recipient, _ in abandoned:
            recipient.abandon()


def _tell(waited: "Future[None]", done: "Callable[[Future[None]], None]") -> None:
    """Have the loop call it when that is done, which is told in another thread."""
    loop = asyncio.get_running_loop()

    def told(waited: "Future[None]") -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(done, waited)

    waited.add_done_callback(told)

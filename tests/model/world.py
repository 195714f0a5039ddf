"""A broker and its model, told the same things at the same times, with a journal underneath.

Each method is one verb: it does it to both and compares the answers; `check` (in `same.py`)
compares what is there afterwards. Nothing is served and nothing stored before `end_turn`, as in
the server, so that several verbs can share a turn.
"""

from copy import deepcopy
from dataclasses import fields
from math import inf
from typing import Any, NamedTuple

import pytest

from qserver.broker import admin, compaction, get, outcome, put, settle, timers, view
from qserver.broker.broker import Broker
from qserver.broker.checkpoint import checkpoint, record_stop
from qserver.broker.message import STATES
from qserver.broker.ongoing import Ongoing
from qserver.broker.redriving import Redrive
from qserver.broker.restore import Restorer
from qserver.broker.touching import TouchAll
from qserver.config import Limits
from qserver.errors import RequestError
from qserver.storage.memory import MemoryJournal, MemoryStore
from qserver.storage.record import replay
from qserver.storage.recorder import JournalRecorder
from tests.model.clients import FakeClient, receipts
from tests.model.clients import outcome as shown
from tests.model.model import Delivered, Full, Receipt, Told
from tests.model.same import bases, check
from tests.model.verbs import ModelBroker

LIMITS = Limits(memory_bytes_max=40 * 330, reply_bytes_max=30)
SEGMENT_BYTES_MAX = 1000
SLICE, LOOKS = 2, 5


class Moment(NamedTuple):
    """How many records there were at the end of a turn, and what they should tell."""

    lines: int
    model: ModelBroker


def states(names: list[str]) -> list[int]:
    return [STATES.index(name) for name in names or STATES]


class World:
    def __init__(self, *, now: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self.now = now
        self.store = MemoryStore()
        self.lines: list[bytes] = []
        self.moments: list[Moment] = []
        self.last_lease = 0
        self.model = ModelBroker(now, wall, LIMITS.memory_bytes_max, LIMITS.reply_bytes_max)
        self._start()

    def _start(self) -> None:
        self.delivered: list[Delivered] = []
        self.told: list[Told] = []
        self.clients: dict[str, FakeClient] = {}
        self.journal = MemoryJournal(self.store, segment_bytes_max=SEGMENT_BYTES_MAX)
        self.recorder = JournalRecorder(self.journal)
        self.broker = Broker(self.recorder, LIMITS, now=self.now, wall=self._wall())
        restorer = Restorer(self.broker)
        replay(self.journal, restorer)
        restorer.finish(self.now)
        append = self.recorder.append

        def append_and_keep(line: bytes) -> None:
            self.lines.append(line)
            append(line)

        self.recorder.append = append_and_keep
        self.recorder.begin_batch()
        self.is_new_segment = True
        self.kept_from = 0

    def _wall(self) -> float:
        return self.now + self.model.offset

    def client(self, name: str) -> FakeClient:
        return self.clients.setdefault(name, FakeClient(name, self.delivered, self.told))

    # --- the turn -------------------------------------------------------------------------------

    def end_turn(self) -> None:
        get.serve(self.broker, self.now)
        self.model.serve()
        self._commit()
        self._check_deliveries()
        check(self.broker, self.model)
        self.moments.append(Moment(len(self.lines), deepcopy(self.model)))

    def _commit(self) -> None:
        """What `server/commit.py` does, and `server/compactor.py` with old segments."""
        if self.is_new_segment and self.journal.pending:
            checkpoint(self.broker)
            self.kept_from = self.recorder.segment
            self.is_new_segment = False
        self.journal.commit(sync=True)
        self.is_new_segment |= self.recorder.begin_batch()
        live = self.broker.live
        needed = [segment for segment, count in live.items() if count]
        oldest = min([*needed, self.kept_from])
        self.journal.drop_before(oldest)
        for segment in [segment for segment in live if segment < oldest]:
            del live[segment]

    def compact(self, budget: int) -> None:
        """Tell again some of what keeps the oldest segment alive."""
        oldest = min((segment for segment, count in self.broker.live.items() if count), default=0)
        if 0 < oldest < self.recorder.segment:
            before = bases(self.broker)
            compaction.move(self.broker, oldest, budget)
            self.model.tell_again(dict(bases(self.broker).items() - before.items()))

    def _check_deliveries(self) -> None:
        assert self.delivered == self.model.delivered
        for _, handed_out in self.delivered:
            self._check_fresh(handed_out)
        self.delivered.clear()
        self.model.delivered.clear()

    def check_told(self) -> None:
        """To be called after each verb: what is told is how a message stands then."""
        self.model.tell()
        assert sorted(self.told) == sorted(self.model.told)
        self.told.clear()
        self.model.told.clear()

    def _check_fresh(self, handed_out: list[Receipt]) -> None:
        for _, lease in handed_out:
            assert lease > self.last_lease, "a lease number that was there before"
            self.last_lease = lease

    # --- time -----------------------------------------------------------------------------------

    def wait_until(self, then: float) -> None:
        """Time passes, and the broker is called whenever it says."""
        for _ in range(10_000):
            wanted = timers.next_deadline(self.broker)
            wanted = inf if wanted is None else wanted
            needed = max(self.model.next_deadline(), self.now)
            assert wanted <= needed, "it would be called too late"
            if wanted > then:
                break
            self.move(max(self.now, wanted))
            self.tick()
        else:
            raise AssertionError("it wants to be called again and again")
        self.move(then)

    def move(self, now: float) -> None:
        """Time passes, and the server is stalled."""
        self.now = self.model.now = now

    def tick(self) -> None:
        assert not timers.tick(self.broker, self.now)
        self.model.tick()
        self._check_deliveries()
        self.check_told()

    def set_clock(self, moved: float) -> None:
        wall = self._wall() + moved
        assert timers.clock_checked(self.broker, self.now, wall) == moved
        self.model.set_clock(moved)

    # --- messages -------------------------------------------------------------------------------

    def put(self, queue: str, body: bytes, options: dict[str, Any]) -> int | None:
        """Its id, if it was stored."""
        try:
            expected = self.model.put(queue, body, options)
        except Full:
            expected = None
        try:
            if options:
                stored = put.put_with(self.broker, self.now, queue, body, put.Options(**options))
            else:
                stored = put.put(self.broker, self.now, queue, body), False
        except RequestError as error:
            assert error.word == "full"  # noqa: PT017 - not every PUT is refused
            stored = None
        assert stored == expected
        return stored and stored[0]

    def get(
        self, client: str, queues: list[str], count: int, lease: float | None, wait: float
    ) -> list[Receipt]:
        asking = self.client(client)
        assert asking.waiter is None
        expected = self.model.get(client, queues, count, lease)
        messages = get.get(self.broker, self.now, asking, queues, count, lease)
        assert receipts(messages) == expected
        self._check_deliveries()
        self._check_fresh(expected)
        if wait and not expected:
            self.model.wait(client, queues, count, lease, wait)
            asking.waiter = get.wait(self.broker, self.now, asking, queues, count, lease, wait)
        return expected

    def ack(self, settled: list[Receipt]) -> None:
        assert settle.ack(self.broker, self.now, settled) == self.model.ack(settled)

    def nack(
        self, settled: list[Receipt], delay: float | None, reason: str | None, *, dead: bool
    ) -> None:
        refused = settle.nack(
            self.broker, self.now, settled, delay_s=delay, reason=reason, dead=dead
        )
        assert refused == self.model.nack(settled, delay, reason, dead=dead)

    def release(self, settled: list[Receipt], delay: float) -> None:
        refused = settle.release(self.broker, self.now, settled, delay)
        assert refused == self.model.release(settled, delay)

    def touch(self, held: list[Receipt], lease: float | None) -> None:
        assert settle.touch(self.broker, self.now, held, lease) == self.model.touch(held, lease)

    def progress(self, held: Receipt, value: bytes) -> None:
        try:
            expected = self.model.progress(held, value)
        except Full:
            with pytest.raises(RequestError, match="memory"):
                outcome.progress(self.broker, held, value)
        else:
            assert outcome.progress(self.broker, held, value) == expected

    def done(self, held: Receipt, value: bytes, retain: float | None) -> None:
        try:
            expected = self.model.done(held, value, retain)
        except Full:
            with pytest.raises(RequestError, match="memory"):
                outcome.done(self.broker, self.now, held, value, retain)
        else:
            assert outcome.done(self.broker, self.now, held, value, retain) == expected

    def result(self, client: str, message_id: int, wait: float) -> None:
        asking = self.client(client)
        message = self.broker.messages.get(message_id)
        if message is None or asking.waiter is not None:
            return
        expected = self.model.ask(client, message_id, wait)
        if expected is None:
            asking.waiter = outcome.wait(self.broker, self.now, asking, message, wait)
        else:
            assert shown(client, message) == expected

    # --- sessions -------------------------------------------------------------------------------

    def hello(self, client: str, name: str, grace: float) -> None:
        get.join(self.broker, self.now, self.client(client), name, grace)
        self.model.hello(client, name, grace)

    def hang_up(self, client: str) -> None:
        leaving = self.clients.pop(client, None)
        if leaving is None:
            return
        if leaving.waiter is not None:
            leaving.waiter.forget(self.broker)
        get.leave(self.broker, self.now, leaving)
        self.model.leave(client)

    def touch_session(self, client: str, lease: float | None) -> None:
        session = self.client(client).session
        if session is not None:
            asking = self.client(client)
            request = TouchAll(self.broker, asking, session, self.now, lease, SLICE)
            assert self._whole(request) == self.model.touch_session(client, lease)

    def leases(self, client: str, count: int) -> None:
        """All pages together are all that the session holds."""
        session = self.client(client).session
        if session is None:
            return
        after: int | None = 0
        listed = []
        while after is not None:
            page = view.list_leases(session, count, after)
            assert len(page.rows) <= count
            listed += receipts(page.rows)
            after = page.more_after
        assert listed == self.model.leases(client)

    # --- queues ---------------------------------------------------------------------------------

    def configure(self, queue: str, changes: dict[str, Any]) -> None:
        settings = admin.configure(self.broker, queue, changes)
        assert {
            field.name: getattr(settings, field.name) for field in fields(settings)
        } == self.model.configure(queue, changes)

    def pause(self, queue: str, *, paused: bool) -> None:
        changed = admin.pause(self.broker, queue, paused=paused)
        assert changed == self.model.pause(queue, paused=paused)

    def purge(self, queue: str, named: list[str]) -> None:
        assert admin.purge(self.broker, queue, states(named)) == self.model.purge(queue, named)

    def drop(self, queue: str) -> None:
        assert admin.drop(self.broker, queue) == self.model.drop(queue)

    def redrive(
        self, queue: str, count: int | None, reason: str | None, to: str | None, *, dry: bool
    ) -> None:
        expected = self.model.redrive(queue, count, reason, to, dry=dry)
        chosen = self.broker.queues.get(queue)
        if chosen is None:
            assert not expected
            return
        request = Redrive(
            self.broker,
            FakeClient("", [], []),
            chosen,
            count=count,
            reason=reason,
            to=to,
            dry=dry,
            slice_max=SLICE,
            looks_max=LOOKS,
        )
        assert self._whole(request) == expected

    def _whole(self, request: Ongoing) -> int:
        while not request.step(self.broker):
            pass
        return request.count

    def list(self, queue: str, count: int, named: list[str], key: str | None) -> None:
        """All pages together are all there is."""
        expected = [
            m.id for m in self.model.of(queue, *named) if key is None or m.texts["key"] == key
        ]
        after: int | None = 0
        listed = []
        while after is not None:
            page = view.list_messages(
                self.broker, queue, states=states(named), key=key, count=count, after=after
            )
            assert len(page.rows) <= count
            listed += [message.id for message in page.rows]
            after = page.more_after
        assert listed == expected

    # --- a restart ------------------------------------------------------------------------------

    def restart(self, *, clean: bool) -> None:
        if clean:
            record_stop(self.broker)
        self._commit()
        self.journal.close()
        self._start()
        self.model.restart()
        self.last_lease = max(self.last_lease, self.broker.last_lease)

    def drain(self) -> None:
        """When everything is gone, nothing of it is left."""
        for name in list(self.clients):
            self.hang_up(name)
        for queue in list(self.broker.queues):
            self.drop(queue)
        self.end_turn()
        self.wait_until(self.now + 3 * 365 * 86_400)
        assert not self.broker.messages
        assert not self.broker.sessions
        assert not self.broker.waiters
        assert not self.broker.result_waiters
        assert self.broker.memory == 0
        assert not any(self.broker.live.values())
        assert timers.next_deadline(self.broker) is None

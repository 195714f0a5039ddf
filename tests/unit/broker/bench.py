"""A broker on the bench: its clock is a number, its journal a list, each verb one short call."""

import json
from typing import Any, NoReturn

import pytest

from qserver.broker import admin, get, outcome, put, settle, timers
from qserver.broker.broker import Broker
from qserver.broker.message import GONE, STATES, Message
from qserver.broker.ongoing import Ongoing
from qserver.broker.redriving import Redrive
from qserver.broker.restore import Restorer
from qserver.broker.session import Session
from qserver.broker.touching import TouchAll
from qserver.config import Limits
from qserver.storage.memory import MemoryJournal, MemoryStore
from qserver.storage.record import replay
from qserver.storage.recorder import JournalRecorder

Receipt = tuple[int, int]

WALL = 1_700_000_000.0


class BenchClient:
    """A connection.

    Attributes:
        got: what its GETs that waited were answered.
        heard: what its RESULTs that waited were: id, state and result of a message.
        counts: what its requests that went on by themselves were answered.
    """

    def __init__(self) -> None:
        self.session: Session | None = None
        self.got: list[list[Receipt]] = []
        self.heard: list[tuple[int, str, bytes]] = []
        self.counts: list[int] = []

    def delivered(self, messages: list[Message]) -> None:
        self.got.append(receipts(messages))

    def counted(self, count: int) -> None:
        self.counts.append(count)

    def told(self, message: Message) -> None:
        state = "gone" if message.state == GONE else STATES[message.state]
        details = message.details
        self.heard.append((message.id, state, b"" if details is None else details.result))


class Unwalked(dict[str, Any]):
    """A table that is not to be walked."""

    def __iter__(self) -> NoReturn:
        pytest.fail("it costs a look at each")

    values = items = keys = __iter__


def receipts(messages: list[Message]) -> list[Receipt]:
    return [(message.id, message.lease) for message in messages]


class Bench:
    def __init__(
        self,
        *,
        lines: list[bytes] | None = None,
        now: float = 1000.0,
        wall: float = WALL,
        reserve: int = 0,
        limits: Limits | None = None,
    ) -> None:
        self.now = now
        self.limits = limits or Limits()
        self.lines: list[bytes] = list(lines or ())
        store = MemoryStore()
        if lines:
            store.segments[1] = [b"".join(lines)]
        journal = MemoryJournal(store)
        recorder = JournalRecorder(journal)
        recorder.append = self.lines.append
        self.broker = Broker(recorder, self.limits, now=now, wall=wall, reserve=reserve)
        restorer = Restorer(self.broker)
        replay(journal, restorer)
        restorer.finish(now)
        recorder.begin_batch()

    def rebuilt(self, *, lost: int = 0) -> "Bench":
        """What a new server makes of the journal now; the last records may be lost."""
        lines = self.lines[: len(self.lines) - lost]
        reserve, wall = self.broker.reserve, self.broker.wall(self.now)
        return Bench(lines=lines, now=self.now, wall=wall, reserve=reserve, limits=self.limits)

    def records(self, op: str) -> list[dict[str, Any]]:
        told = [json.loads(line) for line in self.lines]
        return [record for record in told if record["op"] == op]

    # --- time -----------------------------------------------------------------------------------

    def after(self, seconds: float) -> None:
        """Time passes; the broker is called when it says, and once more at the end."""
        then = self.now + seconds
        while (wanted := timers.next_deadline(self.broker)) is not None and wanted <= then:
            self.now = max(self.now, wanted)
            timers.tick(self.broker, self.now)
        self.now = then
        timers.tick(self.broker, self.now)

    def stall(self, seconds: float) -> None:
        """Time passes, and nobody calls the broker."""
        self.now += seconds

    def tick(self, budget: int = timers.BUDGET) -> bool:
        return timers.tick(self.broker, self.now, budget)

    # --- verbs ----------------------------------------------------------------------------------

    def put(self, queue: str = "q", body: bytes = b"1", **options: Any) -> int:
        if not options:
            return put.put(self.broker, self.now, queue, body)
        asked = put.Options(**options)
        return put.put_with(self.broker, self.now, queue, body, asked)[0]

    def get(
        self,
        *queues: str,
        count: int = 1,
        lease: float | None = None,
        client: BenchClient | None = None,
    ) -> list[Receipt]:
        asking, names = client or BenchClient(), list(queues) or ["q"]
        return receipts(get.get(self.broker, self.now, asking, names, count, lease))

    def ids(self, *queues: str, count: int = 1000) -> list[int]:
        """GET's answer without the lease numbers."""
        return [message_id for message_id, _ in self.get(*queues, count=count)]

    def wait(self, *queues: str, count: int = 1, seconds: float = 60.0) -> BenchClient:
        client, names = BenchClient(), list(queues) or ["q"]
        get.wait(self.broker, self.now, client, names, count, None, seconds)
        return client

    def serve(self) -> None:
        get.serve(self.broker, self.now)

    def ack(self, *held: Receipt) -> list[Receipt]:
        return settle.ack(self.broker, self.now, list(held))

    def progress(self, held: Receipt, value: bytes) -> bool:
        return outcome.progress(self.broker, held, value)

    def done(self, held: Receipt, result: bytes, retain: float | None = None) -> bool:
        return outcome.done(self.broker, self.now, held, result, retain)

    def wait_result(self, message_id: int = 1, seconds: float = 60.0) -> BenchClient:
        client = BenchClient()
        outcome.wait(self.broker, self.now, client, self.message(message_id), seconds)
        return client

    def nack(self, *held: Receipt, **options: Any) -> list[Receipt]:
        return settle.nack(self.broker, self.now, list(held), **options)

    def release(self, *held: Receipt, delay_s: float = 0.0) -> list[Receipt]:
        return settle.release(self.broker, self.now, list(held), delay_s)

    def touch(self, *held: Receipt, lease: float | None = None) -> list[Receipt]:
        return settle.touch(self.broker, self.now, list(held), lease)

    def join(self, name: str, grace: float = 10.0) -> BenchClient:
        client = BenchClient()
        get.join(self.broker, self.now, client, name, grace)
        return client

    def leave(self, client: BenchClient) -> None:
        get.leave(self.broker, self.now, client)

    def configure(self, queue: str = "q", **changes: Any) -> None:
        admin.configure(self.broker, queue, changes)

    def purge(self, queue: str = "q", *states: str) -> int:
        numbers = [STATES.index(state) for state in states or STATES]
        return admin.purge(self.broker, queue, numbers)

    def drop(self, queue: str = "q") -> int:
        return admin.drop(self.broker, queue)

    def redrive(
        self,
        queue: str = "q",
        *,
        count: int | None = None,
        reason: str | None = None,
        to: str | None = None,
        dry: bool = False,
    ) -> int:
        chosen = self.broker.queues.get(queue)
        if chosen is None:
            return 0
        client = BenchClient()
        return self.whole(
            Redrive(self.broker, client, chosen, count=count, reason=reason, to=to, dry=dry)
        )

    def touch_all(self, client: "BenchClient", lease: float | None = None) -> int:
        session = client.session
        assert session is not None
        return self.whole(TouchAll(self.broker, client, session, self.now, lease))

    def whole(self, request: Ongoing) -> int:
        """Do all of it at once."""
        while not request.step(self.broker):
            pass
        return request.count

    # --- looks ----------------------------------------------------------------------------------

    def message(self, message_id: int) -> Message:
        return self.broker.messages[message_id]

    def state(self, message_id: int) -> str:
        message = self.broker.messages.get(message_id)
        return "gone" if message is None else STATES[message.state]

    def reason(self, message_id: int) -> str | None:
        details = self.message(message_id).details
        return None if details is None else details.reason

    def due_in(self, message_id: int) -> float:
        """Seconds until a delayed message is due."""
        message = self.message(message_id)
        assert self.state(message_id) == "delayed"
        return message.detail().due_at - self.broker.wall(self.now)

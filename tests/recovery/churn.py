"""A broker with its journal and compactor under a workload, and the bound that must always hold."""

from dataclasses import asdict
from typing import Any

from qserver.broker import get, timers
from qserver.broker.broker import Broker
from qserver.broker.checkpoint import checkpoint
from qserver.broker.compaction import live_bytes, move, snapshot
from qserver.broker.message import Message
from qserver.broker.restore import Restorer
from qserver.broker.session import Session
from qserver.broker.touching import TouchAll
from qserver.config import Limits
from qserver.server.compactor import Compactor
from qserver.storage.memory import MemoryJournal, MemoryStore
from qserver.storage.record import replay
from qserver.storage.recorder import JournalRecorder

SEGMENT_BYTES_MAX = 256_000
WALL = 1_800_000_000.0
LIMITS = Limits(memory_bytes_max=1 << 40)


class OneClient:
    """Who takes everything."""

    def __init__(self) -> None:
        self.session: Session | None = None

    def delivered(self, messages: list[Message]) -> None:
        raise AssertionError("nobody waits")

    def counted(self, count: int) -> None:
        raise AssertionError("nobody waits")

    def told(self, message: Message) -> None:
        raise AssertionError("nobody waits")


class Churn:
    """The journal's size is looked at after each commit."""

    def __init__(self, *, segment_bytes_max: int = SEGMENT_BYTES_MAX) -> None:
        self.now = 1000.0
        self.client = OneClient()
        self.store = MemoryStore()
        self.segment_bytes_max = segment_bytes_max
        self.journal = MemoryJournal(self.store, segment_bytes_max=segment_bytes_max)
        self.recorder = JournalRecorder(self.journal)
        self.broker = Broker(self.recorder, LIMITS, now=self.now, wall=WALL)
        assert replay(self.journal, Restorer(self.broker)) == 0
        self.compactor = Compactor(self.journal, self.recorder, self.broker)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        while timers.tick(self.broker, self.now):
            pass

    def touch_all(self) -> None:
        session = self.client.session
        assert session is not None
        request = TouchAll(self.broker, self.client, session, self.now, 30.0)
        while not request.step(self.broker):
            pass

    def get(self, queue: str, count: int, lease_s: float = 30.0) -> list[tuple[int, int]]:
        messages = get.get(self.broker, self.now, self.client, [queue], count, lease_s)
        return [(message.id, message.lease) for message in messages]

    def end_turn(self) -> None:
        """What `server/commit.py` does with each batch, and again while it is behind."""
        is_behind, turns = True, 0
        while is_behind:
            turns += 1
            assert turns < 1000, "the compactor runs for nothing"
            is_behind = self.compactor.move_some()
            self._commit()
            self._check_bound()

    def _check_bound(self) -> None:
        allowed = 2 * live_bytes(self.broker) + 2 * self.segment_bytes_max
        if self.journal.size > allowed:  # the estimate is low, and what is exact takes long
            allowed = 2 * self.told_anew_bytes() + 2 * self.segment_bytes_max
        assert self.journal.size <= allowed, "the journal is past its bound"

    def _commit(self) -> None:
        self.journal.commit(sync=True)
        if self.recorder.begin_batch():
            checkpoint(self.broker)
        self.compactor.kept_from = self.recorder.segment
        self.compactor.drop_dead_segments()

    def told_anew_bytes(self) -> int:
        """What the journal would take that tells all that is live and nothing else."""
        journal = MemoryJournal(MemoryStore())
        list(journal.replay())
        recorder = JournalRecorder(journal)
        for message in self.broker.messages.values():
            recorder.message(
                message.queue.encoded, message.id, message.body, snapshot(self.broker, message)
            )
        for queue in self.broker.queues.values():
            keys = queue.dedup.items() if queue.dedup else ()
            for key, (message_id, until, _) in keys:
                recorder.dedup(queue.encoded, key, message_id, until)
        journal.commit(sync=True)
        return journal.size

    def restarted(self) -> Broker:
        """What another server finds in the journal."""
        self.journal.close()
        journal = MemoryJournal(self.store)
        broker = Broker(JournalRecorder(journal), LIMITS, now=self.now, wall=WALL + self.now - 1000)
        restorer = Restorer(broker)
        replay(journal, restorer)
        restorer.finish(self.now)
        return broker


def standing(broker: Broker) -> dict[int, dict[str, Any]]:
    """Every message as it stands, to the millisecond that a record keeps."""
    return {
        message_id: {
            name: round(value, 2) if isinstance(value, float) else value
            for name, value in asdict(snapshot(broker, message)).items()
        }
        | {"queue": message.queue.name, "body": message.body}
        for message_id, message in broker.messages.items()
    }


def move_everything(churn: Churn) -> None:
    """Tell all that old segments are needed for again."""
    for segment in sorted(churn.broker.live):
        while segment != churn.recorder.segment and move(churn.broker, segment, 10_000):
            pass

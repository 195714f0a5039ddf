"""A queue: its settings, and its messages by state."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from qserver.broker.dedup import Dedup
from qserver.broker.index import Index
from qserver.broker.message import DEAD, DELAYED, DONE, LEASED, READY, Message
from qserver.broker.ready import Ready
from qserver.broker.table import Table

if TYPE_CHECKING:
    from qserver.broker.wheel import Slot


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user can set for one queue; the names are those on the wire, times are seconds."""

    lease: float = 30.0
    max_failures: int = 10
    max_losses: int = 10
    backoff: float = 1.0
    backoff_factor: float = 2.0
    backoff_max: float = 300.0
    requeue: str = "front"
    dedup_window: float = 300.0
    ttl: float = 0.0
    expired: str = "drop"
    retain: float = 0.0
    max_messages: int = 0
    max_bytes: int = 0

    def backoff_s(self, times: int) -> float:
        """The delay after the `times`-th failure; 0 for none."""
        if times <= 0:
            return 0.0
        try:
            grown = self.backoff * float(self.backoff_factor) ** (times - 1)
        except OverflowError:
            grown = inf if self.backoff else 0.0
        return float(min(grown, self.backoff_max))


DEFAULTS: Final = Settings()


class Queue:
    """A named, ordered set of messages.

    The timer wheel holds it while it has dedup keys, to forget those whose time is over.

    Attributes:
        encoded: the name as it is on the wire.
        bytes: of the bodies of its messages.
    """

    __slots__ = (
        "_messages",
        "bytes",
        "dead",
        "deadline",
        "dedup",
        "delayed",
        "done",
        "encoded",
        "index",
        "leased",
        "name",
        "paused",
        "ready",
        "settings",
        "slot",
    )

    def __init__(self, name: str, messages: Table) -> None:
        self.name = name
        self.encoded = name.encode()
        self.settings = DEFAULTS
        self.paused = False
        self.bytes = 0
        self.ready = Ready()
        self.leased = Table()
        self.delayed = Table()
        self.dead = Table()
        self.done = Table()
        self.index = Index(self)
        self._messages = messages
        self.dedup: Dedup | None = None
        self.deadline = 0.0
        self.slot: Slot | None = None

    def __len__(self) -> int:
        return (
            self.ready.count
            + len(self.leased)
            + len(self.delayed)
            + len(self.dead)
            + len(self.done)
        )

    def has(self, message_id: int) -> bool:
        """Whether a message is there, and in this queue."""
        message = self._messages.get(message_id)
        return message is not None and message.queue is self

    def count(self, state: int) -> int:
        """How many messages are in that state."""
        return self.ready.count if state == READY else len(self.held(state))

    def held(self, state: int) -> Table:
        """The messages in a state other than ready, by id."""
        if state == LEASED:
            return self.leased
        if state == DELAYED:
            return self.delayed
        if state == DEAD:
            return self.dead
        assert state == DONE
        return self.done

    def is_plain(self) -> bool:
        """Whether nothing of it would be missed if it were forgotten."""
        return not (len(self) or self.dedup or self.paused or self.settings is not DEFAULTS)

    def oldest(self) -> Message | None:
        """The ready message that was put first; of those that would come next, to be exact."""
        first = self.ready.first()
        if len(first) == 1:  # most often, and a LIST asks each queue
            return first[0]
        return min(first, key=lambda message: message.id, default=None)

    def ids_after(self, message_id: int) -> Iterator[int]:
        """Ids of messages above that one in order, with some of messages that have gone."""
        return self.index.after(message_id)

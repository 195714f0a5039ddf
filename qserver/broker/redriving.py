"""REDRIVE: dead messages are made ready again, in order of id; many of them a slice at a time.

What was dead when it began and is asked for is ready when it is answered, unless someone else had
it meanwhile; what dies meanwhile may be among it, as far as its id is not passed yet, and never has
an id above all that there were when it began. So it comes to an end, whatever fails beside it.
"""

from fnmatch import fnmatchcase
from sys import maxsize
from typing import Final

from qserver.broker.broker import Broker
from qserver.broker.message import Message
from qserver.broker.ongoing import Ongoing
from qserver.broker.queue import Queue
from qserver.broker.session import Client
from qserver.errors import RequestError

SLICE: Final = 1000
"""Messages that are made ready at once, in about 2 ms, and named by one record."""

LOOKS_MAX: Final = 4000
"""Dead messages that are looked at for that, in about as long: most may have other reasons."""


class Redrive(Ongoing):
    """A REDRIVE.

    Attributes:
        reason: what the reasons must match; None takes all.
        to: the queue to move them to; None leaves them where they are.
        is_dry: they are only counted.
        left: how many may still be taken.
        after: up to which id it has got.
        last_id: up to which it goes.
    """

    __slots__ = (
        "after",
        "is_dry",
        "last_id",
        "left",
        "looks_max",
        "queue",
        "reason",
        "slice_max",
        "to",
    )

    def __init__(
        self,
        broker: Broker,
        client: Client,
        queue: Queue,
        *,
        count: int | None,
        reason: str | None,
        to: str | None,
        dry: bool,
        slice_max: int = SLICE,
        looks_max: int = LOOKS_MAX,
    ) -> None:
        super().__init__(client)
        self.queue = queue
        self.reason = reason
        self.to = to
        self.is_dry = dry
        self.left = maxsize if count is None else count
        self.after = 0
        self.last_id = broker.last_id
        self.slice_max = slice_max
        self.looks_max = looks_max

    def step(self, broker: Broker) -> bool:
        """Make some more ready.

        Raises:
            RequestError: `full`, the queue to move them to can't be created, and none was moved.
        """
        if broker.queues.get(self.queue.name) is not self.queue:  # someone dropped it
            return True
        if self.is_dry and self.reason is None:
            self.count = min(self.left, len(self.queue.dead))
            return True
        chosen, is_last = self._choose()
        if chosen and not self.is_dry:
            try:
                target = self.queue if self.to is None else broker.open_queue(self.to)
            except RequestError:
                if not self.count:
                    raise
                return True  # some were moved: an error would say that nothing was done
            _revive_all(broker, chosen, target)
        self.count += len(chosen)
        self.left -= len(chosen)
        return is_last

    def _choose(self) -> tuple[list[Message], bool]:
        """The next dead messages that are asked for; and whether there are no more."""
        chosen: list[Message] = []
        dead, reason = self.queue.dead, self.reason
        looks = self.looks_max
        for message_id in dead.after(self.after):
            if message_id > self.last_id or len(chosen) == self.left:
                return chosen, True
            if not looks or len(chosen) == self.slice_max:
                return chosen, False
            looks -= 1
            self.after = message_id
            message = dead[message_id]
            if reason is None or fnmatchcase(_reason(message), reason):
                chosen.append(message)
        return chosen, True


def _reason(message: Message) -> str:
    return (message.details and message.details.reason) or ""


def _revive_all(broker: Broker, messages: list[Message], target: Queue) -> None:
    first = 0
    for message in messages:
        if target.settings.requeue == "back":
            place = broker.send_behind(message)
            first = first or place
        _revive(broker, message, target)
    broker.recorder.redrive([message.id for message in messages], target.encoded, first)


def _revive(broker: Broker, message: Message, target: Queue) -> None:
    """Let a dead message be ready in the target queue, with a clean slate."""
    queue = message.queue
    broker.let_go(message)
    message.failures = message.losses = 0
    if message.details is not None:
        message.details.reason = None
        message.details.expires_at = 0.0
    if target is not queue:
        size = len(message.body)
        queue.bytes -= size
        target.bytes += size
        message.queue = target
        target.index.insert(message.id)
    broker.make_ready(message)

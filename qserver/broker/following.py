"""What follows the wall clock, when that is set: a slice at a time, while all others are served.

Delays and `at` follow the clock that people read: their timers are set anew. Leases don't care, but
the journal has their ends by that clock, so they are told again by the new one: else they would end
early, or hours late, if the server was started again.

Where the clock went ahead, a delay that is over by it ends when its turn has come. Where it went
back, a timer that was not set anew yet finds out when it fires. If it is set again meanwhile, all
begins anew.
"""

from typing import TYPE_CHECKING, Final

from qserver.broker.message import DELAYED, LEASED, Message

if TYPE_CHECKING:
    from qserver.broker.broker import Broker
    from qserver.broker.wheel import Slot

SLICE: Final = 1000
"""Messages that follow at once, in about 2 ms."""

LOOKS_MAX: Final = 8192
"""Messages that are looked at for that, but for the last page: about 1 ms."""


class Follower:
    """Goes through all messages, page by page; the timer wheel holds it while it does.

    What becomes delayed or leased meanwhile is so by the new clock already.
    """

    __slots__ = ("_ids", "_pages", "deadline", "slot")

    def __init__(self) -> None:
        self.deadline = 0.0
        self.slot: Slot | None = None
        self._pages: list[int] = []
        self._ids: list[int] = []

    def begin(self, broker: "Broker") -> None:
        """The wall clock was set: let the first slice follow."""
        self._pages = list(broker.messages.pages)
        self._ids = []
        broker.wheel.cancel(self)
        self.go_on(broker)

    def go_on(self, broker: "Broker") -> None:
        """Let some more follow."""
        self._find(broker)
        ids, self._ids = self._ids[:SLICE], self._ids[SLICE:]
        by_deadline: dict[float, list[int]] = {}
        for message_id in ids:
            message = broker.messages.get(message_id)
            if message is None:
                continue
            if message.state == DELAYED:
                await_due(broker, message)
            elif message.state == LEASED:
                by_deadline.setdefault(message.deadline, []).append(message_id)
        for deadline, leased in by_deadline.items():
            broker.recorder.touch(leased, broker.wall(deadline))
        if self._ids or self._pages:
            broker.wheel.schedule(self, 0.0)

    def _find(self, broker: "Broker") -> None:
        """Look through pages until there is enough for a slice."""
        looks = LOOKS_MAX
        while self._pages and looks > 0 and len(self._ids) < SLICE:
            page = broker.messages.pages.get(self._pages.pop())
            if page is not None:
                looks -= len(page)
                self._ids += [each.id for each in page.values() if each.state in (DELAYED, LEASED)]
            looks -= 1


def await_due(broker: "Broker", message: Message) -> None:
    """Set the timer of a delayed message by the wall clock as it is now."""
    detail = message.detail()
    due = detail.due_at - broker.offset
    broker.wheel.schedule(message, min(due, detail.expires_at) if detail.expires_at else due)

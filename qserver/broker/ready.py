"""The ready messages of one queue, in the order of delivery.

A lane for each priority in use, the highest first. In a lane, messages that were never delivered
come in the order of their ids and only ever join at the end: a deque. Those that came back belong
somewhere before it, at their own places: a heap. The next message is the lesser of the two heads,
so both a PUT and a GET cost O(1), and only a message that comes back costs O(log n) of those that
also came back.

A message that is removed otherwise than by delivery (purged, expired) stays behind as a *leftover*,
its state GONE. Those that are first in their lane go when the next one is left there; and when
there are many, or more than all others, the lane is swept, a stretch at a time. Whatever is in a
lane is READY or GONE.
"""

from collections import deque
from heapq import heapify, heappop, heappush
from typing import Final

from qserver.broker.message import GONE, PLACE_BITS, Message

LEFTOVERS_MIN: Final = 64
"""Below this many leftovers a sweep is not worth its cost."""

LEFTOVERS_MAX: Final = 10_000
"""Above, it is, however many others there are: a GET may meet them all, one after the other."""

STRETCH: Final = 8000
"""So many entries are swept at once, in about 1 ms, and one more to come to them in a long lane."""

PACE: Final = 4
"""So many are swept for each message that is left behind."""


class Lane:
    """The ready messages of one priority.

    Attributes:
        swept: how far a sweep has got in `fresh`.
        rest: how many more are to be left behind before it goes on.
    """

    __slots__ = ("fresh", "leftovers", "priority", "rest", "returned", "swept")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.leftovers = 0
        self.swept = 0
        self.rest = 0
        self.fresh: deque[Message] = deque()
        self.returned: list[tuple[int, int, Message]] = []

    def pop(self) -> Message | None:
        """The entry that is first, which may be a leftover; None when there is none."""
        if not self.returned:
            return self.fresh.popleft() if self.fresh else None
        if self.fresh and self.fresh[0].id << PLACE_BITS <= self.returned[0][0]:
            return self.fresh.popleft()
        return heappop(self.returned)[2]

    def take_fresh(self, count: int, size: int) -> tuple[list[Message], int]:
        """The first that were never delivered, as `Ready.take`; and what is left of the size."""
        fresh = self.fresh
        if size <= 0:
            return [], size
        taken = [fresh.popleft() for _ in range(min(count, len(fresh)))]
        for at, message in enumerate(taken, 1):
            size -= len(message.body)
            if size <= 0:
                fresh.extendleft(reversed(taken[at:]))
                return taken[:at], size
        return taken, size

    def first(self) -> Message | None:
        """As `pop`, but it stays."""
        if not self.returned:
            return self.fresh[0] if self.fresh else None
        if self.fresh and self.fresh[0].id << PLACE_BITS <= self.returned[0][0]:
            return self.fresh[0]
        return self.returned[0][2]

    def note_gone(self) -> None:
        """Note a leftover; let go of those that are first, and of some others if there are many."""
        self.leftovers += 1
        for _ in range(PACE):
            message = self.first()
            if message is None or message.state != GONE:
                break
            self.pop()
            self.leftovers -= 1
        self.rest -= 1
        others = len(self.fresh) + len(self.returned) - self.leftovers
        if self.rest <= 0 and LEFTOVERS_MIN < self.leftovers > min(others, LEFTOVERS_MAX):
            self._sweep()
            self.rest = STRETCH // PACE if self.swept else 0

    def _sweep(self) -> None:
        """Let go of the leftovers in the next stretch; at the end, of those that came back too."""
        fresh = self.fresh
        looks = min(STRETCH, len(fresh) - self.swept)
        fresh.rotate(-self.swept)
        entries = [fresh.popleft() for _ in range(looks)]
        kept = [message for message in entries if message.state != GONE]
        fresh.extendleft(reversed(kept))
        fresh.rotate(self.swept)
        self.leftovers -= len(entries) - len(kept)
        self.swept += len(kept)
        if self.swept >= len(fresh):
            self.swept = 0
            before = len(self.returned)
            self.returned = [entry for entry in self.returned if entry[2].state != GONE]
            heapify(self.returned)
            self.leftovers -= before - len(self.returned)


class Ready:
    """The ready messages of one queue."""

    __slots__ = ("_by_priority", "_lanes", "_returns", "count")

    def __init__(self) -> None:
        self.count = 0
        self._returns = 0
        self._lanes: list[Lane] = []
        self._by_priority: dict[int, Lane] = {}

    def put(self, message: Message) -> None:
        """Add a message that is newer than every other one of its queue."""
        lane = self._by_priority.get(message.priority)
        if lane is None:
            lane = self._open_lane(message.priority)
        lane.fresh.append(message)
        self.count += 1

    def put_run(self, messages: list[Message]) -> None:
        """Add messages of one priority, in their order, newer than every other one of the queue."""
        lane = self._by_priority.get(messages[0].priority)
        if lane is None:
            lane = self._open_lane(messages[0].priority)
        lane.fresh.extend(messages)
        self.count += len(messages)

    def put_back(self, message: Message) -> None:
        """Add a message at its place, wherever that is."""
        lane = self._by_priority.get(message.priority)
        if lane is None:
            lane = self._open_lane(message.priority)
        self._returns += 1
        heappush(lane.returned, (message.place(), self._returns, message))
        self.count += 1

    def take(self, count: int, size: int) -> list[Message]:
        """The first messages: up to `count`, until their bodies have `size` bytes together.

        One is given at least, however large, if there is one.
        """
        taken: list[Message] = []
        for lane in self._lanes:
            if not lane.returned and not lane.leftovers:
                fresh, size = lane.take_fresh(count, size)
                count -= len(fresh)
                taken += fresh
                continue
            while count and size > 0 and (message := lane.pop()) is not None:
                if lane.leftovers and message.state == GONE:
                    lane.leftovers -= 1
                    continue
                taken.append(message)
                count -= 1
                size -= len(message.body)
        self.count -= len(taken)
        return taken

    def take_old(self, count: int, last_id: int) -> list[Message]:
        """Up to `count` messages with ids up to `last_id`, in no order; what was newer stays."""
        taken: list[Message] = []
        for lane in self._lanes:
            newer = []
            while len(taken) < count and lane.returned:
                entry = lane.returned.pop()  # the last of a heap leaves a heap
                if entry[2].state == GONE:
                    lane.leftovers -= 1
                elif entry[2].id > last_id:
                    newer.append(entry)
                else:
                    taken.append(entry[2])
            for entry in newer:
                heappush(lane.returned, entry)
            while len(taken) < count and lane.fresh and lane.fresh[0].id <= last_id:
                message = lane.fresh.popleft()
                if message.state == GONE:
                    lane.leftovers -= 1
                else:
                    taken.append(message)
        self.count -= len(taken)
        return taken

    def first(self) -> list[Message]:
        """The first message of each priority."""
        heads = []
        for lane in self._lanes:
            while (message := lane.first()) is not None and message.state == GONE:
                lane.pop()
                lane.leftovers -= 1
            if message is not None:
                heads.append(message)
        return heads

    def note_gone(self, priority: int) -> None:
        """Note that the state of a message of that priority in here has become GONE."""
        self.count -= 1
        self._by_priority[priority].note_gone()

    def forget(self) -> None:
        """Let go of leftovers, which would keep their queue alive in a cycle."""
        self._lanes.clear()
        self._by_priority.clear()

    def _open_lane(self, priority: int) -> Lane:
        lane = self._by_priority[priority] = Lane(priority)
        self._lanes.append(lane)
        self._lanes.sort(key=lambda lane: -lane.priority)
        return lane

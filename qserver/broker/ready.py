"""The ready messages of one queue, in the order of delivery.

A lane for each priority in use, the highest first. In a lane, messages that were never delivered
come in the order of their ids and only ever join at the end: a deque. Those that came back belong
somewhere before it, at their own places: a heap. The next message is the lesser of the two heads,
so both a PUT and a GET cost O(1), and only a message that comes back costs O(log n) of those that
also came back.

A message that is removed otherwise than by delivery (purged, expired) stays behind as a *leftover*,
its state GONE: it is skipped when it comes up, and when leftovers outnumber the rest the lanes are
swept. Whatever is in a lane is READY or GONE.
"""

from collections import deque
from heapq import heapify, heappop, heappush
from typing import Final

from qserver.broker.message import GONE, PLACE_BITS, Message

LEFTOVERS_MIN: Final = 64
"""Below this many leftovers a sweep is not worth its cost."""


class Lane:
    """The ready messages of one priority."""

    __slots__ = ("fresh", "priority", "returned")

    def __init__(self, priority: int) -> None:
        self.priority = priority
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


class Ready:
    """The ready messages of one queue."""

    __slots__ = ("_by_priority", "_lanes", "_leftovers", "_returns", "count")

    def __init__(self) -> None:
        self.count = 0
        self._leftovers = 0
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
            if not lane.returned and not self._leftovers:
                fresh, size = lane.take_fresh(count, size)
                count -= len(fresh)
                taken += fresh
                continue
            while count and size > 0 and (message := lane.pop()) is not None:
                if self._leftovers and message.state == GONE:
                    self._leftovers -= 1
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
                    self._leftovers -= 1
                elif entry[2].id > last_id:
                    newer.append(entry)
                else:
                    taken.append(entry[2])
            for entry in newer:
                heappush(lane.returned, entry)
            while len(taken) < count and lane.fresh and lane.fresh[0].id <= last_id:
                message = lane.fresh.popleft()
                if message.state == GONE:
                    self._leftovers -= 1
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
                self._leftovers -= 1
            if message is not None:
                heads.append(message)
        return heads

    def note_gone(self) -> None:
        """Note that the state of a message in here has become GONE."""
        self.count -= 1
        self._leftovers += 1
        if self._leftovers > LEFTOVERS_MIN and self._leftovers > self.count:
            self._sweep()

    def forget(self) -> None:
        """Let go of leftovers, which would keep their queue alive in a cycle."""
        self._lanes.clear()
        self._by_priority.clear()

    def _sweep(self) -> None:
        for lane in self._lanes:
            lane.fresh = deque(message for message in lane.fresh if message.state != GONE)
            lane.returned = [entry for entry in lane.returned if entry[2].state != GONE]
            heapify(lane.returned)
        self._leftovers = 0

    def _open_lane(self, priority: int) -> Lane:
        lane = self._by_priority[priority] = Lane(priority)
        self._lanes.append(lane)
        self._lanes.sort(key=lambda lane: -lane.priority)
        return lane

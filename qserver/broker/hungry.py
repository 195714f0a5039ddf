"""Queues in which something became ready while GETs wait for it: who waits longest comes first."""

from heapq import heappop, heappush, heapreplace


class Hungry:
    """Names of queues, by the number of who waits longest there.

    That number may be too low, since others may have been served meanwhile: whoever comes to a
    queue finds out, and says so by `move`.
    """

    __slots__ = ("_heap", "_names")

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._names: set[str] = set()

    def __len__(self) -> int:
        return len(self._heap)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, number: int, name: str) -> None:
        """Note a queue, unless it is noted already."""
        if name not in self._names:
            self._names.add(name)
            heappush(self._heap, (number, name))

    def first(self) -> tuple[int, str]:
        """The queue of who waits longest, and that one's number."""
        return self._heap[0]

    def move(self, number: int) -> None:
        """Who waits longest for the first queue has that number."""
        heapreplace(self._heap, (number, self._heap[0][1]))

    def remove_first(self) -> None:
        """The first queue has nothing for anyone who waits."""
        self._names.remove(heappop(self._heap)[1])

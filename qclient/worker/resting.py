"""Queues that a worker leaves alone for a while, since a run of theirs said `Release(after=…)`.

What is given back is ready again at once. A worker that asked for it again at once would do nothing
else; so its GETs leave the queue out until the time is over, and wait no longer than that.
"""

from collections.abc import Callable, Sequence


class Resting:
    """The order of queues, without those that rest.

    Args:
        order: gives the queues of the next GET.
        clock: monotonic seconds.
    """

    def __init__(self, order: Callable[[], Sequence[str]], clock: Callable[[], float]) -> None:
        self._order = order
        self._clock = clock
        self._until: dict[str, float] = {}

    @property
    def left_s(self) -> float:
        """How long until the first is back; 0 when none rests."""
        if not self._until:
            return 0.0
        return max(min(self._until.values()) - self._clock(), 0.0)

    def rest(self, queue: str, seconds: float) -> None:
        """Leave it out for so long; what was said before holds, too."""
        until = self._clock() + seconds
        self._until[queue] = max(until, self._until.get(queue, until))

    def order(self) -> Sequence[str]:
        """The queues of the next GET: none when all rest."""
        queues = self._order()
        if not self._until:
            return queues
        now = self._clock()
        self._until = {queue: until for queue, until in self._until.items() if until > now}
        return [queue for queue in queues if queue not in self._until]

    def wait_s(self, wait_s: float) -> float:
        """How long a GET may wait: not beyond the time when another queue is to be asked, too."""
        return min(wait_s, self.left_s) if self._until else wait_s

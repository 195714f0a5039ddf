"""Metrics for statsd. Needs `pip install 'qserver[statsd]'`.

    App(middleware=[Statsd(StatsClient("localhost", 8125, prefix="shop")), *standard()])

    tasks.<task>.done|failed|dead|released|lost     counters: how runs ended; the error rate is
                                                    (failed + dead) / (done + failed + dead)
    tasks.<task>.retries                            counter: runs that were not the first attempt
    tasks.<task>.duration                           timing: how long runs took
    tasks.<task>.latency                            timing: how long they had waited before
    queues.<queue>.ready|leased|delayed|dead        gauges: messages (`depths.py`)
    queues.<queue>.oldest                           gauge: age in seconds of the oldest ready one

What each means exactly is in `measures.py`. What is not a letter, digit, `_` or `-` in the name of
a task or a queue becomes `_`.

Counters are added up here and sent every FLUSH_S; timings go with them, or as soon as there are
TIMINGS_MAX. A datagram for each run would cost as much as the run.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from qclient.middleware import CallNext
from qclient.middleware.measures import measured, timed
from qclient.tasks.putting import Putting
from qclient.words import Duration
from qclient.worker.delivery import Delivery

try:
    from statsd import StatsClient
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "metrics for statsd need a library: pip install 'qserver[statsd]'", name=error.name
    ) from error

from qclient.middleware.depths import reporting_depths

if TYPE_CHECKING:
    from qclient.worker.worker import Worker

FLUSH_S: Final = 0.5
TIMINGS_MAX: Final = 200
"""About a dozen datagrams: a burst that a socket's buffer holds."""

_OTHER: Final = re.compile(r"[^A-Za-z0-9_-]")


def word(name: str) -> str:
    """A name as one part of a metric's."""
    return _OTHER.sub("_", name)


class Statsd:
    """Measures runs.

    Args:
        client: sends the metrics; over UDP, since a worker must not wait for it.
        queues: whose depths a worker reports: those it takes from by default, `()` for none. Each
            worker of a queue reports the same, which does no harm.
        every: how often it does, seconds or timedelta.
    """

    def __init__(
        self, client: StatsClient, *, queues: Sequence[str] | None = None, every: Duration = 10.0
    ) -> None:
        self._client = client
        self._queues = queues
        self._every = every
        self._words: dict[str, str] = {}
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._timings = client.pipeline()
        self._timings_count = 0
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, call_next: CallNext, delivery: Delivery) -> Any:
        """Run, and measure it."""
        raised: BaseException | None = None
        try:
            return await call_next(delivery)
        except BaseException as error:
            raised = error
            raise
        finally:
            self._count(delivery, raised)

    def putting(self, putting: Putting) -> None:
        """See `measures.timed`."""
        timed(putting)

    @asynccontextmanager
    async def lifespan(self, worker: "Worker") -> AsyncIterator[None]:
        """Report the depths of queues meanwhile, and send the last metrics at the end."""
        queues = tuple(worker.weights) if self._queues is None else self._queues
        try:
            async with reporting_depths(worker.app.client, self._client, queues, self._every):
                yield
        finally:
            self.flush()

    def flush(self) -> None:
        """Send what was collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for name, count in self._counts.items():
            self._timings.incr(name, count)
        self._counts.clear()
        self._timings_count = 0
        self._timings.send()

    # ── leaves ──

    def _count(self, delivery: Delivery, raised: BaseException | None) -> None:
        measure = measured(delivery, raised)
        name = delivery.task.name
        head = self._words.get(name)
        if head is None:
            head = self._words[name] = f"tasks.{word(name)}"
        self._counts[f"{head}.{measure.ended}"] += 1
        if measure.seconds is not None:
            self._time(f"{head}.duration", measure.seconds)
            if delivery.message.failures:
                self._counts[f"{head}.retries"] += 1
        if measure.latency_s is not None:
            self._time(f"{head}.latency", measure.latency_s)
        if self._timings_count >= TIMINGS_MAX:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def _time(self, name: str, seconds: float) -> None:
        self._timings_count += 1
        self._timings.timing(name, seconds * 1000)

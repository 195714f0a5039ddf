"""Metrics for Prometheus. Needs `pip install 'qserver[prometheus]'`.

    App(middleware=[Prometheus(port=9191), *standard()])

    qclient_task_runs_total{task,ended}     runs by how they ended: done, failed (tried again),
                                            dead (given up), released, lost
    qclient_task_seconds{task}              histogram: how long runs took
    qclient_task_latency_seconds{task}      histogram: how long they had waited before they began
    qclient_tasks_running{task}             gauge: begun, those that wait for a limit included

What never becomes a run, since no task has its name or its arguments don't fit, is in the
dead letters and the log, and not here. What each means exactly is in `measures.py`.

With a `port` a worker serves them over HTTP from a thread, as long as it lives; without one the
program does, which has other metrics too. Of several processes (`--processes`) the first has that
port and each of the others the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qclient.errors import PortTaken
from qclient.middleware import CallNext
from qclient.middleware.measures import measured, timed
from qclient.tasks.putting import Putting
from qclient.worker.delivery import Delivery
from qclient.worker.membership import number

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client import start_http_server as serve
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "metrics for Prometheus need a library: pip install 'qserver[prometheus]'", name=error.name
    ) from error

if TYPE_CHECKING:
    from qclient.worker.worker import Worker

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
"""Upper bounds of the histograms' buckets: tasks take milliseconds or an hour."""


class Series(msgspec.Struct):
    """Those of one task: to look them up by label each time would cost as much as all else."""

    running: Gauge
    seconds: Histogram
    latency: Histogram
    runs: dict[str, Counter]


class Prometheus:
    """Measures runs.

    Args:
        port: where a worker serves the metrics, the second of several at the next one and so on;
            0 for any free one. By default it doesn't.
        host: on which address; `0.0.0.0` for all of the machine's.
        registry: where the metrics are registered.
        prefix: what their names begin with.
        buckets: upper bounds in seconds, for both histograms.

    Attributes:
        port: where they are served, once they are.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        host: str = "127.0.0.1",
        registry: CollectorRegistry = REGISTRY,
        prefix: str = "qclient",
        buckets: Sequence[float] = SECONDS,
    ) -> None:
        self.port = port
        self._host = host
        self._registry = registry
        self._series: dict[str, Series] = {}
        self._runs = Counter(
            f"{prefix}_task_runs", "Runs of tasks that ended.", ("task", "ended"), registry=registry
        )
        self._seconds = Histogram(
            f"{prefix}_task_seconds",
            "How long runs took.",
            ("task",),
            registry=registry,
            buckets=buckets,
        )
        self._latency = Histogram(
            f"{prefix}_task_latency_seconds",
            "How long tasks waited before they began for the first time.",
            ("task",),
            registry=registry,
            buckets=buckets,
        )
        self._running = Gauge(
            f"{prefix}_tasks_running",
            "Tasks that run.",
            ("task",),
            registry=registry,
            multiprocess_mode="livesum",
        )

    async def __call__(self, call_next: CallNext, delivery: Delivery) -> Any:
        """Run, and measure it."""
        name = delivery.task.name
        series = self._series.get(name) or self._made(name)
        series.running.inc()
        raised: BaseException | None = None
        try:
            return await call_next(delivery)
        except BaseException as error:
            raised = error
            raise
        finally:
            series.running.dec()
            self._count(series, name, delivery, raised)

    def putting(self, putting: Putting) -> None:
        """See `measures.timed`."""
        timed(putting)

    @asynccontextmanager
    async def lifespan(self, _worker: "Worker") -> AsyncIterator[None]:
        """Serve the metrics, if there is a port for them.

        Raises:
            PortTaken: someone else listens there.
        """
        if self.port is None:
            yield
            return
        port = self.port + (number() or 1) - 1 if self.port else 0
        try:
            server, thread = serve(port, self._host, self._registry)
        except OSError as error:
            where = f"{self._host}:{port}"
            raise PortTaken(f"metrics can't be served on {where}: {error}") from error
        self.port = server.server_port
        try:
            yield
        finally:
            await asyncio.to_thread(server.shutdown)
            server.server_close()
            thread.join()

    # ── leaves ──

    def _count(
        self, series: Series, name: str, delivery: Delivery, raised: BaseException | None
    ) -> None:
        measure = measured(delivery, raised)
        runs = series.runs.get(measure.ended)
        if runs is None:
            runs = series.runs[measure.ended] = self._runs.labels(name, measure.ended)
        runs.inc()
        if measure.seconds is not None:
            series.seconds.observe(measure.seconds)
        if measure.latency_s is not None:
            series.latency.observe(measure.latency_s)

    def _made(self, name: str) -> Series:
        series = self._series[name] = Series(
            self._running.labels(name), self._seconds.labels(name), self._latency.labels(name), {}
        )
        return series

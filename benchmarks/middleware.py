"""What each middleware adds to a task: CPU of one run in a worker, and of one put.

python -m benchmarks.middleware [--runs 20000] [--rounds 7]

No server: the run is a task that does nothing, behind the middleware and whatever a worker's slots
need for each; the put goes to a client that stores nothing. What stands beside each is the
difference to none, both medians.
"""

import argparse
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import uvloop
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from prometheus_client import CollectorRegistry
from statsd import StatsClient

from benchmarks.load import about
from qclient.client import Client
from qclient.message import Message, anything
from qclient.middleware import Middleware, compose, standard
from qclient.middleware.concurrency_limit import ConcurrencyLimit, Limit
from qclient.middleware.prometheus import Prometheus
from qclient.middleware.rate_limit import Rate, RateLimit
from qclient.middleware.statsd import Statsd
from qclient.middleware.tracing import Tracing
from qclient.reports import Put
from qclient.tasks import App, Task
from qclient.worker.delivery import Delivery
from qclient.worker.isolation import Isolated

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"


class NoServer:
    """Stands in for a client."""

    def __init__(self) -> None:
        self._put = Put(1)

    async def put_with(self, *_: object) -> Put:
        """Store nothing."""
        return self._put


def task_of(middleware: Sequence[Middleware]) -> tuple[App, Task[..., Any]]:
    app = App(middleware=middleware)

    @app.task
    async def nothing(customer: int) -> None:
        pass

    return app, nothing


async def run_us(middleware: Sequence[Middleware], runs: int, trace: str | None) -> float:
    _, task = task_of(middleware)
    message: Message[Any] = Message("17.204", "bench", b"{}", anything, trace=trace)
    due_ms = time.time() * 1000 if trace else 0

    async def call(given: Delivery) -> Any:
        return await given.task.function(*given.args)

    chain = compose(middleware, call)
    began = time.process_time()
    for _ in range(runs):
        delivery = Delivery(message, task, (3,), {}, due_ms, began_at=time.monotonic())
        await Isolated(chain(delivery))
    return (time.process_time() - began) / runs * 1e6


async def put_us(middleware: Sequence[Middleware], runs: int) -> float:
    app, task = task_of(middleware)
    with app.bound(cast("Client", NoServer())):
        began = time.process_time()
        for _ in range(runs):
            await task.put(3)
        return (time.process_time() - began) / runs * 1e6


def cases(sink: StatsClient) -> dict[str, tuple[Callable[[], Sequence[Middleware]], str | None]]:
    """Name, what makes the middleware, and the message's trace."""
    sampled, unsampled = PARENT + "01", PARENT + "00"
    provider = TracerProvider(shutdown_on_exit=False)
    few = TracerProvider(sampler=TraceIdRatioBased(0), shutdown_on_exit=False)
    return {
        "none": (tuple, None),
        "logging, retry, timeout": (standard, None),
        "Prometheus": (lambda: [Prometheus(registry=CollectorRegistry())], sampled),
        "Statsd": (lambda: [Statsd(sink)], sampled),
        "Tracing, no SDK": (lambda: [Tracing()], sampled),
        "Tracing, not sampled": (lambda: [Tracing(few)], unsampled),
        "Tracing, sampled": (lambda: [Tracing(provider)], sampled),
        "RateLimit, of another task": (lambda: [RateLimit({"other": 1})], None),
        "RateLimit, a token there": (
            lambda: [RateLimit({"nothing": Rate(1e9, burst=1000)})],
            None,
        ),
        "ConcurrencyLimit, of another task": (lambda: [ConcurrencyLimit({"other": 1})], None),
        "ConcurrencyLimit, room": (lambda: [ConcurrencyLimit({"nothing": 10})], None),
        "ConcurrencyLimit, room for a key": (
            lambda: [ConcurrencyLimit({"nothing": Limit(10, key="customer")})],
            None,
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print(about())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        sink = StatsClient("127.0.0.1", listener.getsockname()[1])
        measured = cases(sink)
        ran: dict[str, list[float]] = {name: [] for name in measured}
        put: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(args.rounds):
            for name, (make, trace) in measured.items():
                ran[name].append(uvloop.run(run_us(make(), args.runs, trace)))
                put[name].append(uvloop.run(put_us(make(), args.runs // 4)))
        sink.close()
    none = statistics.median(ran["none"]), statistics.median(put["none"])
    print(f"none: {none[0]:.2f} µs a run, {none[1]:.2f} µs a put")
    for name in list(measured)[1:]:
        run_us_more = statistics.median(ran[name]) - none[0]
        put_us_more = statistics.median(put[name]) - none[1]
        print(f"{name:<34} {run_us_more:+6.1f} µs a run   {put_us_more:+6.1f} µs a put")


if __name__ == "__main__":
    main()

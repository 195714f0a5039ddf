"""What wraps each run of a task: one callable, `(call_next, delivery)`.

    async def stopwatch(call_next, delivery):
        began = time.monotonic()
        try:
            return await call_next(delivery)
        finally:
            print(delivery.task.name, time.monotonic() - began)

    app = App(middleware=[stopwatch, *standard()])

The first is the outermost. They are composed once, when a worker starts, so the order is the one of
that list and nothing else. What leaves the outermost decides what becomes of the message: a result
acks it, `Retry` and `Reject` say so, any other exception is a failure.

One that is an object may have a life and a producer's half, too:

    lifespan(worker)    gives an async context that a worker enters before it fetches anything,
                        behind the app's own, and leaves when its last task has ended
    putting(putting)    is told of each put of the app's tasks, and may give a context around it
                        (`tasks/putting.py`)

    logging.py            what fails is logged; the ids of the delivery are bound for every line
    retry.py              failures become `Retry` after the backoff, or `Reject` after the last
    timeout.py            a run that takes too long is cancelled
    prometheus.py         counts, durations, latencies for Prometheus
    statsd.py             the same for statsd, and how deep the queues are
    tracing.py            OpenTelemetry's spans, joined from the put to the run
    rate_limit.py         no more runs of a task than so many in a time
    concurrency_limit.py  no more runs of a task, or of one of its keys, at once than so many

The first three are what an App has unless it says otherwise. With all of them this order is right:

    App(middleware=[Prometheus(), RateLimit(…), ConcurrencyLimit(…), Tracing(), *standard()])

Metrics outermost see what really becomes of each run; limits outside of `timeout` don't count the
waiting as running; what is traced is the run and not the waiting.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the worker imports this package
    from qclient.worker.delivery import Delivery

CallNext = Callable[["Delivery"], Coroutine[Any, Any, Any]]
"""The rest of the run."""

Middleware = Callable[[CallNext, "Delivery"], Coroutine[Any, Any, Any]]
"""Wraps it: an `async def` function, say."""


def compose(middleware: Sequence[Middleware], run: CallNext) -> CallNext:
    """One callable of all of them, with `run` innermost."""
    for each in reversed(middleware):
        run = _wrapped(each, run)
    return run


def _wrapped(outer: Middleware, inner: CallNext) -> CallNext:
    def call(delivery: "Delivery") -> Coroutine[Any, Any, Any]:
        return outer(inner, delivery)

    return call


def standard() -> tuple[Middleware, ...]:
    """What an App has unless it says otherwise: logging, retry, timeout."""
    from qclient.middleware.logging import logging  # noqa: PLC0415  only a worker needs them
    from qclient.middleware.retry import retry  # noqa: PLC0415
    from qclient.middleware.timeout import timeout  # noqa: PLC0415

    return (logging, retry, timeout)

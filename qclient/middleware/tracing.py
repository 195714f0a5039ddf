"""Spans of OpenTelemetry, from the put to the run. Needs `pip install 'qserver[tracing]'`.

    App(middleware=[Tracing(), *standard()])

    put <task>     producer, around the put; its id goes with the message, as its `trace`
    run <task>     consumer, around each attempt: a child of the put, in the same trace

The `trace` is a W3C `traceparent`, so a message that any other program puts with one is joined,
too, and one that is put with `trace=` keeps that. Of a `put_many` all messages have the one span's.
A message without any begins a new trace. W3C's `tracestate` and baggage don't travel.

With `links=True` a run begins a trace of its own, with a link to the put: for messages that wait
for days, or are put by the thousand.

A run that failed has the status ERROR and its exception as an event; `qclient.ended` says how each
ended: done, failed, dead, released, lost. The other attributes are those of OpenTelemetry's
conventions for messaging.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from qclient.middleware import CallNext
from qclient.tasks.putting import Putting
from qclient.worker.delivery import Delivery
from qclient.worker.outcome import ending

try:
    from opentelemetry import trace
    from opentelemetry.context import Context, attach, detach
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode, TracerProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tracing needs a library: pip install 'qserver[tracing]'", name=error.name
    ) from error

_W3C: Final = TraceContextTextMapPropagator()


class Tracing:
    """Makes spans.

    Args:
        provider: where they go; by default to the program's own.
        links: see the top of the file.
    """

    def __init__(self, provider: TracerProvider | None = None, *, links: bool = False) -> None:
        self._tracer = trace.get_tracer("qclient", tracer_provider=provider)
        self._links = links

    @contextmanager
    def putting(self, putting: Putting) -> Iterator[None]:
        """The producer's span."""
        task = putting.task
        with self._tracer.start_as_current_span(
            f"put {task.name}",
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "qserver",
                "messaging.operation.name": "put",
                "messaging.operation.type": "send",
                "messaging.destination.name": task.queue,
                "qclient.task": task.name,
            },
        ) as span:
            if putting.trace is None:
                carrier: dict[str, str] = {}
                _W3C.inject(carrier)
                putting.trace = carrier.get("traceparent")
            yield
            if len(putting.ids) == 1:
                span.set_attribute("messaging.message.id", str(putting.ids[0]))
            else:
                span.set_attribute("messaging.batch.message_count", len(putting.ids))

    async def __call__(self, call_next: CallNext, delivery: Delivery) -> Any:
        """Run, within the consumer's span."""
        message, name = delivery.message, delivery.task.name
        context, links = self._origin(message.trace)
        span = self._tracer.start_span(
            f"run {name}",
            context=context,
            kind=SpanKind.CONSUMER,
            links=links,
            attributes={
                "messaging.system": "qserver",
                "messaging.operation.name": "run",
                "messaging.operation.type": "process",
                "messaging.destination.name": message.queue,
                "messaging.message.id": str(delivery.id),
                "qclient.task": name,
                "qclient.attempt": delivery.attempt,
            },
        )
        token = attach(trace.set_span_in_context(span))  # by hand: half of `use_span`'s cost
        raised: BaseException | None = None
        try:
            return await call_next(delivery)
        except BaseException as error:
            raised = error
            raise
        finally:
            detach(token)
            _tell(span, delivery, raised)
            span.end()

    def _origin(self, parent: str | None) -> tuple[Context, list[Link]]:
        """Where a run comes from: the context of its span, or links to it.

        Never what is current where the worker runs, which would put all its runs into one trace.
        """
        if parent is None:
            return Context(), []
        context = _W3C.extract({"traceparent": parent}, Context())
        if not self._links:
            return context, []
        origin = trace.get_current_span(context).get_span_context()
        return Context(), [Link(origin)] if origin.is_valid else []


def _tell(span: Span, delivery: Delivery, raised: BaseException | None) -> None:
    """How it ended."""
    ended = ending(delivery, raised)
    span.set_attribute("qclient.ended", ended)
    if ended in ("failed", "dead") and raised is not None:
        why = raised.__cause__ or raised
        span.record_exception(why)
        span.set_status(StatusCode.ERROR, f"{type(why).__name__}: {why}")

"""Spans of OpenTelemetry, made by its own SDK and kept in memory."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from qclient import Full
from qclient.middleware import compose, standard
from qclient.middleware.tracing import Tracing
from qclient.tasks import App, Reject, Release, Why
from tests.unit.qclient.client_fakes import FakeServer, connected, virtual
from tests.unit.qclient.middleware.chains import Play, never, nothing, raising, run
from tests.unit.qclient.worker.fakes import delivery, task_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Spans:
    """A program's own tracing."""

    def __init__(self) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def ended(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def only(self) -> ReadableSpan:
        (span,) = self.ended()
        return span


@pytest.fixture
def spans() -> Spans:
    return Spans()


def ids(span: ReadableSpan | None) -> tuple[str, str]:
    """Of its trace and its own."""
    assert span is not None
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def parent(span: ReadableSpan) -> tuple[str, str] | None:
    if span.parent is None:
        return None
    return f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}"


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def putting(tracing: Tracing, put: Callable[[Any, FakeServer], Any]) -> list[str]:
    """The PUTs that the server saw."""

    async def main() -> list[str]:
        task = task_of("send", App(middleware=[tracing]), queue="mail")
        async with connected(dedup=False) as (server, client):
            with task._app.bound(client):
                await put(task, server)
            return server.sent("PUT")

    return virtual(main())


def trace_of(line: str) -> str:
    return next(word for word in line.split(" ") if word.startswith("trace="))[6:]


def test_a_run_is_a_child_of_its_put(spans: Spans) -> None:
    tracing = Tracing(spans.provider)
    (line,) = putting(tracing, lambda task, _: task.put())
    virtual(run([tracing, *standard()], delivery(trace=trace_of(line))))
    put, ran = spans.ended()
    assert (put.name, put.kind) == ("put send", SpanKind.PRODUCER)
    assert (ran.name, ran.kind) == ("run nothing", SpanKind.CONSUMER)
    assert parent(ran) == ids(put)
    assert parent(put) is None


def test_spans_say_what_they_are_about(spans: Spans) -> None:
    tracing = Tracing(spans.provider)
    putting(tracing, lambda task, _: task.put())
    virtual(run([tracing], delivery(7, failures=2)))
    put, ran = spans.ended()
    assert attributes(put) == {
        "messaging.system": "qserver",
        "messaging.operation.name": "put",
        "messaging.operation.type": "send",
        "messaging.destination.name": "mail",
        "messaging.message.id": "1",
        "qclient.task": "send",
    }
    assert attributes(ran) == {
        "messaging.system": "qserver",
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "messaging.destination.name": "q",
        "messaging.message.id": "7",
        "qclient.task": "nothing",
        "qclient.attempt": 3,
        "qclient.ended": "done",
    }


def test_a_put_within_a_span_is_its_child(spans: Spans) -> None:
    tracing = Tracing(spans.provider)

    async def within(task: Any, _server: FakeServer) -> None:
        with spans.provider.get_tracer("t").start_as_current_span("request"):
            await task.put()

    putting(tracing, within)
    put, request = spans.ended()
    assert parent(put) == ids(request)


def test_a_batch_has_one_span_and_all_its_messages_the_same_trace(spans: Spans) -> None:
    lines = putting(
        Tracing(spans.provider), lambda task, _: task.put_many(task.call() for _ in range(3))
    )
    span = spans.only()
    assert {tuple(trace_of(line).split("-")[1:3]) for line in lines} == {ids(span)}
    assert attributes(span)["messaging.batch.message_count"] == 3


def test_the_putters_own_trace_is_left_alone(spans: Spans) -> None:
    lines = putting(Tracing(spans.provider), lambda task, _: task.with_options(trace=PARENT).put())
    assert lines == [f'PUT mail trace={PARENT} {{"task":"send"}}']


def test_a_put_that_fails_is_an_error(spans: Spans) -> None:
    async def refused(task: Any, server: FakeServer) -> None:
        server.say("PUT", b"ERR full no room\n")
        with pytest.raises(Full):
            await task.put()

    putting(Tracing(spans.provider), refused)
    assert spans.only().status.status_code == StatusCode.ERROR


def test_without_an_sdk_nothing_travels() -> None:
    (line,) = putting(Tracing(), lambda task, _: task.put())
    assert "trace=" not in line


def test_a_message_of_any_other_program_is_joined(spans: Spans) -> None:
    virtual(run([Tracing(spans.provider)], delivery(trace=PARENT)))
    assert parent(spans.only()) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


@pytest.mark.parametrize("given", [None, "", "order 17", "00-0-0-0"])
def test_a_message_without_a_traceparent_begins_a_trace(spans: Spans, given: str | None) -> None:
    with spans.provider.get_tracer("t").start_as_current_span("where the worker was started"):
        virtual(run([Tracing(spans.provider)], delivery(trace=given)))
    ran, _ = spans.ended()
    assert parent(ran) is None


def test_runs_can_be_linked_instead(spans: Spans) -> None:
    tracing = Tracing(spans.provider, links=True)
    virtual(run([tracing], delivery(trace=PARENT)))
    virtual(run([tracing], delivery(trace="order 17")))
    linked, alone = spans.ended()
    (link,) = linked.links
    assert f"{link.context.span_id:016x}" == "b7ad6b7169203331"
    assert parent(linked) is None
    assert ids(linked)[0] != "0af7651916cd43dd8448eb211c80319c"
    assert list(alone.links) == []


def test_what_a_task_does_is_within_its_span(spans: Spans) -> None:
    async def inside() -> None:
        with spans.provider.get_tracer("t").start_as_current_span("query"):
            pass

    async def both() -> None:
        for _ in range(2):
            await run([Tracing(spans.provider)], delivery(), inside)
        assert not trace.get_current_span().get_span_context().is_valid

    virtual(both())
    first_query, first, second_query, second = spans.ended()
    assert parent(first_query) == ids(first)
    assert parent(second_query) == ids(second)


def test_what_follows_a_run_is_not_within_its_span(spans: Spans) -> None:
    async def main() -> None:
        await compose([Tracing(spans.provider)], lambda _: nothing())(delivery())
        assert not trace.get_current_span().get_span_context().is_valid

    virtual(main())


@pytest.mark.parametrize(
    ("play", "why", "ended", "status"),
    [
        (nothing, None, "done", None),
        (raising(ValueError("bad")), None, "failed", "ValueError: bad"),
        (raising(Reject("never")), None, "dead", "Reject: never"),
        (raising(Release()), None, "released", None),
        (never, Why.STOP, "released", None),
        (never, Why.LOST, "lost", None),
    ],
)
def test_a_failed_run_is_an_error_and_what_is_nobodys_fault_is_not(
    spans: Spans, play: Play, why: Why | None, ended: str, status: str | None
) -> None:
    with capture_logs():
        virtual(run([Tracing(spans.provider), *standard()], delivery(), play, why))
    span = spans.only()
    assert attributes(span)["qclient.ended"] == ended
    assert span.status.description == status
    assert (span.status.status_code == StatusCode.ERROR) == (status is not None)
    assert [event.name for event in span.events] == (["exception"] if status else [])

"""Metrics for Prometheus, through its own library."""

import asyncio
import socket
import urllib.request
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qclient.errors import PortTaken
from qclient.middleware import compose, standard
from qclient.middleware.prometheus import Prometheus
from qclient.tasks import Reject, Release, Why
from qclient.tasks.putting import Putting
from qclient.worker.membership import NUMBER
from tests.unit.qclient.client_fakes import virtual
from tests.unit.qclient.middleware.chains import TIME, Play, never, nothing, raising, run
from tests.unit.qclient.worker.fakes import delivery, task_of


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"qclient_{name}", {"task": "nothing", **labels})


@pytest.mark.parametrize(
    ("play", "why", "ended"),
    [
        (nothing, None, "done"),
        (raising(ValueError()), None, "failed"),
        (never, Why.TIMEOUT, "failed"),
        (raising(Reject()), None, "dead"),
        (raising(Release()), None, "released"),
        (never, Why.STOP, "released"),
        (never, Why.LOST, "lost"),
    ],
)
def test_runs_are_counted_by_task_and_ending(
    registry: CollectorRegistry, play: Play, why: Why | None, ended: str
) -> None:
    metrics = Prometheus(registry=registry)
    with capture_logs():
        for _ in range(2):
            virtual(run([metrics, *standard()], delivery(), play, why))
    found = {
        sample.labels["ended"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "qclient_task_runs_total"
    }
    assert found == {ended: 2}
    is_timed = ended in ("done", "failed", "dead")
    assert value(registry, "task_seconds_count") == (2 if is_timed else 0)
    assert value(registry, "tasks_running") == 0


def test_what_runs_is_seen_while_it_runs(registry: CollectorRegistry) -> None:
    async def look() -> float | None:
        return value(registry, "tasks_running")

    async def main() -> Any:
        return await compose([Prometheus(registry=registry)], lambda _: look())(delivery())

    assert virtual(main()) == 1


def test_durations_and_latencies_are_distributions(
    registry: CollectorRegistry, time_stands: None
) -> None:
    given = delivery(1, task_of())
    given.began_at = TIME.monotonic() - 2
    given.due_ms = (TIME.time() - 2 - 40) * 1000
    virtual(compose([Prometheus(registry=registry)], lambda _: nothing())(given))
    assert value(registry, "task_seconds_sum") == pytest.approx(2)
    assert value(registry, "task_seconds_bucket", le="1.0") == 0
    assert value(registry, "task_seconds_bucket", le="2.5") == 1
    assert value(registry, "task_latency_seconds_sum") == pytest.approx(40)
    assert value(registry, "task_latency_seconds_bucket", le="30.0") == 0
    assert value(registry, "task_latency_seconds_bucket", le="60.0") == 1


def test_producers_say_when_a_message_could_begin(registry: CollectorRegistry) -> None:
    putting = Putting(task_of())
    Prometheus(registry=registry).putting(putting)
    assert putting.is_timed


def read(port: int | None) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        return str(reply.read().decode())


def test_a_worker_serves_them_on_a_port_while_it_lives(registry: CollectorRegistry) -> None:
    metrics = Prometheus(port=0, registry=registry)

    async def main() -> None:
        async with metrics.lifespan(None):  # type: ignore[arg-type]
            await compose([metrics], lambda _: nothing())(delivery())
            text = await asyncio.to_thread(read, metrics.port)
            assert 'qclient_task_runs_total{ended="done",task="nothing"} 1.0' in text
        with pytest.raises(OSError, match="refused"):
            await asyncio.to_thread(read, metrics.port)

    asyncio.run(main())


def test_a_port_that_is_taken_is_said_at_the_start(registry: CollectorRegistry) -> None:
    async def main(port: int) -> None:
        metrics = Prometheus(port=port, registry=registry)
        with pytest.raises(PortTaken, match=f"metrics can't be served on 127.0.0.1:{port}: "):
            async with metrics.lifespan(None):  # type: ignore[arg-type]
                pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(main(taken.getsockname()[1]))


def test_each_of_several_workers_has_the_next_port(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NUMBER, "3")

    async def main(port: int) -> None:
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}: "):
            async with Prometheus(port=port - 2, registry=registry).lifespan(None):  # type: ignore[arg-type]
                pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(main(taken.getsockname()[1]))


def test_without_a_port_nothing_is_served(registry: CollectorRegistry) -> None:
    metrics = Prometheus(registry=registry)

    async def main() -> None:
        async with metrics.lifespan(None):  # type: ignore[arg-type]
            assert metrics.port is None

    asyncio.run(main())

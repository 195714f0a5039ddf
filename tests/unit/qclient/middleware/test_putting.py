"""The producer's half of middleware: what wraps a put, and what it adds to the messages."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qclient import Full
from qclient.middleware import CallNext
from qclient.tasks import App, Reject, Task
from qclient.tasks.envelope import arrived
from qclient.tasks.putting import Putting
from qclient.worker.delivery import Delivery
from tests.unit.qclient.client_fakes import FakeServer, connected, virtual

NOW_S = 1795308357.25


class Noting:
    """Says what it sees, and does to a put what a test wants."""

    def __init__(self, said: list[str], name: str = "", **changes: Any) -> None:
        self.said = said
        self.name = name
        self.changes = changes

    async def __call__(self, call_next: CallNext, delivery: Delivery) -> Any:
        return await call_next(delivery)

    @contextmanager
    def putting(self, putting: Putting) -> Iterator[None]:
        self.said.append(f"{self.name}in {putting.task.name} {putting.trace}")
        for name, value in self.changes.items():
            setattr(putting, name, value)
        try:
            yield
        except Full:
            self.said.append(f"{self.name}full")
            raise
        self.said.append(f"{self.name}out {list(putting.ids)}")


def task_of(app: App) -> Task[..., None]:
    @app.task(queue="mail")
    async def send(n: int) -> None: ...

    return send


def play(app: App, main: Any) -> list[str]:
    """What was put while `main(task)` ran."""

    async def run() -> list[str]:
        task = task_of(app)
        async with connected(dedup=False) as (server, client):
            with app.bound(client):
                await main(task, server)
            return server.sent("PUT")

    return virtual(run())


async def put_all(task: Task[..., None], _server: FakeServer) -> None:
    await task.put(1)
    await task.put_in(timedelta(seconds=90), 2)
    await task.put_in(1.5, 3)
    await task.put_at(datetime(2027, 1, 31, tzinfo=UTC), 4)
    await task.put_at(datetime(2017, 1, 31, tzinfo=UTC), 5)
    await task.put_many(task.call(n) for n in (6, 7))


def test_every_kind_of_put_is_wrapped_and_its_ids_are_seen_at_the_end() -> None:
    said: list[str] = []
    play(App(middleware=[Noting(said)]), put_all)
    assert said[1::2] == ["out [1]", "out [2]", "out [3]", "out [4]", "out [5]", "out [6, 7]"]
    assert set(said[::2]) == {"in send None"}


def test_the_first_middleware_is_outermost_and_one_without_a_producers_half_is_no_matter() -> None:
    said: list[str] = []

    async def plain(call_next: CallNext, delivery: Delivery) -> Any:
        return await call_next(delivery)

    async def main(task: Task[..., None], _server: FakeServer) -> None:
        await task.put(1)

    play(App(middleware=[Noting(said, "a "), plain, Noting(said, "b ")]), main)
    assert said == ["a in send None", "b in send None", "b out [1]", "a out [1]"]


def test_what_is_wanted_to_be_timed_says_when_it_could_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qclient.tasks.putting.time.time", lambda: NOW_S)
    lines = play(App(middleware=[Noting([], is_timed=True)]), put_all)
    now_ms = 1795308357250
    at_ms = int(datetime(2027, 1, 31, tzinfo=UTC).timestamp() * 1000)
    due = [json.loads(line[line.index("{") :])["due_ms"] for line in lines]
    assert due == [now_ms, now_ms + 90_000, now_ms + 1500, at_ms, now_ms, now_ms, now_ms]


def test_nothing_is_added_where_nothing_is_wanted() -> None:
    lines = play(App(middleware=[Noting([])]), put_all)
    assert lines[0] == 'PUT mail {"task":"send","args":[1]}'
    assert lines[-1] == 'PUT mail {"task":"send","args":[7]}'


def test_a_trace_that_is_given_goes_with_the_messages() -> None:
    lines = play(App(middleware=[Noting([], trace="00-ab 1")]), put_all)
    assert lines[0] == 'PUT mail trace="00-ab 1" {"task":"send","args":[1]}'
    assert lines[1] == 'PUT mail delay=90 trace="00-ab 1" {"task":"send","args":[2]}'
    assert lines[-1] == 'PUT mail trace="00-ab 1" {"task":"send","args":[7]}'


def test_the_putters_own_trace_is_seen_and_sent_once() -> None:
    said: list[str] = []

    async def main(task: Task[..., None], _server: FakeServer) -> None:
        await task.with_options(trace="own").put(1)

    lines = play(App(middleware=[Noting(said)]), main)
    assert (said[0], lines) == ("in send own", ['PUT mail trace=own {"task":"send","args":[1]}'])


def test_a_put_that_is_refused_is_seen_to_be() -> None:
    said: list[str] = []

    async def main(task: Task[..., None], server: FakeServer) -> None:
        server.say("PUT", b"ERR full no room\n")
        with pytest.raises(Full):
            await task.put(1)

    play(App(middleware=[Noting(said)]), main)
    assert said == ["in send None", "full"]


def test_a_message_may_say_when_it_could_begin_and_need_not() -> None:
    assert arrived(b'{"task":"t","due_ms":1795308357250}').due_ms == 1795308357250
    assert arrived(b'{"task":"t","due_ms":1.5}').due_ms == 1.5
    assert arrived(b'{"task":"t"}').due_ms == 0
    with pytest.raises(Reject, match="not a task"):
        arrived(b'{"task":"t","due_ms":"now"}')

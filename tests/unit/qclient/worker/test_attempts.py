"""What a worker says of attempts that its queues would cut short."""

import logging
from typing import Any

import pytest

from qclient.tasks import App
from qclient.worker import attempts
from tests.unit.qclient.client_fakes import FakeServer, connected, virtual


def app_of(**attempts_of: tuple[str, int]) -> App:
    app = App()
    for name, (queue, count) in attempts_of.items():

        async def nothing() -> None: ...

        app.task(queue=queue, name=name, max_attempts=count)(nothing)
    return app


def settings(server: FakeServer, *allowed: int) -> None:
    for count in allowed:
        server.say("QUEUE", f"* q lease=30 max_failures={count} max_losses=10\nOK 1\n".encode())


def warned(app: App, queues: tuple[str, ...], *allowed: int, caplog: Any) -> list[str]:
    async def main() -> list[str]:
        async with connected() as (server, client):
            settings(server, *allowed)
            await attempts.warn(client, queues, app.tasks.values())
            return server.sent("QUEUE")

    with caplog.at_level(logging.INFO, "qclient.worker"):
        asked = virtual(main())
    assert len(asked) == len(allowed)
    return [record.getMessage() for record in caplog.records if record.name == "qclient.worker"]


def test_a_task_with_more_attempts_than_its_queue_allows_is_named_with_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_of(send=("mail", 20), sweep=("mail", 10), charge=("mail", 25))
    assert warned(app, ("mail",), 10, caplog=caplog) == [
        f"task {name} has max_attempts={count}, but queue mail makes a message dead after "
        "10 failures; to allow them: qclient queue mail max_failures=25"
        for name, count in (("send", 20), ("charge", 25))
    ]


def test_nothing_is_said_where_a_queue_allows_as_many_or_any_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_of(send=("mail", 20), charge=("bills", 10))
    assert warned(app, ("mail", "bills"), 0, 10, caplog=caplog) == []


def test_queues_that_the_worker_does_not_take_from_or_has_no_tasks_of_are_not_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_of(send=("mail", 20), charge=("bills", 20))
    (said,) = warned(app, ("bills", "empty"), 10, caplog=caplog)
    assert said.startswith("task charge ")


def test_settings_that_cannot_be_read_are_no_reason_not_to_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("QUEUE", b"ERR full there are 9 queues\n")
            await attempts.warn(client, ("mail",), app_of(send=("mail", 20)).tasks.values())

    virtual(main())
    assert caplog.records == []

"""Results that are kept, that find no room, that can't be kept."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from qclient.backoff import Backoff
from qclient.client import Client
from qclient.errors import BadJson, ConnectionLost, Full, StorageFailed, TooLong
from qclient.message import Message
from qclient.replies import Reply, Request
from qclient.worker.keeping import BATCH_MAX, TRIES_MAX, Keeping
from qclient.worker.outcome import Counts, Outcomes
from tests.unit.qclient.worker.fakes import Settled, delivery, message, task_of

OK: Reply = ([], b"OK 1")
FULL: Reply = ([], b"ERR full no room")
DEEP: Reply = ([], b"ERR bad-json nested too deep")


class Settling(Settled):
    """What the client's does, and what was late."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.tasks: list[asyncio.Task[None]] = []
        self.counts: list[int] = []

    def track(self, settlement: Coroutine[Any, Any, None], count: int) -> None:
        self.tasks.append(self.loop.create_task(settlement))
        self.counts.append(count)

    def tell_late(self, verb: str, receipt: str) -> None:
        self.words.append(f"late {verb} {receipt}")


class FakeClient:
    """Answers each line with the next of `answers`, and with OK when these are used up."""

    def __init__(self, *answers: Reply) -> None:
        self.settling = Settling()
        self.backoff = Backoff(first_s=0, max_s=0)
        self.sent: list[list[str]] = []
        self.fault: Exception | None = None
        self._answers = list(answers)

    def too_long(self, line: bytes) -> str | None:
        return f"{len(line)} bytes" if len(line) > 1000 else None

    async def run(self, request: Request[Any]) -> Any:
        lines = request.line.decode().splitlines()
        assert len(lines) == request.replies
        self.sent.append(lines)
        if self.fault is not None:
            raise self.fault
        return request.parse([self._answers.pop(0) if self._answers else OK for _ in lines])

    async def ended(self) -> list[str]:
        """Until all is settled: the words of it."""
        await asyncio.sleep(0)
        await asyncio.gather(*self.settling.tasks)
        return self.settling.words


def keeping(*answers: Reply) -> tuple[FakeClient, Keeping]:
    client = FakeClient(*answers)
    return client, Keeping(cast("Client", client))


def keep(keeping: Keeping, *numbers: int) -> list[Message[Any]]:
    messages = [message(number) for number in numbers]
    for each in messages:
        keeping.keep(each, {"n": each.id}, 60)
    return messages


async def test_results_of_one_turn_leave_together() -> None:
    client, kept = keeping()
    keep(kept, 1, 2)
    assert client.sent == []
    assert await client.ended() == []
    assert client.sent == [['DONE 1.1 retain=60 {"n":1}', 'DONE 2.2 retain=60 {"n":2}']]
    keep(kept, 3)
    await client.ended()
    assert client.sent[1:] == [['DONE 3.3 retain=60 {"n":3}']]


async def test_a_crowd_leaves_in_several_requests_each_counted() -> None:
    client, kept = keeping()
    keep(kept, *range(1, BATCH_MAX + 2))
    await client.ended()
    assert [len(lines) for lines in client.sent] == [BATCH_MAX, 1]
    assert client.settling.counts == [BATCH_MAX, 1]


async def test_a_result_whose_lease_had_ended_is_counted_as_late() -> None:
    client, kept = keeping(OK, ([b"* 2.2 not-leased"], b"OK 0"))
    keep(kept, 1, 2)
    assert await client.ended() == ["late done 2.2"]


async def test_only_results_without_room_are_tried_again() -> None:
    client, kept = keeping(OK, FULL, OK, FULL)
    keep(kept, 1, 2, 3)
    assert await client.ended() == []
    assert [[line.split()[1] for line in lines] for lines in client.sent] == [
        ["1.1", "2.2", "3.3"],
        ["2.2"],
        ["2.2"],
    ]


async def test_work_whose_result_never_finds_room_is_acked_without(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, kept = keeping(*[FULL] * TRIES_MAX)
    keep(kept, 1)
    assert await client.ended() == ["ack 1.1"]
    assert len(client.sent) == TRIES_MAX
    assert "no room for the result of <Message 1.1" in caplog.text


async def test_a_result_that_the_server_refuses_is_for_the_dead_letters() -> None:
    client, kept = keeping(OK, DEEP)
    keep(kept, 1, 2)
    assert await client.ended() == ["nack 2.2 dead"]
    assert client.settling.reasons == ["its result can't be kept: nested too deep [bad-json]"]


async def test_storage_that_fails_leaves_all_in_doubt_so_that_all_are_sent_again() -> None:
    client, kept = keeping(OK, ([], b"ERR storage disk"))
    keep(kept, 1, 2)
    with pytest.raises(StorageFailed):
        await client.run(Request(b"x\ny\n", _parse_of(kept), 2))


def _parse_of(kept: Keeping) -> Any:
    from qclient import verbs

    return verbs.done_lines([b"x\n", b"y\n"]).parse


async def test_results_that_nobody_confirmed_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    client, kept = keeping()
    client.fault = ConnectionLost("gone")
    keep(kept, 1, 2)
    assert await client.ended() == []
    assert "2 results were not confirmed: their messages may be delivered again" in caplog.text


async def test_what_can_t_be_sent_is_said_at_once() -> None:
    client, kept = keeping()
    with pytest.raises(BadJson):
        kept.keep(message(1), object(), 60)
    with pytest.raises(TooLong):
        kept.keep(message(1), "x" * 1000, 60)
    await client.ended()
    assert client.sent == []


async def test_a_task_that_keeps_its_result_is_done_with_it_and_no_other_is() -> None:
    client, kept = keeping()
    counts = Counts()
    outcomes = Outcomes(cast("Any", client.settling), counts, kept)
    one, other = delivery(1, task_of(keep_result=60)), delivery(2)
    one.result = other.result = 3
    outcomes.finish(one, None)
    outcomes.finish(other, None)
    assert await client.ended() == ["ack 2.2"]
    assert client.sent == [["DONE 1.1 retain=60 3"]]
    assert counts == Counts(done=2)


async def test_a_task_whose_result_is_no_json_is_dead_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, kept = keeping()
    counts = Counts()
    outcomes = Outcomes(cast("Any", client.settling), counts, kept)
    given = delivery(1, task_of(keep_result=60))
    given.result = object()
    with caplog.at_level(logging.ERROR, "qclient.worker"):
        outcomes.finish(given, None)
    assert await client.ended() == ["nack 1.1 dead"]
    assert (client.settling.reasons[0] or "").startswith("its result can't be kept: can't be")
    assert counts == Counts(dead=1)
    assert "has run, and is dead" in caplog.text


async def test_failures_of_such_a_task_are_settled_as_any() -> None:
    client, kept = keeping()
    outcomes = Outcomes(cast("Any", client.settling), Counts(), kept)
    outcomes.finish(delivery(1, task_of(keep_result=60)), ValueError("x"))
    assert await client.ended() == ["nack 1.1"]


async def test_what_was_said_of_a_run_leaves_before_it_is_settled() -> None:
    client, kept = keeping()
    outcomes = Outcomes(cast("Any", client.settling), Counts(), kept)
    words = client.settling.words
    given = delivery(1, _settler=client.settling)
    client.settling.report = lambda _, said: words.append(f"progress {said.decode()}")  # type: ignore[attr-defined]
    given.progress(0.5)
    outcomes.finish(given, None)
    assert words == ["progress 0.5", "ack 1.1"]


def test_full_is_an_error_that_a_later_try_can_help() -> None:
    assert Full.is_retryable

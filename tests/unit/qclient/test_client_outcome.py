"""PROGRESS, DONE and RESULT: what is sent, what is read, and what a lost connection does to it."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

import qclient
from qclient import verbs
from qclient.errors import BadBody, BadReceipt, BadRequest, NotFound, ProtocolError
from qclient.replies import ReplyReader, Request
from qclient.reports import Outcome, Settled
from tests.unit.qclient.client_fakes import SILENCE, connected, passes, until, virtual


def read(request: Request[Any], stream: bytes) -> Any:
    return request.parse(ReplyReader().feed(stream))


def came(stream: bytes, wanted: object = Any) -> Outcome[Any]:
    found: Outcome[Any] = read(verbs.result(7, wanted), stream + b"\nOK 1\n")
    return found


class Sum(msgspec.Struct):
    sum: int


# --- the lines ----------------------------------------------------------------------------------


def test_an_ack_that_leaves_a_result() -> None:
    request = verbs.done("1.1", Sum(3))
    assert request.line == b'DONE 1.1 {"sum":3}\n'
    assert request.is_repeatable
    assert verbs.done("1.1", None, retain=0).line == b"DONE 1.1 retain=0 null\n"
    assert verbs.done("1.1", 1, retain=timedelta(hours=1)).line == b"DONE 1.1 retain=3600 1\n"
    assert verbs.done("1.1", msgspec.Raw(b' {"a": 1E0} ')).line == b'DONE 1.1 {"a": 1E0}\n'
    assert read(request, b"OK 1\n") == Settled(1)
    assert read(request, b"* 1.1 not-leased\nOK 0\n") == Settled(0, ("1.1",))


def test_telling_progress() -> None:
    request = verbs.progress("1.1", {"at": 3})
    assert request.line == b'PROGRESS 1.1 {"at":3}\n'
    assert request.is_repeatable
    assert verbs.progress("1.1", msgspec.Raw(b"1E0 ")).line == b"PROGRESS 1.1 1E0\n"
    assert read(request, b"OK 1\n") == Settled(1)
    assert read(request, b"* 1.1 not-leased\nOK 0\n") == Settled(0, ("1.1",))


@pytest.mark.parametrize("make", [verbs.done, verbs.progress])
def test_a_receipt_that_is_none_is_not_sent(make: Any) -> None:
    for receipt in ("", "1", "1.1\n", "1.1 PURGE"):
        with pytest.raises(BadReceipt):
            make(receipt, 1)


def test_asking_what_came_of_a_message() -> None:
    assert verbs.result(7, Any).line == b"RESULT 7\n"
    request = verbs.result(7, Any, wait=1.5)
    assert request.line == b"RESULT 7 wait=1.5\n"
    assert (request.is_repeatable, request.leases) == (True, False)
    with pytest.raises(BadRequest):
        verbs.result(-1, Any)
    with pytest.raises(NotFound):
        read(request, b"ERR not-found gone\n")


def test_a_result_is_decoded_into_the_type_that_was_asked_for() -> None:
    found = came(b'* 7 done deliveries=2 new=1 {"sum":3}', Sum)
    assert (found.id, found.state, found.has_ended, found.value) == (7, "done", True, Sum(3))
    assert (found.raw, found.info["new"]) == (b'{"sum":3}', "1")
    assert (found.reason, found.progress) == (None, None)
    with pytest.raises(BadBody):
        _ = came(b"* 7 done [1]", Sum).value
    assert came(b"* 7 done true").value is True


def test_a_message_that_has_not_ended_says_where_it_stands() -> None:
    found = came(
        b'* 7 ready deliveries=2 failures=3 losses=4 reason="no luck" progress="{\\"at\\":3}" null'
    )
    assert (found.has_ended, found.value) == (False, None)
    assert (found.deliveries, found.failures, found.losses) == (2, 3, 4)
    assert (found.reason, found.progress) == ("no luck", {"at": 3})
    assert came(b"* 7 leased progress=0.5 null").progress == 0.5
    bare = came(b"* 7 dead null")
    assert (bare.has_ended, bare.deliveries, bare.failures, bare.losses) == (True, 0, 0, 0)


def test_progress_is_shown_by_what_is_stored() -> None:
    stored = read(verbs.peek(7, Any), b"* 7 ready queue=q progress=null 1\nOK 1\n")
    assert stored.progress is None
    stored = read(verbs.peek(7, Any), b'* 7 ready queue=q progress="[1]" 1\nOK 1\n')
    assert stored.progress == [1]
    assert read(verbs.peek(7, Any), b"* 7 ready queue=q 1\nOK 1\n").progress is None


@pytest.mark.parametrize("stream", [b"OK 0\n", b"* 7 done\nOK 1\n", b"* x done 1\nOK 1\n"])
def test_a_result_without_a_message_is_a_fault_of_the_server(stream: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(verbs.result(7, Any), stream)


# --- the client ---------------------------------------------------------------------------------


def test_a_result_that_is_not_waited_for_needs_no_connection_of_its_own() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("RESULT", b"* 7 ready null\nOK 1\n")
            assert (await client.result(7)).state == "ready"
            assert len(server.sent("HELLO")) == 1

    virtual(main())


def test_nothing_waits_behind_a_result_that_waits() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("RESULT", SILENCE)
            asking = asyncio.create_task(client.result(7, wait=60))
            await until(lambda: server.sent("RESULT"))
            await client.ping()
            assert server.sent("RESULT") == ["RESULT 7 wait=60"]
            assert len(server.sent("HELLO")) == 2
            asking.cancel()

    virtual(main())


def test_a_lost_result_is_asked_again_and_is_no_lost_get() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("RESULT", SILENCE, b"* 7 done 3\nOK 1\n")
            asking = asyncio.create_task(client.result(7, wait=60, type=int))
            await until(lambda: server.sent("RESULT"))
            await passes(20)
            await server.stop()
            await passes(10)
            await server.start()
            assert (await asking).value == 3
            first, again = server.sent("RESULT")
            assert first == "RESULT 7 wait=60"
            assert 28 < float(again.split("wait=")[1]) <= 30
            assert client.lost_gets == 0

    virtual(main())


def test_a_result_that_nobody_waits_for_any_more_releases_nothing() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("RESULT", SILENCE)
            asking = asyncio.create_task(client.result(7, wait=60))
            await until(lambda: server.sent("RESULT"))
            asking.cancel()
            await until(lambda: server.peers[-1].has_ended)
            await passes(2)
            assert server.sent("RELEASE") == []

    virtual(main())


def test_what_is_too_long_is_not_sent() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            long = "x" * (1 << 20)
            with pytest.raises(qclient.TooLong):
                await client.done("1.1", long, retain=5)
            with pytest.raises(qclient.TooLong):
                await client.progress("1.1", long)
            assert server.sent("DONE") + server.sent("PROGRESS") == []
            server.say("DONE", b"OK 1\n")
            assert (await client.done("1.1", 3, retain=5)).count == 1
            assert server.sent("DONE") == ["DONE 1.1 retain=5 3"]

    virtual(main())

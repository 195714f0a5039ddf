"""LEASES and CLIENTS: what is sent, and how a line of the reply is read."""

from typing import Any

import pytest

from qclient import connect, queues
from qclient.errors import ProtocolError
from qclient.replies import ReplyReader, Request
from tests.unit.qclient.client_fakes import FakeServer


def read(request: Request[Any], stream: bytes) -> Any:
    return request.parse(ReplyReader().feed(stream))


def test_a_list_of_leases() -> None:
    assert queues.leases().line == b"LEASES\n"
    request = queues.leases(count=2, after="7")
    assert request.line == b"LEASES count=2 after=7\n"
    assert request.is_repeatable
    page = read(request, b"* 8.1 a expires_in=2.5 new=1\n* 9.2 b expires_in=3\nOK 2 next=9\n")
    assert [(row.id, row.receipt, row.queue, row.expires_in_s) for row in page.rows] == [
        (8, "8.1", "a", 2.5),
        (9, "9.2", "b", 3),
    ]
    assert page.next == "9"
    assert page.rows[0].info["new"] == "1"


@pytest.mark.parametrize("line", [b"* 8.1 a", b"* 8.1", b"* 8.1 a expires_in=soon"])
def test_a_lease_that_is_cut_short_is_a_fault_of_the_server(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(queues.leases(), line + b"\nOK 1\n")


def test_a_list_of_connections() -> None:
    assert queues.clients().line == b"CLIENTS\n"
    request = queues.clients(count=2, after="7")
    assert request.line == b"CLIENTS count=2 after=7\n"
    assert request.is_repeatable
    page = read(
        request,
        b'* 8 connected=60.5 idle=2.5 requests=3 client="a b" session=s leases=2 waiting=a,b '
        b"new=1\n"
        b"* 9 connected=1 idle=0 requests=1 result=17\n"
        b"* 10\n"
        b"OK 3 next=10\n",
    )
    one, two, bare = page.rows
    assert (one.number, one.connected_s, one.idle_s, one.requests) == (8, 60.5, 2.5, 3)
    assert (one.client, one.session, one.leases) == ("a b", "s", 2)
    assert (one.waiting, one.result, one.info["new"]) == (("a", "b"), None, "1")
    assert (two.client, two.session, two.leases, two.waiting, two.result) == (None, None, 0, (), 17)
    assert (bare.number, bare.requests) == (10, 0)
    assert page.next == "10"
    with pytest.raises(ProtocolError):
        read(request, b"* x connected=1\nOK 1\n")


async def test_queues_and_clients_can_be_read_on_where_they_were_left() -> None:
    async with FakeServer() as server, connect(server.url) as client:
        server.say("LIST", b"* b ready=1\nOK 1 next=b\n", b"* c ready=2\nOK 1\n")
        assert [row.name async for row in client.queues(after="a", page=1)] == ["b", "c"]
        server.say("CLIENTS", b"* 8\nOK 1 next=8\n", b"* 9\nOK 1\n")
        assert [row.number async for row in client.clients(after=7, page=1)] == [8, 9]
    assert server.sent("LIST") == ["LIST count=1 after=a", "LIST count=1 after=b"]
    assert server.sent("CLIENTS") == ["CLIENTS count=1 after=7", "CLIENTS count=1 after=8"]

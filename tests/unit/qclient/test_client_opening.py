"""Connecting and closing, and the client's methods."""

import asyncio
import re
import socket
from typing import Any

import pytest

import qclient
from qclient import connect, dialler
from tests.unit.qclient.client_fakes import (
    CLOSE,
    HELLO,
    SILENCE,
    SOON,
    FakeServer,
    connected,
    now,
    passes,
    until,
    virtual,
)


def test_every_connection_says_who_it_is() -> None:
    async def main() -> None:
        async with connected(client="a b", session="w-7", grace=5) as (server, client):
            server.say("GET", b"* 1.1 q 1\nOK 1\n")
            await client.get("q", wait=1)
            assert server.lines[0] == 'HELLO client="a b" session=w-7 grace=5'
            assert server.sent("HELLO") == [server.lines[0]] * 2
            assert client.server.server == "fake/1"
            await client.hello()
            assert server.lines[-1] == server.lines[0]

    virtual(main())


def test_every_put_has_a_key_of_its_own() -> None:
    async def main() -> None:
        async with connected() as (server, client), connect(server.url) as other:
            for each in (client, client, other):
                await each.put("q", 1)
            await client.put_many("q", [1, 2])
            assert len({line.split("dedup=")[1] for line in server.sent("PUT")}) == 5

    virtual(main())


def test_a_put_without_options_is_its_queue_a_short_bare_key_and_the_body() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.put("q", {"n": 1})
            await client.put_many("q", [{"n": 1}, {"n": 1}])
            plain = re.compile(r'PUT q dedup=[A-Za-z0-9_-]{9,12} \{"n":1\}')
            assert [bool(plain.fullmatch(line)) for line in server.sent("PUT")] == [True] * 3

    virtual(main())


def test_a_batch_cut_in_the_middle_is_sent_again_as_a_whole() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("PUT", b"OK 101\n", b"OK 102\n", CLOSE)
            server.say("PUT", b"OK 101 duplicate\n", b"OK 102 duplicate\n")
            assert await client.put_many("q", "abcd") == [101, 102, 1, 2]
            keys = [line.split(" ")[2] for line in server.sent("PUT")]
            assert len(set(keys)) == 4

    virtual(main())


def test_put_many_says_what_was_refused() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("PUT", b"OK 1\n", b"ERR full no room\n", b"OK 3\n")
            with pytest.raises(qclient.BatchError, match=r"1 of 3.*number 2") as caught:
                await client.put_many("q", [1, 2, 3])
            error = caught.value
            assert (error.code, error.first, error.outcomes[2]) == ("full", 1, 3)

    virtual(main())


def test_put_many_says_which_body_can_not_be_sent() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            with pytest.raises(qclient.BadJson) as caught:
                await client.put_many("q", [1, 2, object(), 4])
            assert caught.value.__notes__ == ["2 messages before it were sent"]
            assert len(server.sent("PUT")) == 2

    virtual(main())


def test_put_many_of_thousands_keeps_the_order() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            assert await client.put_many("q", range(6000), key="k") == list(range(1, 6001))
            bodies = [line.split(" ")[-1] for line in server.sent("PUT")]
            assert bodies == [str(n) for n in range(6000)]
            assert await client.put_many("q", []) == []

    virtual(main())


def test_put_many_reads_only_so_far_ahead() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            read = 0

            def bodies() -> Any:
                nonlocal read
                for n in range(100_000):
                    read = n
                    yield n

            server.say("PUT", *[SILENCE] * 5000)
            task = asyncio.create_task(client.put_many("q", bodies()))
            await until(lambda: len(server.sent("PUT")) >= 4000)
            await passes(1)
            assert read == 3999
            task.cancel()
            await asyncio.wait([task])

    virtual(main())


def test_a_request_over_the_server_s_limit_is_not_sent() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            server.say("HELLO", b"OK line_bytes_max=40\n")
            async with connect(server.url, dedup=False) as client:
                await client.put("q", "x" * 32)  # PUT q "…" is 40 bytes
                with pytest.raises(qclient.TooLong, match=r"41 bytes .* 40"):
                    await client.put("q", "x" * 33)
                with pytest.raises(qclient.TooLong):
                    await client.put_many("q", ["x", "x" * 33])
                assert len(server.sent("PUT")) == 2

    virtual(main())


def test_closing_ends_what_is_under_way() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            server.say("PING", SILENCE)
            async with connect(server.url, in_flight_max=1) as client:
                sent = asyncio.create_task(client.ping())
                waiting = asyncio.create_task(client.ping())
                await until(lambda: server.sent("PING"))
            for task in (sent, waiting):
                with pytest.raises(qclient.Closed):
                    await task
            with pytest.raises(qclient.Closed):
                await client.ping()

    virtual(main())


def test_closing_ends_what_waits_for_a_connection() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            async with connect(server.url) as client:
                await server.stop()
                await until(lambda: client._link._connection is None)
                task = asyncio.create_task(client.ping())
                await passes(1)
            with pytest.raises(qclient.Closed):
                await task
            await server.start()

    virtual(main())


def test_what_speaks_another_protocol_is_told_apart() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            server.say("HELLO", b"HTTP/1.1 400 Bad Request\n")
            with pytest.raises(qclient.ProtocolError, match="HTTP"):
                async with connect(server.url):
                    pass
        async with connected() as (server, client):
            server.say("PING", b"OK\nOK\n")  # one more than was asked for
            await client.ping()
            await until(lambda: len(server.sent("HELLO")) == 2)

    virtual(main())


def test_a_server_without_room_says_so() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            server.say("HELLO", b"ERR busy too many connections\n" + CLOSE)
            with pytest.raises(qclient.Busy) as caught:
                async with connect(server.url):
                    pass
            assert caught.value.is_retryable

    virtual(main())


def test_a_server_that_is_not_there_is_named() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            url = server.url
        with pytest.raises(qclient.CannotConnect, match=r"127\.0\.0\.1:\d+: connection refused"):
            async with connect(url):
                pass

    virtual(main())


def test_a_first_connection_can_be_waited_for() -> None:
    async def main() -> None:
        server = FakeServer()
        await server.start()
        await server.stop()

        async def later() -> None:
            await passes(8)
            await server.start()

        task = asyncio.create_task(later())
        with pytest.raises(qclient.CannotConnect):
            async with connect(server.url, connect_for=5, backoff=SOON):
                pass
        async with connect(server.url, connect_for=30, backoff=SOON) as client:
            await client.ping()
        await task
        await server.stop()

    virtual(main())


def test_a_server_that_accepts_and_says_nothing_is_left() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            server.say("HELLO", SILENCE)
            with pytest.raises(qclient.CannotConnect, match="within 5 s"):
                async with connect(server.url, connect_timeout=5):
                    pass
            server.say("HELLO", HELLO + CLOSE)
            with pytest.raises(qclient.ConnectionLost):
                async with connect(server.url, retry_for=0, backoff=SOON) as client:
                    await client.ping()

    virtual(main())


def test_the_token_is_said_with_every_hello() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            async with connect(server.url, client="c", token="a b") as client:
                server.drop_connections()
                await client.ping()
            assert server.sent("HELLO") == ['HELLO client=c token="a b"'] * 2

    virtual(main())


def test_the_verbs_that_look_after_queues() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("PEEK", b"* 2 ready queue=q 1\nOK 1\n")
            assert (await client.peek(2)).body == 1
            server.say(
                "LIST", b"* 1 ready 1\nOK 1 next=1\n", b"OK 0 next=5\n", b"* 6 ready 2\nOK 1\n"
            )
            assert [row.id async for row in client.list("q", page=1)] == [1, 6]
            assert server.sent("LIST") == [
                "LIST q count=1",
                "LIST q count=1 after=1",
                "LIST q count=1 after=5",
            ]
            server.say("LIST", b"* 8 ready 1\n* 9 ready 1\nOK 2 next=9\n")
            assert [row.id async for row in client.list("q", after=7, limit=2)] == [8, 9]
            assert server.sent("LIST")[-1] == "LIST q count=2 after=7"
            server.say("LIST", b"* a ready=1\nOK 1 next=a\n", b"* b ready=2\nOK 1\n")
            assert [(q.name, q.ready) async for q in client.queues(page=1)] == [("a", 1), ("b", 2)]
            server.say("QUEUE", b"* q lease=5\nOK 1\n")
            assert (await client.queue("q", lease=5, brand_new="x")).lease == 5
            assert server.lines[-1] == "QUEUE q lease=5 brand_new=x"
            server.say("PAUSE", b"OK 1\n")
            server.say("RESUME", b"OK 0\n")
            server.say("DROP", b"OK 3\n")
            server.say("REDRIVE", b"OK 4\n")
            server.say("HELP", b"* PING x\nOK 1\n")
            assert await client.pause("q")
            assert not await client.resume("q")
            assert (await client.drop("q"), await client.redrive("q", dry=True)) == (3, 4)
            assert await client.help("PING") == ["PING x"]

    virtual(main())


def test_settling_by_receipt_or_by_message() -> None:
    async def main() -> None:
        async with connected(session="s") as (server, client):
            await client.put_many("q", range(4))
            messages = await client.get("q", count=4)
            assert (await client.touch(messages[0], lease=9)).count == 1
            assert (await client.ack(messages[0], "9.9")).not_leased == ("9.9",)
            assert (await client.release(messages[1])).count == 1
            assert (await client.nack(messages[2], reason=ValueError("bad"))).count == 1
            assert server.lines[-1] == 'NACK 3.3 reason="ValueError: bad"'
            server.say("TOUCH", b"OK 5\n")
            assert (await client.touch_all()).count == 5

    virtual(main())


def test_a_host_that_there_is_not_is_said_in_plain_words() -> None:
    error = socket.gaierror(-2, "Name or service not known")
    assert dialler.reason(error) == "no such host"
    assert dialler.reason(OSError(111, "Connect call failed")) == "connection refused"
    assert dialler.reason(OSError("several")) == "several"


def test_a_server_that_takes_nothing_does_not_hold_up_closing() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            server.say("HELLO", b"OK line_bytes_max=100000000\n")
            async with connect(server.url) as client:
                server.peers[0].writer.transport.pause_reading()  # type: ignore[attr-defined]
                task = asyncio.create_task(client.put("q", "x" * 20_000_000))
                await asyncio.sleep(0)
                before = now()
            assert now() - before < 10
            with pytest.raises(qclient.Closed):
                await task

    virtual(main())


def test_a_batch_without_keys_is_not_sent_twice() -> None:
    async def main() -> None:
        async with connected(dedup=False) as (server, client):
            server.say("PUT", b"OK 1\n", CLOSE)
            with pytest.raises(qclient.ConnectionLost) as caught:
                await client.put_many("q", [1, 2])
            assert caught.value.maybe_done
            assert server.sent("PUT") == ["PUT q 1", "PUT q 2"]

    virtual(main())


def test_a_connection_whose_greeting_was_refused_is_closed() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            server.say("HELLO", b"ERR limit grace is over 1 h\n")
            with pytest.raises(qclient.OverLimit):
                async with connect(server.url, session="w", grace=7200):
                    pass
            await until(lambda: server.peers[0].has_ended)

    virtual(main())

"""The connection that comes back: order, sharing, cancelling, losing, repeating, limits."""

import asyncio
from typing import Any

import pytest

import qclient
from qclient import Backoff
from tests.unit.qclient.client_fakes import (
    CLOSE,
    SILENCE,
    Peer,
    connected,
    now,
    passes,
    until,
    virtual,
)


def test_requests_of_many_coroutines_leave_in_one_write() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            writes = spied(client)
            await asyncio.gather(client.put("q", 1), client.put("q", 2))
            writes.clear()
            puts = await asyncio.gather(*[client.put("q", n) for n in range(100)])
            assert [put.id for put in puts] == list(range(3, 103))
            assert len(writes) == 1
            assert len(server.sent("PUT")) == 102

    virtual(main())


def test_a_request_that_follows_a_lone_one_leaves_without_waiting_for_the_turn_to_end() -> None:
    async def main() -> None:
        async with connected() as (_, client):
            await client.put("q", 1)
            writes = spied(client)
            puts = [asyncio.create_task(client.put("q", n)) for n in range(2, 102)]
            await asyncio.sleep(0)
            assert [write.count(b"\n") for write in writes] == [1]
            await asyncio.gather(*puts)
            assert [write.count(b"\n") for write in writes] == [1, 99]

    virtual(main())


def spied(client: qclient.Client) -> list[bytes]:
    writes: list[bytes] = []
    connection: Any = client._link._connection
    transport = connection._transport
    connection._transport = _Spy(transport, writes, transport.write)
    return writes


class _Spy:
    def __init__(self, transport: Any, writes: list[bytes], write: Any) -> None:
        self._transport, self._writes, self._write = transport, writes, write

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def test_a_refusal_is_raised_where_it_was_asked() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("PUT", b"ERR full no room\n")
            one, two = await asyncio.gather(
                client.put("q", 1), client.put("q", 2), return_exceptions=True
            )
            assert isinstance(one, qclient.Full)
            assert one.is_retryable
            assert two == qclient.Put(1)

    virtual(main())


def test_a_cancelled_request_keeps_its_place_in_the_order_of_replies() -> None:
    async def main() -> None:
        async with connected() as (_, client):
            first = asyncio.create_task(client.put("q", 1))
            second = asyncio.create_task(client.put("q", 2))
            third = asyncio.create_task(client.put("q", 3))
            await asyncio.sleep(0)
            second.cancel()
            assert (await first, await third) == (qclient.Put(1), qclient.Put(3))
            assert second.cancelled() or (await asyncio.wait([second])) is not None

    virtual(main())


def test_messages_for_a_get_that_was_cancelled_are_released() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.put_many("q", [1, 2])
            task = asyncio.create_task(client.get("q", count=2))
            await asyncio.sleep(0)
            task.cancel()
            await until(lambda: server.sent("RELEASE") and not server.leased)
            assert server.sent("RELEASE") == ["RELEASE 1.1 2.2"]

    virtual(main())


def test_messages_that_arrive_in_the_turn_of_the_cancelling_are_released() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.put("q", 1)
            task = asyncio.create_task(client.get("q"))
            await asyncio.sleep(0)
            client._link.on_room = task.cancel  # type: ignore[method-assign,assignment]
            with pytest.raises(asyncio.CancelledError):
                await task
            assert server.leased
            await until(lambda: server.sent("RELEASE") and not server.leased)

    virtual(main())


def test_a_put_whose_reply_was_lost_is_sent_again_with_the_same_key() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("PUT", CLOSE, b"OK 7 duplicate\n")
            assert await client.put("q", 1) == qclient.Put(7)
            first, again = server.sent("PUT")
            assert first == again
            assert "dedup=" in first

    virtual(main())


def test_without_keys_a_put_is_not_sent_twice() -> None:
    async def main() -> None:
        async with connected(dedup=False) as (server, client):
            server.say("PUT", CLOSE)
            with pytest.raises(qclient.ConnectionLost, match="unknown") as caught:
                await client.put("q", 1)
            assert caught.value.maybe_done
            assert server.sent("PUT") == ["PUT q 1"]
            await client.put("q", 2, dedup="mine")
            server.say("PUT", CLOSE)
            await client.put("q", 3, dedup="mine")
            assert server.sent("PUT")[1:] == ["PUT q dedup=mine 2"] + ["PUT q dedup=mine 3"] * 2

    virtual(main())


def test_what_was_under_way_is_sent_again_in_order() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("PUT", b"OK 1\n", CLOSE)
            await asyncio.gather(*[client.put("q", n) for n in range(4)])
            bodies = [line.split(" ")[-1] for line in server.sent("PUT")]
            assert bodies[-3:] == ["1", "2", "3"]

    virtual(main())


def test_a_purge_whose_reply_was_lost_is_not_repeated() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("PURGE", CLOSE)
            with pytest.raises(qclient.ConnectionLost) as caught:
                await client.purge("q")
            assert caught.value.maybe_done
            assert len(server.sent("PURGE")) == 1

    virtual(main())


def test_what_was_never_sent_is_sent_when_there_is_a_connection() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await server.stop()
            await until(lambda: client._link._connection is None)
            task = asyncio.create_task(client.purge("q"))
            await passes(5)
            server.say("PURGE", b"OK 3\n")
            await server.start()
            assert await task == 3

    virtual(main())


def test_a_request_gives_the_connection_its_time_to_come_back_and_no_more() -> None:
    async def main() -> None:
        async with connected(retry_for=60) as (server, client):
            await server.stop()
            began = now()
            with pytest.raises(qclient.ConnectionLost, match="60 s: cannot connect"):
                await client.ping()
            assert 60 <= now() - began < 61.5
            began = now()
            with pytest.raises(qclient.ConnectionLost):
                await client.ping()
            assert 60 <= now() - began < 61.5
            await server.start()
            await client.ping()

    virtual(main())


def test_requests_give_up_each_at_its_own_time() -> None:
    async def main() -> None:
        async with connected(retry_for=10) as (server, client):
            await server.stop()
            await until(lambda: client._link._connection is None)
            first = asyncio.create_task(client.ping())
            await passes(6)
            second = asyncio.create_task(client.ping())
            await passes(5)
            assert first.done()
            assert not second.done()
            await server.start()
            await second
            assert isinstance(first.exception(), qclient.ConnectionLost)

    virtual(main())


def test_with_no_time_to_come_back_a_request_fails_at_once() -> None:
    async def main() -> None:
        async with connected(retry_for=0) as (server, client):
            server.say("PING", CLOSE)
            began = now()
            with pytest.raises(qclient.ConnectionLost):
                await client.ping()
            assert now() - began < 1

    virtual(main())


def test_a_request_that_always_loses_the_connection_ends() -> None:
    async def main() -> None:
        async with connected(retry_for=5) as (server, client):
            server.say("PING", *[CLOSE] * 1000)
            began = now()
            with pytest.raises(qclient.ConnectionLost):
                await client.ping()
            assert 5 <= now() - began < 7

    virtual(main())


def test_attempts_to_connect_grow_apart_up_to_a_bound_with_full_jitter() -> None:
    backoff = Backoff(first_s=0.1, max_s=1, random=lambda: 0.5)
    assert [backoff.delay_s(n) for n in range(6)] == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]
    assert Backoff(random=lambda: 0.0).delay_s(1000) == 0
    assert 0 <= Backoff().delay_s(3) <= 0.4


def test_a_server_that_is_silent_for_too_long_counts_as_gone() -> None:
    async def main() -> None:
        async with connected(timeout=30, retry_for=5) as (server, client):
            server.say("PING", SILENCE)
            began = now()
            await client.ping()  # on the next connection
            assert 30 <= now() - began < 31
            assert len(server.sent("HELLO")) == 2

    virtual(main())


def test_a_server_that_says_something_now_and_then_is_waited_for() -> None:
    async def slowly(peer: Peer) -> None:
        for _ in range(4):
            await passes(20)
            peer.writer.write(b"* a=1\n")
        peer.writer.write(b"OK 4\n")

    async def main() -> None:
        async with connected(timeout=30) as (server, client):
            tasks = []

            def begin(peer: Peer, _line: str) -> bytes:
                tasks.append(asyncio.create_task(slowly(peer)))
                return SILENCE

            server.say("STATS", begin)
            assert await client.stats() == {"a": 1}
            assert len(server.sent("HELLO")) == 1
            await passes(100)  # idle: nothing is owed
            assert len(server.sent("HELLO")) == 1

    virtual(main())


def test_after_a_failed_journal_only_what_is_safe_is_repeated() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("PUT", b"ERR storage disk gone\n" + CLOSE)
            assert await client.put("q", 1) == qclient.Put(1)
            server.say("PURGE", b"ERR storage disk gone\n" + CLOSE)
            with pytest.raises(qclient.StorageFailed):
                await client.purge("q")

    virtual(main())


def test_a_request_that_was_held_before_gives_up_before_those_that_came_later() -> None:
    async def main() -> None:
        async with connected(retry_for=10) as (server, client):
            server.say("PING", CLOSE, CLOSE)
            old = asyncio.create_task(client.ping())
            await passes(0)
            await until(lambda: len(server.sent("PING")) == 2)
            await server.stop()
            began = now()
            with pytest.raises(qclient.ConnectionLost):
                await old
            assert now() - began <= 10

    virtual(main())


def test_a_server_is_given_its_time_from_the_request_on() -> None:
    async def later(peer: Peer) -> None:
        await passes(20)
        peer.writer.write(b"OK\n")

    async def main() -> None:
        async with connected(timeout=30) as (server, client):
            await client.ping()  # the watch begins, and is still on when the next request goes
            await passes(29)
            tasks = []

            def begin(peer: Peer, _line: str) -> bytes:
                tasks.append(asyncio.create_task(later(peer)))
                return SILENCE

            server.say("PING", begin)
            await client.ping()
            assert len(server.sent("HELLO")) == 1

    virtual(main())


def test_what_was_in_line_when_the_connection_went_was_not_sent() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            ping = asyncio.create_task(client.ping())
            task = asyncio.create_task(client.purge("q"))
            await asyncio.sleep(0)  # the ping left at once, being alone; the purge waits in line
            connection = client._link._connection
            assert connection is not None
            connection.fail(qclient.ConnectionLost("gone"))
            server.say("PURGE", b"OK 3\n")
            assert await task == 3
            await ping
            assert len(server.sent("PURGE")) == 1

    virtual(main())


def test_a_journal_that_always_fails_ends_a_request_too() -> None:
    async def main() -> None:
        async with connected(retry_for=5) as (server, client):
            server.say("PING", *[b"ERR storage disk gone\n" + CLOSE] * 1000)
            began = now()
            with pytest.raises(qclient.ConnectionLost, match="disk gone"):
                await client.ping()
            assert 5 <= now() - began < 7

    virtual(main())

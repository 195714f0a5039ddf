"""GETs that wait: beside everything else, cancelled, lost, closed."""

import asyncio
from typing import Any

import pytest

import qclient
from qclient import Client, connect
from tests.unit.qclient.client_fakes import (
    CLOSE,
    SILENCE,
    SOON,
    FakeServer,
    connected,
    now,
    passes,
    until,
    virtual,
)


def task_get(client: Client, **options: Any) -> asyncio.Task[list[qclient.Message[Any]]]:
    return asyncio.create_task(client.get("q", **options))


def test_nothing_waits_behind_a_get_that_waits() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            gets = [task_get(client, wait=60) for _ in range(3)]
            await until(lambda: len(server.sent("GET")) == 3)
            began = now()
            await client.ping()
            for n in range(3):
                await client.put("q", n)
            bodies = [get[0].body for get in await asyncio.gather(*gets)]
            assert sorted(bodies) == [0, 1, 2]
            assert now() - began < 1
            assert len(server.sent("HELLO")) == 4

    virtual(main())


def test_a_connection_is_lent_again() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            for _ in range(3):
                assert await client.get("q", wait=5) == []
            assert len(server.sent("HELLO")) == 2
            assert now() >= 15

    virtual(main())


def test_more_waiting_gets_than_connections_take_turns_within_their_time() -> None:
    async def main() -> None:
        async with connected(waiting_max=2) as (server, client):
            gets = [task_get(client, wait=5) for _ in range(4)]
            await asyncio.gather(*gets)
            assert 5 <= now() < 6
            assert server.sent("GET") == ["GET q wait=5"] * 2 + ["GET q"] * 2
            assert len(server.sent("HELLO")) == 3

    virtual(main())


def test_a_cancelled_get_says_goodbye_and_leaves_nothing_leased() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            get = task_get(client, wait=60)
            await until(lambda: server.sent("GET"))
            get.cancel()
            await until(lambda: server.peers[-1].has_ended)
            await client.put("q", 1)
            await passes(1)
            assert server.leased == {}
            assert len(server.queues["q"]) == 1
            assert not client._waiting._parted

    virtual(main())


def test_messages_on_their_way_to_a_cancelled_get_are_released() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            get = task_get(client, wait=60)
            await until(lambda: server.sent("GET"))
            put = asyncio.create_task(client.put("q", 1))
            await until(lambda: server.leased)
            get.cancel()
            await put
            await until(lambda: server.sent("RELEASE") and not server.leased)

    virtual(main())


def test_messages_that_arrive_in_the_turn_of_the_cancelling_are_released() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            get = task_get(client, wait=60)
            await until(lambda: server.sent("GET"))
            client._waiting.on_room = get.cancel  # type: ignore[method-assign,assignment]
            await client.put("q", 1)
            with pytest.raises(asyncio.CancelledError):
                await get
            await until(lambda: server.sent("RELEASE") and not server.leased)

    virtual(main())


def test_a_lost_get_is_asked_again_for_what_is_left_of_its_time() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            get = task_get(client, wait=60, count=5, lease=9)
            await until(lambda: server.sent("GET"))
            await passes(20)
            await server.stop()
            await passes(10)
            await server.start()
            await until(lambda: len(server.sent("GET")) == 2)
            first, again = server.sent("GET")
            assert first == "GET q count=5 wait=60 lease=9"
            left = float(again.split("wait=")[1].split()[0])
            assert 28 < left <= 30
            await client.put("q", 1)
            assert len(await get) == 1

    virtual(main())


def test_a_lost_get_whose_time_is_over_asks_once_more_without_waiting() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            get = task_get(client, wait=5)
            await until(lambda: server.sent("GET"))
            await server.stop()
            await passes(10)
            await server.start()
            assert await get == []
            assert server.sent("GET") == ["GET q wait=5", "GET q"]

    virtual(main())


def test_a_get_ends_when_the_server_does_not_come_back() -> None:
    async def main() -> None:
        async with connected(retry_for=10) as (server, client):
            get = task_get(client, wait=600)
            await until(lambda: server.sent("GET"))
            await server.stop()
            with pytest.raises(qclient.ConnectionLost):
                await get

    virtual(main())


def test_a_waiting_get_that_is_refused_says_so() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("GET", b"ERR limit wait is over 1 h\n")
            with pytest.raises(qclient.OverLimit):
                await client.get("q", wait=7200)
            server.say("GET", b"ERR storage gone\n" + CLOSE)
            assert await client.get("q", wait=1) == []
            with pytest.raises(qclient.BadName):
                await client.get("not a name", wait=1)

    virtual(main())


def test_a_server_that_forgets_a_waiting_get_is_left() -> None:
    async def main() -> None:
        async with connected(timeout=30) as (server, client):
            server.say("GET", SILENCE)
            assert await client.get("q", wait=5) == []
            assert 35 <= now() < 37

    virtual(main())


def test_a_longer_wait_on_a_lent_connection_has_its_own_patience() -> None:
    async def main() -> None:
        async with connected(timeout=10) as (server, client):
            assert await client.get("q", wait=1) == []
            assert await client.get("q", wait=100) == []
            assert len(server.sent("GET")) == 2

    virtual(main())


def test_an_idle_connection_that_is_lost_is_forgotten() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.get("q", wait=1)
            server.peers[-1].writer.transport.abort()
            await until(lambda: not client._waiting._idle)
            assert await client.get("q", wait=1) == []

    virtual(main())


def test_closing_the_client_ends_its_waiting_gets_and_leaves_nothing_leased() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            async with connect(server.url, backoff=SOON) as client:
                get = task_get(client, wait=60)
                await until(lambda: server.sent("GET"))
            assert await get == []
            await until(lambda: all(peer.has_ended for peer in server.peers))
            with pytest.raises(qclient.Closed):
                await client.get("q", wait=1)

    virtual(main())


def test_a_server_that_does_not_close_is_closed() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("GET", SILENCE)
            get = task_get(client, wait=60)
            await until(lambda: server.sent("GET"))
            server.peers[-1].writer.close = lambda: None  # type: ignore[method-assign]
            get.cancel()
            await passes(2)
            assert not client._waiting._parted

    virtual(main())


def test_closing_while_the_server_is_away_ends_a_waiting_get() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            async with connect(server.url, backoff=SOON) as client:
                server.say("GET", SILENCE)
                get = task_get(client, wait=60)
                await until(lambda: server.sent("GET"))
                await server.stop()
                other = task_get(client, wait=60)
                await passes(1)
            for task in (get, other):
                with pytest.raises(qclient.Closed):
                    await task
            await server.start()

    virtual(main())

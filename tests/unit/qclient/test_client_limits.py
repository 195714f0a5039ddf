"""Bounds: requests under way, bytes in the send buffer, calls held while the server is away."""

import asyncio

import qclient
from tests.unit.qclient.client_fakes import SILENCE, connected, passes, until, virtual


def test_more_requests_than_may_be_under_way_wait_for_a_place() -> None:
    async def main() -> None:
        async with connected(in_flight_max=3) as (server, client):
            link = client._link
            server.say("PING", SILENCE)
            tasks = [asyncio.create_task(client.ping()) for _ in range(8)]
            await until(lambda: len(server.sent("PING")) == 3)
            assert len(link._connection.calls) == 3  # type: ignore[union-attr]
            tasks[4].cancel()
            server.peers[0].writer.write(b"OK\n" * 3)
            done, _ = await asyncio.wait(tasks)
            assert sum(task.cancelled() for task in done) == 1
            assert not link._waiters

    virtual(main())


def test_a_place_given_to_a_cancelled_waiter_goes_to_the_next() -> None:
    async def main() -> None:
        async with connected(in_flight_max=1) as (server, client):
            server.say("PING", SILENCE)
            first, second, third = [asyncio.create_task(client.ping()) for _ in range(3)]
            await until(lambda: server.sent("PING"))
            link = client._link
            on_room = link.on_room

            def give_and_cancel() -> None:
                link.on_room = on_room  # type: ignore[method-assign]
                on_room()
                second.cancel()

            link.on_room = give_and_cancel  # type: ignore[method-assign]
            server.peers[0].writer.write(b"OK\n")
            await asyncio.wait([first, second, third], timeout=5)
            assert second.cancelled()
            assert third.done()

    virtual(main())


def test_requests_wait_while_the_server_takes_nothing() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            connection = client._link._connection
            assert connection is not None
            connection.pause_writing()
            task = asyncio.create_task(client.put("q", 1))
            await passes(1)
            assert not connection.calls
            connection.resume_writing()
            assert await task == qclient.Put(1)
            assert len(server.sent("PUT")) == 1

    virtual(main())


def test_much_in_one_turn_is_written_at_once_so_that_the_buffer_can_say_stop() -> None:
    async def main() -> None:
        async with connected() as (_, client):
            connection = client._link._connection
            assert connection is not None
            tasks = [asyncio.create_task(client.put("q", "x" * 200_000)) for _ in range(40)]
            await asyncio.sleep(0)
            assert connection.is_paused
            assert len(connection.calls) < 40
            await asyncio.gather(*tasks)

    virtual(main())


def test_while_the_server_is_away_no_more_are_held_than_may_be_under_way() -> None:
    async def main() -> None:
        async with connected(in_flight_max=2, retry_for=float("inf")) as (server, client):
            await server.stop()
            await until(lambda: client._link._connection is None)
            tasks = [asyncio.create_task(client.ping()) for _ in range(5)]
            await passes(100)
            assert len(client._link._held) == 2
            tasks[0].cancel()
            await server.start()
            done, _ = await asyncio.wait(tasks)
            assert [task.cancelled() for task in tasks] == [True] + [False] * 4
            assert not any(task.exception() for task in done if not task.cancelled())
            assert server.sent("PING") == ["PING"] * 4

    virtual(main())

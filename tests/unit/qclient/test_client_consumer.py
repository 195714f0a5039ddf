"""Consumer and Producer, and how messages settle."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

import qclient
from qclient import Client, Consumer, Message
from tests.unit.qclient.client_fakes import (
    CLOSE,
    FakeServer,
    connected,
    now,
    passes,
    until,
    virtual,
)


class Email(msgspec.Struct):
    to: str


@asynccontextmanager
async def consuming(
    count: int, **options: Any
) -> AsyncIterator[tuple[FakeServer, Client, Consumer[Any]]]:
    async with connected() as (server, client):
        await client.put_many("q", range(count))
        async with Consumer(client, "q", **options) as consumer:
            yield server, client, consumer


async def take(consumer: Consumer[Any], count: int) -> list[Message[Any]]:
    return [await anext(consumer) for _ in range(count)]


def test_messages_come_in_order_and_are_acked_in_one_line() -> None:
    async def main() -> None:
        async with consuming(10) as (server, _, consumer):
            bodies = []
            async for message in consumer:
                async with message:
                    bodies.append(message.body)
                if len(bodies) == 10:
                    break
        assert bodies == list(range(10))
        assert server.sent("ACK") == ["ACK " + " ".join(f"{n}.{n}" for n in range(1, 11))]
        assert server.leased == {}

    virtual(main())


def test_bodies_are_of_the_type_that_was_asked_for() -> None:
    async def main() -> None:
        async with connected() as (_, client):
            await client.put("q", Email("ada"))
            async with (
                Consumer(client, "q", type=Email) as consumer,
                await anext(consumer) as message,
            ):
                assert message.body == Email("ada")

    virtual(main())


def test_an_exception_nacks_with_its_reason_and_goes_on() -> None:
    async def main() -> None:
        async with consuming(1) as (server, _, consumer):
            with pytest.raises(ValueError, match="no such mailbox"):
                async with await anext(consumer):
                    raise ValueError("no such mailbox")
        assert server.sent("NACK") == ['NACK 1.1 reason="ValueError: no such mailbox"']

    virtual(main())


def test_a_message_settled_inside_its_block_is_left_alone() -> None:
    async def main() -> None:
        async with consuming(3) as (server, _, consumer):
            one, two, three = await take(consumer, 3)
            async with one:
                assert await one.nack(delay=60, reason="later")
            async with two:
                assert await two.release()
            async with three:
                assert await three.ack()
        assert server.sent("NACK") == ["NACK 1.1 delay=60 reason=later"]
        assert "RELEASE 2.2" in server.sent("RELEASE")
        assert server.sent("ACK") == ["ACK 3.3"]

    virtual(main())


def test_a_message_asks_for_more_time() -> None:
    async def main() -> None:
        async with consuming(1) as (server, _, consumer):
            message = await anext(consumer)
            assert await message.touch(60)
            assert server.lines[-1] == "TOUCH 1.1 lease=60"
            server.leased.clear()
            assert not await message.touch()

    virtual(main())


def test_it_asks_for_more_when_half_are_gone() -> None:
    async def main() -> None:
        async with consuming(100, prefetch=10) as (server, _, consumer):
            await take(consumer, 5)
            await until(lambda: len(server.sent("GET")) == 2)
            assert server.sent("GET")[0] == "GET q count=10 wait=20 lease=30"
            assert server.sent("GET")[1] == "GET q count=5 wait=20 lease=30"
            await take(consumer, 4)
            await asyncio.sleep(0)
            assert len(server.sent("GET")) == 2

    virtual(main())


def test_while_more_than_half_are_there_it_asks_for_nothing() -> None:
    async def main() -> None:
        async with consuming(7, prefetch=10) as (server, _, consumer):
            await take(consumer, 1)
            await passes(5)
            assert len(server.sent("GET")) == 1
            await take(consumer, 1)
            await passes(5)
            assert len(server.sent("GET")) == 2

    virtual(main())


def test_without_prefetch_it_asks_when_asked() -> None:
    async def main() -> None:
        async with consuming(3, prefetch=0) as (server, _, consumer):
            await passes(50)
            assert server.sent("GET") == []
            messages = await asyncio.gather(*[anext(consumer) for _ in range(2)])
            assert sorted(each.body for each in messages) == [0, 1]
            await passes(1)
            assert len(server.leased) == 2

    virtual(main())


def test_messages_put_later_come_too() -> None:
    async def main() -> None:
        async with consuming(0) as (_, client, consumer):
            task = asyncio.create_task(take(consumer, 2))
            await passes(45)
            await client.put("q", "a")
            await passes(45)
            await client.put("q", "b")
            assert [each.body for each in await task] == ["a", "b"]

    virtual(main())


def test_what_is_held_is_touched_before_its_lease_ends() -> None:
    async def main() -> None:
        async with consuming(3, lease=30) as (server, _, consumer):
            (message,) = await take(consumer, 1)
            await passes(11)
            assert server.sent("TOUCH") == ["TOUCH 1.1 2.2 3.3 lease=30"]
            await message.ack()
            await passes(10)
            assert server.sent("TOUCH")[1:] == ["TOUCH 2.2 3.3 lease=30"]

    virtual(main())


def test_a_lost_lease_is_seen_and_a_lost_message_not_handed_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with consuming(3) as (server, _, consumer):
            (held,) = await take(consumer, 1)
            del server.leased["1.1"], server.leased["2.2"]
            await passes(11)
            assert (held.is_lost, consumer.lost) == (True, 2)
            (third,) = await take(consumer, 1)
            assert (third.body, third.is_lost) == (2, False)
        assert "the lease of 1.1 of q ended while it was held" in caplog.text

    virtual(main())


def test_a_touch_that_fails_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with consuming(1) as (server, _, consumer):
            await take(consumer, 1)
            server.say("TOUCH", b"ERR limit no\n")
            await passes(21)
            assert len(server.sent("TOUCH")) == 2
        assert "1 leases could not be extended" in caplog.text

    caplog.set_level(logging.WARNING)
    virtual(main())


def test_what_was_not_begun_is_released_at_once_when_it_stops() -> None:
    async def main() -> None:
        async with consuming(5) as (server, _, consumer):
            (begun,) = await take(consumer, 1)
            consumer.stop()
            with pytest.raises(StopAsyncIteration):
                await anext(consumer)
            await until(lambda: server.sent("RELEASE"))
            assert server.sent("RELEASE") == ["RELEASE 2.2 3.3 4.4 5.5"]
            assert await begun.ack()
            consumer.stop()

    virtual(main())


def test_stopping_ends_the_iteration_of_every_task() -> None:
    async def main() -> None:
        async with consuming(0) as (server, _, consumer):

            async def count() -> int:
                return len([message async for message in consumer])

            tasks = [asyncio.create_task(count()) for _ in range(3)]
            await until(lambda: server.sent("GET"))
            consumer.stop()
            assert await asyncio.gather(*tasks) == [0, 0, 0]

    virtual(main())


def test_leaving_leaves_nothing_leased_to_its_waiting_get() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            async with Consumer(client, "q"):
                await until(lambda: server.sent("GET"))
            await client.put("q", 1)
            await passes(1)
            assert server.leased == {}

    virtual(main())


def test_a_cancelled_asker_takes_no_message_with_it() -> None:
    async def main() -> None:
        async with consuming(0, prefetch=5) as (server, client, consumer):
            one = asyncio.create_task(take(consumer, 1))
            two = asyncio.create_task(take(consumer, 1))
            three = asyncio.create_task(take(consumer, 1))
            await until(lambda: server.sent("GET"))
            await asyncio.sleep(0)
            one.cancel()
            wake = consumer._wake

            def wake_and_cancel(count: int) -> None:
                wake(count)
                two.cancel()

            consumer._wake = wake_and_cancel  # type: ignore[method-assign]
            await client.put("q", 1)
            assert (await three)[0].body == 1
            assert two.cancelled()

    virtual(main())


def test_it_survives_a_server_that_restarts() -> None:
    async def main() -> None:
        async with consuming(0) as (server, client, consumer):
            task = asyncio.create_task(take(consumer, 1))
            await until(lambda: server.sent("GET"))
            await server.stop()
            await passes(30)
            await server.start()
            await client.put("q", "after")
            assert (await task)[0].body == "after"

    virtual(main())


def test_a_server_that_stays_away_is_told_to_every_asker() -> None:
    async def main() -> None:
        async with consuming(0) as (server, _, consumer):
            tasks = [asyncio.create_task(take(consumer, 1)) for _ in range(2)]
            await until(lambda: server.sent("GET"))
            await server.stop()
            for task in tasks:
                with pytest.raises(qclient.ConnectionLost):
                    await task
            with pytest.raises(qclient.ConnectionLost):
                await anext(consumer)
            await server.start()

    virtual(main())


def test_a_server_that_answers_nothing_at_once_is_not_asked_in_a_tight_loop() -> None:
    async def main() -> None:
        async with consuming(0) as (server, _, consumer):
            server.say("GET", *[b"OK 0\n"] * 100)
            task = asyncio.create_task(take(consumer, 1))
            await passes(10)
            assert 15 < len(server.sent("GET")) < 40
            task.cancel()

    virtual(main())


def test_too_many_acks_under_way_hold_up_the_next_fetch() -> None:
    async def main() -> None:
        async with consuming(4, prefetch=2) as (server, client, consumer):
            one, _ = await take(consumer, 2)
            client.settling.unconfirmed += 10_000
            server.say("ACK", CLOSE)
            async with one:
                pass
            await take(consumer, 1)
            assert server.sent("ACK") == ["ACK 1.1"] * 2
            client.settling.unconfirmed -= 10_000

    virtual(main())


def test_wrong_arguments_are_said_when_it_is_made() -> None:
    async def main() -> None:
        async with connected() as (_, client):
            with pytest.raises(qclient.BadRequest, match="queue"):
                Consumer(client)
            with pytest.raises(qclient.BadName):
                Consumer(client, "not a name")
            with pytest.raises(qclient.BadRequest, match="lease"):
                Consumer(client, "q", lease=-1)
            await Consumer(client, "q").close()

    virtual(main())


def test_virtual_time_is_the_loop_s() -> None:
    async def main() -> None:
        await passes(3600)
        assert now() == 3600

    virtual(main())

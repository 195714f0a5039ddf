"""Messages that settle themselves, and a producer."""

import asyncio
from datetime import timedelta

import pytest

import qclient
from qclient import Producer
from tests.unit.qclient.client_fakes import FakeServer, connected, virtual


@pytest.mark.parametrize("stop", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_a_message_is_not_to_blame_when_its_program_stops(stop: type[BaseException]) -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.put("q", 1)
            (message,) = await client.get("q")
            await message.__aexit__(stop, stop(), None)
            await client.settling.drain()
            assert server.sent("RELEASE") == ["RELEASE 1.1"]

    virtual(main())


def test_acks_of_one_turn_go_together_and_each_has_its_answer() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.put_many("q", range(3))
            messages = await client.get("q", count=3)
            del server.leased["2.2"]
            assert await asyncio.gather(*[each.ack() for each in messages]) == [True, False, True]
            assert server.sent("ACK") == ["ACK 1.1 2.2 3.3"]

    virtual(main())


def test_what_is_released_for_later_says_for_how_long() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.put_many("q", range(4))
            first, second, third, fourth = await client.get("q", count=4)
            released = [first.release(), second.release(delay=2.5), third.release()]
            assert await asyncio.gather(*released) == [True, True, True]
            await client.release(fourth, delay=timedelta(minutes=1))
            said = ["RELEASE 2.2 delay=2.5", "RELEASE 1.1 3.3", "RELEASE 4.4 delay=60"]
            assert server.sent("RELEASE") == said

    virtual(main())


def test_more_acks_than_a_line_may_have_go_in_several() -> None:
    async def main() -> None:
        async with FakeServer() as server:
            server.say("HELLO", b"OK count_max=2\n")
            async with qclient.connect(server.url) as client:
                await client.put_many("q", range(5))
                messages = await client.get("q", count=5)
                await asyncio.gather(*[each.ack() for each in messages])
                assert server.sent("ACK") == ["ACK 1.1 2.2", "ACK 3.3 4.4", "ACK 5.5"]

    virtual(main())


def test_an_ack_that_nobody_waits_for_and_comes_late_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.put("q", 1)
            (message,) = await client.get("q")
            server.leased.clear()
            async with message:
                pass
            await client.settling.drain()
            assert client.settling.stale == 1
        assert "ack of 1.1 came after its lease had ended" in caplog.text

    virtual(main())


def test_acks_that_fail_are_told_to_who_waits_and_logged_for_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.put_many("q", range(3))
            one, two, three = await client.get("q", count=3)
            server.say("ACK", b"ERR limit too many\n")
            waiting = asyncio.create_task(two.ack())
            cancelled = asyncio.create_task(three.ack())
            await asyncio.sleep(0)
            async with one:
                pass
            cancelled.cancel()
            with pytest.raises(qclient.OverLimit):
                await waiting
            assert server.sent("ACK") == ["ACK 2.2 3.3 1.1"]
            assert client.settling.unconfirmed == 0
        assert "ack of 1 messages was not confirmed" in caplog.text

    virtual(main())


def test_a_producer_puts_with_its_own_options_unless_told_otherwise() -> None:
    async def main() -> None:
        async with connected(dedup=False) as (server, client):
            producer = Producer(client, "q", delay=5, priority=9, ttl=60, key="k", trace="t")
            await producer.put(1)
            await producer.put(2, delay=0, priority=0, ttl=1, key="", trace="u", dedup="d")
            await producer.put_many([3], priority=1)
            assert server.sent("PUT") == [
                "PUT q delay=5 priority=9 ttl=60 key=k trace=t 1",
                'PUT q delay=0 priority=0 ttl=1 key="" trace=u dedup=d 2',
                "PUT q delay=5 priority=1 ttl=60 key=k trace=t 3",
            ]

    virtual(main())

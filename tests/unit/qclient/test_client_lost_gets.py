"""A GET whose reply was lost is counted: it may have leased what nobody knows of."""

import asyncio

from tests.unit.qclient.client_fakes import CLOSE, connected, until, virtual


def test_a_get_that_loses_its_reply_is_counted_whether_it_waits_or_not() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.put("q", 1)
            server.say("GET", CLOSE)
            assert len(await client.get("q")) == 1
            assert client.lost_gets == 1
            await client.put("q", 2)
            server.say("GET", CLOSE)
            assert len(await client.get("q", wait=5)) == 1
            assert client.lost_gets == 2

    virtual(main())


def test_one_that_was_answered_or_cancelled_is_not() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            await client.put("q", 1)
            await client.get("q", wait=5)
            waiting = asyncio.create_task(client.get("q", wait=5))
            await until(lambda: len(server.sent("GET")) == 2)
            waiting.cancel()
            server.say("PING", CLOSE)
            await client.ping()
            assert client.lost_gets == 0

    virtual(main())

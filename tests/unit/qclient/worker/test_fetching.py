"""Asking for as many as there are places, and what is done with what comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from qclient import Client
from qclient.tasks import App, Release
from qclient.worker.fetching import Fetching, in_order
from qclient.worker.lookahead import Lookahead
from qclient.worker.outcome import Counts, Outcomes
from tests.unit.qclient.client_fakes import (
    CLOSE,
    SILENCE,
    FakeServer,
    connected,
    now,
    passes,
    until,
    virtual,
)
from tests.unit.qclient.worker.fakes import Bench, message, task_of


class Rig:
    """A Fetching over a fake server, with slots that a test plays."""

    def __init__(self, server: FakeServer, client: Client, bench: Bench, **options: Any) -> None:
        app = App()
        task_of("nothing", app)
        self.server = server
        self.client = client
        self.bench = bench
        self.counts = Counts()
        outcomes = Outcomes(client.settling, self.counts)
        self.fetching = Fetching(
            app,
            client,
            outcomes,
            order=in_order(("q",)),
            prefetch=options.get("prefetch", 0),
            lookahead=Lookahead(options.get("ahead", 0)),
            lease_s=15,
            wait_s=20,
        )
        self.fetching.slots = bench.slots
        bench.slots._on_room = self.fetching.on_room
        bench.slots._on_stuck = self.fetching.on_stuck
        bench.slots._finish = outcomes.finish

    async def put(self, count: int, body: object = None) -> None:
        await self.client.put_many("q", [body or {"task": "nothing"}] * count)

    def gets(self) -> list[str]:
        return [line.removeprefix("GET q ") for line in self.server.sent("GET")]


@asynccontextmanager
async def rig(places: int, **options: Any) -> AsyncIterator[Rig]:
    async with connected(session="w", grace=5) as (server, client):
        bench = Bench(places)
        made = Rig(server, client, bench, **options)
        fetch = asyncio.create_task(made.fetching.run())
        try:
            yield made
        finally:
            fetch.cancel()
            await asyncio.wait([fetch])
            for gate in bench.gates.values():
                gate.set()
            await bench.slots.wait_quiet()
            await bench.slots.close()


def test_it_asks_for_the_free_places_and_waits_when_there_are_none() -> None:
    async def main() -> None:
        async with rig(3) as it:
            await until(lambda: it.gets() == ["count=3 wait=20 lease=15"])
            for number in range(1, 6):
                it.bench.gate(number)
            await it.put(5)
            await until(lambda: it.bench.slots.running == 3)
            await passes(3)
            asked = len(it.gets())
            it.bench.gates[2].set()
            await until(lambda: len(it.gets()) > asked)
            assert it.gets()[-1].startswith("wait=20")  # one place, one message
            await until(lambda: it.bench.slots.running == 3)
            assert it.bench.slots.ready == type(it.bench.slots.ready)()

    virtual(main())


def test_a_prefetch_by_choice_is_asked_for_too() -> None:
    async def main() -> None:
        async with rig(1, prefetch=2) as it:
            it.bench.gate(1)
            await it.put(5)
            await until(lambda: len(it.bench.slots.ready) == 2)
            it.bench.now += 5
            await passes(1)  # by choice it may wait here for as long as it takes
            assert (len(it.bench.slots.ready), it.counts.released) == (2, 0)

    virtual(main())


def test_a_wrong_guess_is_given_back_after_a_moment() -> None:
    async def main() -> None:
        async with rig(1, ahead=10) as it:
            it.fetching._lookahead.answered(3, is_full=True)
            it.bench.gate(1)
            await it.put(3)
            await until(lambda: len(it.bench.slots.ready) == 2)
            it.bench.now += 0.5
            await until(lambda: it.counts.released == 2)
            await it.client.settling.drain()
            assert it.server.sent("RELEASE") == ["RELEASE 2.2 3.3"]

    virtual(main())


def test_what_is_no_task_goes_to_the_dead_letters_and_takes_no_place() -> None:
    async def main() -> None:
        async with rig(2) as it:
            await it.client.put_many(
                "q", [3, {"task": "who"}, {"task": "nothing", "args": [1]}, {"task": "nothing"}]
            )
            await until(lambda: it.counts.done == 1)
            await it.client.settling.drain()
            assert [line.split(" ", 2)[2] for line in it.server.sent("NACK")] == [
                (
                    'reason="not a task, like {\\"task\\":\\"name\\",\\"args\\":[…]}: '
                    'Expected `object`, got `int`" dead=yes'
                ),
                "reason=\"no task 'who' here\" dead=yes",
                'reason="bad arguments: too many positional arguments" dead=yes',
            ]
            assert (it.counts.dead, it.bench.slots.free) == (3, 2)

    virtual(main())


def test_stopping_a_get_that_waits_leaves_nothing_leased() -> None:
    async def main() -> None:
        async with rig(2) as it:
            await until(lambda: len(it.gets()) == 1)
        assert it.server.sent("RELEASE") == []

    virtual(main())


def test_what_comes_in_the_very_turn_of_the_stop_is_given_back() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            it = Rig(server, client, Bench(1))

            async def lease(*_: object, **__: object) -> list[Any]:
                fetch.cancel()
                return [message(7)]

            client.lease = lease  # type: ignore[method-assign]
            fetch = asyncio.create_task(it.fetching.run())
            await asyncio.wait([fetch])
            assert it.counts.released == 1
            await client.settling.drain()
            assert server.sent("RELEASE") == ["RELEASE 7.7"]
            await it.bench.slots.close()

    virtual(main())


def test_after_a_lost_reply_what_nobody_knows_of_is_released_and_the_rest_is_kept() -> None:
    async def main() -> None:
        async with rig(2) as it:
            it.bench.gate(1)
            await it.put(1)
            await until(lambda: it.bench.slots.running == 1)
            await until(lambda: len(it.gets()) == 2)
            leases = b"* 1.1 q expires_in=9\n* 7.8 q expires_in=9\nOK 2\n"
            it.server.say("LEASES", leases)
            it.server.drop_connections()
            await until(lambda: it.fetching.is_in_doubt)
            it.fetching.doubt()  # as the heartbeat does
            await until(lambda: it.server.sent("RELEASE") == ["RELEASE 7.8"])
            await until(lambda: not it.fetching.is_in_doubt)
            asked = len(it.gets())
            it.fetching.doubt()
            await passes(1)
            assert len(it.gets()) == asked  # nothing is in doubt any more

    virtual(main())


def test_what_ends_while_the_leases_are_read_is_acked_and_not_released() -> None:
    async def main() -> None:
        async with rig(2) as it:
            it.bench.gate(1)
            await it.put(1)
            await until(lambda: len(it.gets()) == 2)

            def end_it(*_: object) -> bytes:
                it.bench.gates[1].set()
                return b"* 1.1 q expires_in=9\nOK 1\n"

            it.server.say("LEASES", end_it)
            it.server.drop_connections()
            await until(lambda: it.fetching.is_in_doubt)
            it.fetching.doubt()
            await until(lambda: not it.fetching.is_in_doubt)
            await until(lambda: it.server.sent("ACK") == ["ACK 1.1"])
            assert it.server.sent("RELEASE") == []

    virtual(main())


def test_a_doubt_that_could_not_be_cleared_stays() -> None:
    async def main() -> None:
        async with rig(1) as it:
            await it.put(1)
            it.server.say("GET", CLOSE)
            it.server.say("LEASES", b"ERR busy not now\n", b"OK 0\n")
            await until(lambda: it.counts.done == 1)
            await until(lambda: it.server.sent("LEASES") != [])
            await passes(0.1)
            assert it.fetching.is_in_doubt
            it.fetching.doubt()
            await until(lambda: not it.fetching.is_in_doubt)
            assert len(it.server.sent("LEASES")) == 2

    virtual(main())


def test_a_server_that_knows_no_leases_is_asked_for_them_once() -> None:
    async def main() -> None:
        async with rig(1) as it:
            await it.put(1)
            it.server.say("GET", CLOSE)
            it.server.say("LEASES", b"ERR unknown-verb no LEASES here\n")
            await until(lambda: it.counts.done == 1)
            await until(lambda: not it.fetching.is_in_doubt)
            assert len(it.server.sent("LEASES")) == 1

    virtual(main())


def test_an_empty_answer_that_comes_early_is_not_asked_again_in_a_rush() -> None:
    async def main() -> None:
        async with rig(1) as it:
            it.server.say("GET", *[b"OK 0\n"] * 40, SILENCE)
            await passes(3)
            assert 5 < len(it.gets()) < 30

    virtual(main())


def test_running_dry_waits_for_what_a_run_released_for_a_while() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            it = Rig(server, client, Bench(1))
            is_first = True

            async def not_at_first() -> None:
                nonlocal is_first
                if is_first:
                    is_first = False
                    raise Release(after=50)

            it.bench.plays = {1: not_at_first}
            await it.put(2)
            await it.fetching.run_dry()
            assert server.sent("RELEASE") == ["RELEASE 1.1 delay=50"]
            assert it.bench.began == [1, 2, 1]
            assert now() == pytest.approx(50, abs=1)
            assert len(it.gets()) < 20
            await it.bench.slots.close()

    virtual(main())


def test_running_dry_ends_when_nothing_is_left_also_of_what_the_tasks_put() -> None:
    async def main() -> None:
        async with connected() as (server, client):
            it = Rig(server, client, Bench(2))

            async def puts_more() -> None:
                await passes(1)
                await it.put(1)

            it.bench.plays = {2: puts_more}
            await it.put(3)
            await it.fetching.run_dry()
            assert it.bench.began == [1, 2, 3, 4]
            await it.bench.slots.close()

    virtual(main())

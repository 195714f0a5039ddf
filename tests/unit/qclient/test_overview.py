"""Rates between looks, who comes first, and how it is drawn."""

import io
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from rich.console import Console

from qclient import Client, ConnectionLost, sweep
from qclient.cli_output import fitted
from qclient.cli_screen import change, page, rate, size
from qclient.overview import Overview
from qclient.reports import Peer, Queue, peer, queue


class Server:
    """What a client would be told, and the time."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.began_at_s = 900.0
        self.figures: dict[str, Any] = {"puts_total": 0, "acks_total": 0}
        self.of_queues: dict[str, dict[str, str]] = {}
        self.of_peers: dict[int, dict[str, str]] = {}
        self.is_gone = False
        self.overview = Overview(cast("Client", self), lambda: self.now_s)

    async def stats(self) -> dict[str, Any]:
        if self.is_gone:
            raise ConnectionLost("gone")
        total = {"queues": len(self.of_queues)}
        return {"uptime_s": self.now_s - self.began_at_s, **total, **self.figures}

    async def queues(self, *, after: str | None, page: int) -> AsyncIterator[Queue]:
        for name in sorted(self.of_queues):
            if after is None or name > after:
                yield queue(name, self.of_queues[name])

    async def clients(self, *, after: int | None, page: int) -> AsyncIterator[Peer]:
        for number in sorted(self.of_peers):
            if after is None or number > after:
                yield peer(number, self.of_peers[number])

    def has(self, name: str, **counts: int) -> None:
        self.of_queues[name] = {state: str(count) for state, count in counts.items()}

    def knows(self, number: int, **words: str) -> None:
        self.of_peers[number] = words

    async def look(self, after_s: float = 0) -> Overview:
        self.now_s += after_s
        await self.overview.look()
        return self.overview


@pytest.fixture
def server() -> Server:
    return Server()


async def test_there_are_no_rates_at_the_first_look(server: Server) -> None:
    server.has("a", ready=3)
    overview = await server.look()
    assert overview.rates == {}
    assert [line.change_per_s for line in overview.queues(9)] == [None]


async def test_rates_are_differences_over_the_time_between_two_looks(server: Server) -> None:
    server.has("a", ready=30, leased=4, delayed=1, dead=1, done=7)
    await server.look()
    server.figures.update(puts_total=100, acks_total=7)
    server.has("a", ready=20, leased=6, delayed=2, dead=3, done=99)
    overview = await server.look(2.5)
    assert (overview.rates["put"], overview.rates["done"]) == (40, 2.8)
    assert overview.rates["lost"] == 0
    assert [line.change_per_s for line in overview.queues(9)] == [-2]


async def test_a_server_that_was_started_anew_counts_anew(server: Server) -> None:
    server.figures["puts_total"] = 1000
    server.knows(1, requests="1000")
    await server.look()
    server.began_at_s = server.now_s + 30
    server.figures["puts_total"] = 20
    server.knows(1, requests="5")
    overview = await server.look(200)  # up for longer than it was before
    assert overview.rates == {}
    assert [line.requests_per_s for line in overview.clients(9)] == [None]
    server.figures["puts_total"] = 30
    assert (await server.look(1)).rates["put"] == 10


async def test_a_look_that_fails_leaves_what_was_seen(server: Server) -> None:
    server.has("a", ready=3)
    await server.look()
    server.is_gone = True
    with pytest.raises(ConnectionLost):
        await server.look(1)
    assert [line.queue.name for line in server.overview.queues(9)] == ["a"]
    server.is_gone = False
    server.figures["puts_total"] = 30
    assert (await server.look(2)).rates["put"] == 10


async def test_the_busiest_queues_come_first_and_a_dropped_one_goes(server: Server) -> None:
    server.has("idle", dead=1000, done=1000, delayed=1000)
    server.has("deep", ready=50)
    server.has("held", leased=60)
    server.has("moving", ready=0)
    await server.look()
    assert [line.queue.name for line in server.overview.queues(2)] == ["held", "deep"]
    server.has("moving", ready=0, delayed=500)
    del server.of_queues["held"]
    overview = await server.look(1)
    assert [line.queue.name for line in overview.queues(9)] == ["moving", "deep", "idle"]


async def test_thousands_of_queues_are_looked_at_in_turns(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "ROWS_MAX", 4)
    for number in range(10):
        server.has(f"q{number}", ready=number)
    first = await server.look()
    assert (first.seen, first.is_whole) == (4, False)
    assert "4 of 10 queues looked at so far" in drawn(first)
    await server.look(1)
    last = await server.look(1)
    assert (last.seen, last.is_whole) == (10, True)
    assert "so far" not in drawn(last)
    for number in range(4):
        server.has(f"q{number}", ready=number + 60)
    assert (await server.look(1)).queues(1)[0].change_per_s == 20  # 60 in the 3 s since its turn


async def test_connections_of_one_session_are_one_client(server: Server) -> None:
    server.knows(1, client="w", session="s", leases="7", idle="0.5", requests="10")
    server.knows(2, client="w", session="s", leases="7", idle="4", requests="1", waiting="b,a")
    server.knows(3, client="lone", idle="2", requests="0")
    server.knows(4, idle="1", requests="0")
    await server.look()
    server.knows(1, client="w", session="s", leases="7", idle="0.1", requests="30")
    server.knows(2, client="w", session="s", leases="7", idle="5", requests="11", waiting="b,c")
    one, *others = (await server.look(2)).clients(9)
    assert (one.client, one.session, one.connections, one.leases) == ("w", "s", 2, 7)
    assert (one.idle_s, one.requests_per_s, one.waiting) == (0.1, 15, ("b", "c"))
    assert [(line.client, line.idle_s) for line in others] == [("#4", 1), ("lone", 2)]


async def test_as_json_it_is_all_there(server: Server) -> None:
    server.has("a", ready=3)
    server.knows(1, client="w", session="s", leases="7")
    await server.look()
    shown = (await server.look(1)).as_json(5)
    assert shown["figures"]["puts_total"] == 0
    assert shown["rates"]["put_per_s"] == 0
    (row,) = shown["queues"]
    assert (row["name"], row["ready"], row["change_per_s"]) == ("a", 3, 0)
    assert (shown["clients"][0]["session"], shown["clients"][0]["leases"]) == ("s", 7)


def drawn(
    overview: Overview, trouble: str = "", height: int | None = None, width: int = 110
) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(page(overview, "there:7711", trouble, 20, width=width, height=height))
    return cast("io.StringIO", console.file).getvalue()


async def test_what_is_drawn_says_what_is_wrong(server: Server) -> None:
    server.has("mail", ready=1234)
    server.of_queues["mail"]["paused"] = "yes"
    server.figures.update(sync="100ms", message_memory_bytes=1536, unsynced_age_s=0.1)
    shown = drawn(await server.look())
    assert "there:7711  up 1 m 40 s, sync 100ms, 1 queues" in shown
    assert "memory 1.5 KiB of messages" in shown
    assert "unsynced for 0.1 s" in shown
    (line,) = [line for line in shown.splitlines() if "mail" in line]
    assert ("1,234" in line, "mail (paused)" in line) == (True, True)
    assert "the disk" not in shown
    server.figures.update(disk_room="no", storage_error="input/output error")
    shown = drawn(await server.look(1), "no answer for 3 s")
    assert "the disk is full: PUTs are refused; the disk fails: input/output error\n" in shown
    assert ("no answer for 3 s" in shown, "there:7711" in shown) == (True, False)


@pytest.mark.parametrize("height", [15, 24, 50])
async def test_what_is_drawn_fits_the_screen(
    server: Server, monkeypatch: pytest.MonkeyPatch, height: int
) -> None:
    monkeypatch.setattr(sweep, "ROWS_MAX", 60)
    for number in range(70):
        server.has(f"q{number}", ready=number)
        server.knows(number, client=f"c{number}")
    server.figures.update(disk_room="no", storage_error="a long story" * 20)
    shown = drawn(await server.look(), "a long trouble" * 20, height).splitlines()
    assert len(shown) <= height
    assert sum(" c" in line for line in shown) > 1  # a client, besides the head
    assert "so far" in "".join(shown)


async def test_on_a_narrow_screen_the_longest_words_are_cut_and_no_column_vanishes(
    server: Server,
) -> None:
    counts = {"ready": 123_456, "delayed": 12, "leased": 345, "dead": 6, "done": 78_901}
    server.has("emails-of-the-shop-in-production", **counts)
    session = "shop:web-server-17.example.com:28956:1bb4fc57"
    server.knows(
        1, client="worker-17", session=session, leases="1234", idle="100", waiting="a" * 99
    )
    shown = drawn(await server.look(), width=80).splitlines()
    (of_queue,) = [line.split() for line in shown if "emails-of" in line]
    assert of_queue[1:] == ["123,456", "12", "345", "6", "78,901"]
    (of_client,) = [line.split() for line in shown if "worker-17" in line]
    assert (of_client[0], of_client[1][:5], of_client[2:4]) == (
        "worker-17",
        "shop:",
        ["1", "1,234"],
    )
    assert max(map(len, shown)) <= 80


def test_columns_that_do_not_fit_are_cut_from_the_widest_on() -> None:
    assert fitted([3, 5], 8) == [3, 5]
    assert fitted([3, 10**9, 20], 33) == [3, 15, 15]
    assert fitted([3, 10, 3], 12) == [3, 6, 3]
    assert fitted([3, 3], 0) == [1, 1]


def test_figures_for_people() -> None:
    assert [rate(value) for value in (0, 0.25, 9.96, 1234.6)] == ["0", "0.2", "10.0", "1,235"]
    assert [change(value) for value in (None, 0, 3, -1234)] == ["", "0", "+3.0", "-1,234"]
    sizes = [size(value) for value in (None, 512, 1536, 3 << 30, 5 << 40)]
    assert sizes == ["0 B", "512 B", "1.5 KiB", "3.0 GiB", "5.0 TiB"]

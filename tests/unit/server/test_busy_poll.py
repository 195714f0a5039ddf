"""When the loop looks on for the next request, and when it goes to sleep."""

import asyncio
import os
import time
from dataclasses import replace

import pytest

from qserver.config import Config
from qserver.server.busy_poll import (
    IN_ROW_MAX,
    IN_ROW_MIN,
    WINDOW_S,
    WORTH,
    BusyPoll,
    busy_poll_for,
)
from qserver.server.clock import Clock
from qserver.server.connection import Connection
from qserver.server.server import Server
from qserver.storage.memory import MemoryJournal
from tests.unit.server.test_turn import Wire

QUICK_S = WINDOW_S / 3
LATE_S = WINDOW_S * 2


class Life:
    """A poll, and the clock that its turns move."""

    def __init__(self, *, shares_syncs: bool = False, alone: bool = True) -> None:
        self.now = 100.0
        self.poll = BusyPoll(lambda: self.now, shares_syncs=shares_syncs)
        self.alone = alone

    def turns(self, count: int, gap_s: float = QUICK_S) -> list[bool]:
        """So many requests, each so long after the last turn; whether each began to poll."""
        began = []
        for _ in range(count):
            self.now += gap_s
            self.poll.heard(self.now)
            was_polling = self.poll.is_polling
            self.poll.turned(self.now, alone=self.alone)
            began.append(self.poll.is_polling and not was_polling)
        return began

    def wait_in_vain(self) -> None:
        self.now += LATE_S
        self.poll.look_on()
        assert not self.poll.is_polling


async def test_only_who_is_quick_several_times_in_a_row_is_waited_for() -> None:
    life = Life()
    assert life.turns(1, LATE_S) == [False]
    assert life.turns(IN_ROW_MIN - 1) == [False] * (IN_ROW_MIN - 1)
    assert life.turns(1, LATE_S) == [False]
    assert life.turns(IN_ROW_MIN) == [False] * (IN_ROW_MIN - 1) + [True]
    assert life.turns(5) == [False] * 5  # it is under way


async def test_it_looks_on_until_the_window_is_over() -> None:
    life = Life()
    life.turns(IN_ROW_MIN + 1)
    for _ in range(2):
        life.now += WINDOW_S * 0.9
        life.poll.look_on()
        assert life.poll.is_polling
        life.turns(1, 0.0)
    life.wait_in_vain()
    assert life.turns(1) == [False]


async def test_each_time_in_vain_it_takes_twice_as_many() -> None:
    life = Life()
    life.turns(1, LATE_S)
    needed = IN_ROW_MIN
    for _ in range(15):
        life.turns(1, LATE_S)
        began = life.turns(needed)
        assert began.index(True) == needed - 1
        life.wait_in_vain()
        needed = min(2 * needed, IN_ROW_MAX)
    assert needed == IN_ROW_MAX


async def test_what_was_worth_it_begins_again_as_soon_as_at_first() -> None:
    life = Life()
    life.turns(1, LATE_S)
    life.turns(IN_ROW_MIN)
    life.wait_in_vain()
    life.turns(1, LATE_S)
    life.turns(2 * IN_ROW_MIN + WORTH)
    life.wait_in_vain()
    life.turns(1, LATE_S)
    assert life.turns(IN_ROW_MIN)[-1]


@pytest.mark.parametrize("shares_syncs", [True, False])
@pytest.mark.parametrize("alone", [True, False])
async def test_several_who_share_a_sync_are_not_waited_for(
    *, shares_syncs: bool, alone: bool
) -> None:
    life = Life(shares_syncs=shares_syncs, alone=alone)
    life.turns(1, LATE_S)
    assert any(life.turns(2 * IN_ROW_MIN)) == (alone or not shares_syncs)


async def test_the_loop_looks_on_while_a_client_is_quick_and_sleeps_when_it_is_not() -> None:
    at = 100.0
    server = Server(Config(port=0), MemoryJournal(), 10, Clock(lambda: at))
    server._busy_poll = poll = BusyPoll(server.now)
    server.recover()
    connection = Connection(server)
    connection.connection_made(Wire())
    await asyncio.sleep(0)
    for _ in range(IN_ROW_MIN + 1):
        connection.data_received(b"PING\n")
        at += QUICK_S
    assert poll.is_polling
    for _ in range(3):
        await asyncio.sleep(0)
        assert poll.is_polling
    at += WINDOW_S
    await asyncio.sleep(0)
    assert not poll.is_polling
    at += 1.0
    connection.data_received(b"PING\n")
    await asyncio.sleep(0)
    assert not poll.is_polling


def test_it_can_be_switched_off_and_is_where_there_is_one_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert busy_poll_for(Config(), time.monotonic) is not None
    assert busy_poll_for(replace(Config(), busy_poll=False), time.monotonic) is None
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1})
    assert busy_poll_for(Config(), time.monotonic) is None
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert busy_poll_for(Config(), time.monotonic) is None

"""What the heartbeat's thread asks the server, without the thread."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from qclient.errors import CannotConnect, ConnectionLost, Unauthorized
from qclient.replies import ReplyReader, Request
from qclient.sync.connection import Connection
from qclient.sync.dialler import Dialler
from qclient.worker.heartbeat import Heartbeat
from qclient.worker.looping import LoopWatch


class Asked:
    """A connection whose server holds these leases."""

    def __init__(self, *leased: str) -> None:
        self.leased = leased
        self.lines: list[str] = []

    def exchange(self, request: Request[Any], patience_s: float) -> Any:
        line = request.line.decode().strip()
        self.lines.append(line)
        words = [word for word in line.split(" ")[1:] if "=" not in word]
        late = [] if words == ["*"] else [word for word in words if word not in self.leased]
        count = len(self.leased) if words == ["*"] else len(words) - len(late)
        said = "".join(f"* {receipt} not-leased\n" for receipt in late)
        return ReplyReader().feed(f"{said}OK {count}\n".encode())


class Heart:
    """A worker that holds these."""

    def __init__(self, *held: str, doubt: bool = False) -> None:
        self.held = held
        self.doubt = doubt
        self.lost: list[str] = []

    def receipts(self) -> list[str]:
        return list(self.held)

    def is_in_doubt(self) -> bool:
        return self.doubt

    def task_of(self, runner: object) -> str | None:
        return None

    def on_lost(self, receipts: Sequence[str]) -> None:
        self.lost += receipts

    def on_doubt(self) -> None: ...


async def beat(heart: Heart, server: Asked) -> list[str]:
    """One beat; what was asked."""
    dial = cast("Dialler", None)
    heartbeat = Heartbeat(dial, heart, lease_s=15, watch=LoopWatch(1, 60))
    heartbeat._touch(cast("Connection", server))
    await asyncio.sleep(0)
    return server.lines


async def test_one_touch_renews_all_when_nothing_is_missing() -> None:
    heart = Heart("1.1", "2.2")
    assert await beat(heart, Asked("1.1", "2.2")) == ["TOUCH * lease=15"]
    assert await beat(heart, Asked("1.1", "2.2", "3.3")) == ["TOUCH * lease=15"]
    assert heart.lost == []


async def test_what_is_missing_is_asked_for_by_receipt_and_told() -> None:
    heart = Heart("1.1", "2.2", "3.3")
    asked = await beat(heart, Asked("1.1", "3.3"))
    assert asked == ["TOUCH * lease=15", "TOUCH 1.1 2.2 3.3 lease=15"]
    assert heart.lost == ["2.2"]


async def test_in_doubt_only_what_is_known_is_renewed() -> None:
    assert await beat(Heart("1.1", doubt=True), Asked("1.1", "9.9")) == ["TOUCH 1.1 lease=15"]


async def test_when_nothing_is_held_nothing_is_asked() -> None:
    assert await beat(Heart(), Asked("9.9")) == []


async def test_many_receipts_go_in_several_lines() -> None:
    held = [f"{n}.{n}" for n in range(1, 1002)]
    heart = Heart(*held, doubt=True)
    asked = await beat(heart, Asked(*held[:-1]))
    assert [len(line.split(" ")) - 2 for line in asked] == [500, 500, 1]
    assert heart.lost == ["1001.1001"]


async def test_a_server_that_is_gone_and_then_refuses_is_told_each_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heartbeat = Heartbeat(cast("Dialler", None), Heart(), lease_s=15, watch=LoopWatch(1, 60))
    gone, refused = CannotConnect("gone"), Unauthorized("not the token")
    with caplog.at_level("INFO"):
        for error in (None, gone, gone, ConnectionLost("cut"), refused, refused, None, None):
            heartbeat._tell_of(error)
    told = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert told == ["gone", "not the token [unauthorized]", "the heartbeat is connected again"]

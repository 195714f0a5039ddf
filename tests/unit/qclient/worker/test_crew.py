"""One process that looks after others, with small programs in place of workers."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from qclient.backoff import Backoff
from qclient.worker import crew
from qclient.worker.crew import Crew, Restarts, exit_code

SOON = Backoff(first_s=0.01, max_s=0.01)


def test_pauses_grow_while_it_dies_soon_and_begin_anew_after_a_long_life() -> None:
    restarts = Restarts(Backoff(first_s=1, max_s=8, random=lambda: 1.0))
    pauses = [restarts.pause_s(lived_s) for lived_s in (0, 1, 59, 5, 5, 60, 0)]
    assert pauses == [1, 2, 4, 8, 8, 1, 2]


def test_exit_codes_are_those_of_a_shell() -> None:
    assert [exit_code(code) for code in (0, 2, -9, -15)] == [0, 2, 137, 143]


class Play:
    """A crew of small programs that write a line when they begin."""

    def __init__(self, tmp_path: Path, program: str, count: int = 2) -> None:
        self.path = tmp_path / "begun"
        self.path.touch()
        self.changed: asyncio.Queue[str] = asyncio.Queue()
        begin = (
            f"import os, signal, sys, time; n = os.environ['QCLIENT_WORKER_NUMBER']\n{program}\n"
        )
        begin += f"open({str(self.path)!r}, 'a').write(n + '\\n')\n"
        self.command = [sys.executable, "-c", begin + "signal.pause()\n"]
        self.count = count

    def crew(self, *, is_reloading: bool = False) -> Crew:
        changes = self._changes() if is_reloading else None
        return Crew(self.command, self.count, changes=changes, pauses=SOON)

    async def _changes(self) -> AsyncIterator[str]:
        while True:
            yield await self.changed.get()

    def begun(self) -> list[int]:
        return sorted(int(line) for line in self.path.read_text().split())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            turn = asyncio.Event()
            while not condition():
                asyncio.get_running_loop().call_later(0.01, turn.set)
                await turn.wait()
                turn.clear()


QUIET = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"
STUBBORN = "[signal.signal(each, signal.SIG_IGN) for each in (signal.SIGTERM, signal.SIGINT)]"


async def test_each_has_a_number_and_a_signal_stops_all(tmp_path: Path) -> None:
    play = Play(tmp_path, QUIET, count=3)
    made = play.crew()
    run = asyncio.create_task(made.run())
    await play.until(lambda: len(play.begun()) == 3)
    signal.raise_signal(signal.SIGINT)
    assert await run == 0
    assert play.begun() == [1, 2, 3]
    assert made.codes == {1: 0, 2: 0, 3: 0}


async def test_one_that_died_is_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play = Play(tmp_path, QUIET)
    made = play.crew()
    run = asyncio.create_task(made.run())
    await play.until(lambda: len(play.begun()) == 2)
    made._processes[2].kill()
    await play.until(lambda: len(play.begun()) == 3)
    made.on_signal()
    assert await run == 0
    assert play.begun() == [1, 2, 2]
    assert "worker 2 died with -9" in caplog.text


async def test_all_end_when_one_can_only_fail(tmp_path: Path) -> None:
    play = Play(tmp_path, f"{QUIET}\nif n == '2': sys.exit(2)")
    assert await play.crew().run() == 2
    assert play.begun() in ([], [1])


async def test_who_is_stopped_before_it_has_begun_has_not_failed(tmp_path: Path) -> None:
    play = Play(tmp_path, "")
    made = play.crew()
    run = asyncio.create_task(made.run())
    await play.until(lambda: len(play.begun()) == 2)
    made.on_signal()
    assert await run == 0


async def test_it_ends_when_all_have_ended_well(tmp_path: Path) -> None:
    play = Play(tmp_path, "sys.exit(0)")
    assert await play.crew().run() == 0


async def test_the_second_signal_kills_after_a_while_and_the_third_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(tmp_path, STUBBORN)
    made = play.crew()
    run = asyncio.create_task(made.run())
    await play.until(lambda: len(play.begun()) == 2)
    for _ in range(3):
        made.on_signal()
    assert await run == 137
    monkeypatch.setattr(crew, "LEAVE_S", 0.05)
    made = play.crew()
    run = asyncio.create_task(made.run())
    await play.until(lambda: len(play.begun()) == 4)
    made.on_signal()
    made.on_signal()
    assert await run == 137


async def test_a_change_starts_all_again_also_those_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "RELOAD_S", 0.05)
    monkeypatch.setattr(crew, "LEAVE_S", 0.05)
    play = Play(tmp_path, f"if n == '1': {QUIET}\nelse: {STUBBORN}", count=3)
    made = play.crew(is_reloading=True)
    run = asyncio.create_task(made.run())
    await play.until(lambda: len(play.begun()) == 3)
    made._processes[3].kill()
    await play.until(lambda: 3 in made.codes)
    play.changed.put_nowait("a.py")
    await play.until(lambda: len(play.begun()) == 6)
    assert play.begun() == [1, 1, 2, 2, 3, 3]
    for _ in range(3):
        made.on_signal()
    assert await run == 137


async def test_signals_to_one_that_is_ending_do_not_hide_how_it_ended(tmp_path: Path) -> None:
    made = Play(tmp_path, "", count=0).crew()
    codes = set()
    for _ in range(40):
        process = await asyncio.create_subprocess_exec("sleep", "60")
        for _ in range(2000):  # it ends meanwhile
            made._send(signal.SIGTERM, [process])
        codes.add(await process.wait())
        made._send(signal.SIGTERM, [process])
    assert codes == {-signal.SIGTERM}
    await made.run()


async def test_workers_are_told_when_the_first_is_gone(tmp_path: Path) -> None:
    play = Play(tmp_path, "os.read(0, 1)", count=1)
    made = play.crew()
    run = asyncio.create_task(made.run())
    await play.until(lambda: bool(made._processes))
    assert play.begun() == []
    made._write_end, whole = -1, made._write_end
    os.close(whole)
    made._write_end = os.dup(made._read_end)
    await play.until(lambda: play.begun() == [1])
    for _ in range(3):
        made.on_signal()
    await run

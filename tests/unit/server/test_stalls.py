"""How long the turns of the loop take."""

import asyncio
from pathlib import Path

from qserver.config import Config
from qserver.server.clock import Clock
from qserver.server.server import Server
from qserver.server.stalls import LOOKS, STALL_S, Stalls
from qserver.storage.memory import MemoryJournal


def test_the_longest_turn_is_forgotten_after_a_while_and_stalls_are_not() -> None:
    stalls = Stalls()
    stalls.note(0.5)
    stalls.note(STALL_S)
    assert stalls.figures() == {"turn_ms_max": 500.0, "stalls_total": 1}
    for _ in range(LOOKS):
        stalls.look()
    stalls.note(0.002)
    assert stalls.figures()["turn_ms_max"] == 500.0
    for _ in range(LOOKS):
        stalls.look()
    assert stalls.figures() == {"turn_ms_max": 2.0, "stalls_total": 1}


async def test_a_turn_lasts_from_the_first_bytes_to_what_is_done_with_them(tmp_path: Path) -> None:
    at = 100.0
    server = Server(Config(port=0, data=tmp_path), MemoryJournal(), 10, Clock(lambda: at))
    server.recover()
    await server.start()
    server.end_turn_soon(at)
    at += 0.25  # what the sockets took
    await asyncio.sleep(0)
    server.end_turn_soon()
    at += 0.004
    await asyncio.sleep(0)
    assert server.figures()["turn_ms_max"] == 250.0
    assert server.figures()["stalls_total"] == 1
    server.stop()
    await server.serve_until_stopped()

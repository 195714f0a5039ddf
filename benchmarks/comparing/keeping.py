"""Memory of what is queued, and the time to be back after a kill."""

import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.comparing.contestants import Contestant
from benchmarks.comparing.driving import drive
from benchmarks.comparing.plan import Cell
from benchmarks.comparing.serving import PATIENCE_S, Running

FILLING = Cell(4, 100)
WARM_UP = 4_000
MILLION = 1_000_000


@dataclass(frozen=True)
class Kept:
    """What queued messages take.

    Attributes:
        bytes_each: resident memory that came with them, a message.
        empty_start_s: from the start of the process to its first answer, with nothing stored.
        start_s: the same with the messages stored, after a kill -9; None where nothing is on disk.
        million_s: that for a million, the messages' part scaled.
        lost: how many of them were not there again.
    """

    server: str
    durability: str
    messages: int
    bytes_each: float
    empty_start_s: float
    start_s: float | None = None
    million_s: float | None = None
    lost: int = 0

    def as_json(self) -> dict[str, str | float | None]:
        """As it is."""
        return asdict(self)


def keep(
    generator: Path, contestant: Contestant, durability: str, count: int, body_bytes: int
) -> Kept:
    """Fill a fresh server, weigh it, and start it again where it has anything on disk.

    Raises:
        FailedError: it could not be filled, or does not start.
    """
    directory = Path(tempfile.mkdtemp(prefix="qserver-compare-"))
    count = max(FILLING.ahead, count // FILLING.ahead * FILLING.ahead)
    try:
        running = Running(contestant, durability, directory)
        try:
            running.prepare()
            drive(generator, running, "cycle", FILLING, WARM_UP, body_bytes)
            before = running.rss_bytes()
            drive(generator, running, "put", FILLING, count, body_bytes)
            bytes_each = (running.rss_bytes() - before) / count
        finally:
            running.kill()
        empty_s = running.start_s
        kept = Kept(contestant.name, durability, count, bytes_each, empty_s)
        return kept if durability == "none" else _restart(kept, contestant, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _restart(kept: Kept, contestant: Contestant, directory: Path) -> Kept:
    began = time.perf_counter()
    again = Running(contestant, kept.durability, directory)
    try:
        queued = _settled(again, kept.messages)
        start_s = time.perf_counter() - began
    finally:
        again.kill()
    scaled = max(0.0, start_s - kept.empty_start_s) * MILLION / kept.messages
    return Kept(
        kept.server,
        kept.durability,
        kept.messages,
        kept.bytes_each,
        kept.empty_start_s,
        start_s,
        kept.empty_start_s + scaled,
        kept.messages - queued,
    )


def _settled(running: Running, expected: int) -> int:
    """What it holds once it holds all, or once that has not changed for a second."""
    queued = running.queued_at_start
    steady_at = time.monotonic() + 1
    give_up_at = time.monotonic() + PATIENCE_S
    while queued != expected and time.monotonic() < min(steady_at, give_up_at):
        time.sleep(0.005)
        now_queued = running.queued()
        if now_queued != queued:
            queued, steady_at = now_queued, time.monotonic() + 1
    return queued

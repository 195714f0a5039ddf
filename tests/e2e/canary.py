"""A client beside an abuse, that measures what it feels of it.

A process of its own, so that it does not wait for the test's threads: one connection, PUT, GET and
ACK in turn, each latency measured by this client. The machine is shared with whoever else works on
it: the bar is 50 ms, higher by as much as the machine's load is over its cores, or three times what
the same canary took just before, alone; one bad run is not held against the server, three are.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.e2e.process import PATIENCE_S, QServer

P99_S_MAX: Final = 0.05
ALONE_S: Final = 0.3
CROWDING_MAX: Final = 3.0
REQUESTS_MIN: Final = 10
TRIES: Final = 3
PAUSE_S: Final = 0.002
"""Between two rounds: a canary is a customer, no load."""

ROOT: Final = Path(__file__).parents[2]


@dataclass
class Watch:
    """What the canary took in a span of time: p99 in seconds, and how many requests."""

    p99_s: float = 0.0
    requests: int = 0


class Canary:
    """The process, and what it has measured when it has been told to end."""

    def __init__(self, server: QServer) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.canary", str(server.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "singing\n"
        self._spans: list[tuple[Watch, float, float]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate(timeout=PATIENCE_S)

    @contextlib.contextmanager
    def watch(self) -> Iterator[Watch]:
        """Look at what it takes meanwhile; known when it has ended."""
        watched = Watch()
        began = time.monotonic()
        yield watched
        self._spans.append((watched, began, time.monotonic()))

    def end(self) -> None:
        """Let it end, and reckon what was watched.

        A request counts where it ended, and one that was never answered fails the canary.
        """
        said, _ = self._process.communicate("end\n", timeout=PATIENCE_S)
        assert self._process.returncode == 0, "the canary was not served"
        latencies: list[tuple[float, float]] = json.loads(said)
        for watched, began, ended in self._spans:
            taken = sorted(s for at, s in latencies if began <= at and at - s <= ended)
            watched.requests = len(taken)
            watched.p99_s = taken[len(taken) * 99 // 100] if taken else PATIENCE_S


def crowding() -> float:
    """How many want each core of the machine; 1 if it is not crowded."""
    return min(max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0), CROWDING_MAX)


def feel(server: QServer, abuse: Callable[[], None]) -> None:
    """Do the abuse with a canary beside it, which must hardly feel it."""
    felt = []
    for _ in range(TRIES):
        with Canary(server) as canary:
            with canary.watch() as alone:
                time.sleep(ALONE_S)
            with canary.watch() as beside:
                abuse()
            canary.end()
        p99_s_max = max(P99_S_MAX * crowding(), 3 * alone.p99_s)
        if beside.requests >= REQUESTS_MIN and beside.p99_s < p99_s_max:
            return
        felt.append(f"alone {alone}, beside {beside}, the bar was {p99_s_max:.3f} s")
    raise AssertionError("; ".join(felt))


def sing(port: int) -> None:
    """PUT, GET and ACK in turn until told to end; then print when each ended, and what it took."""
    taken: list[tuple[float, float]] = []
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        replies = sock.makefile("rb")

        def ask(line: bytes) -> bytes:
            began = time.monotonic()
            sock.sendall(line + b"\n")
            first = reply = replies.readline()
            while reply.startswith(b"* "):
                reply = replies.readline()
            ended = time.monotonic()
            taken.append((ended, ended - began))
            assert reply.startswith(b"OK "), reply
            return first

        ask(b"PURGE canary")
        sys.stdout.write("singing\n")
        sys.stdout.flush()
        number = 0
        while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
            number += 1
            ask(b'PUT canary {"n":%d}' % number)
            words = ask(b"GET canary").split()
            assert words[-1] == b'{"n":%d}' % number, words
            assert ask(b"ACK " + words[1]) == b"OK 1\n"
    sys.stdout.write(json.dumps(taken))


if __name__ == "__main__":
    sing(int(sys.argv[1]))

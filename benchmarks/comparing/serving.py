"""A contestant's process, on a free port and in a directory of its own."""

import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from benchmarks.comparing.contestants import Contestant

PATIENCE_S = 120.0

T = TypeVar("T")


class FailedError(Exception):
    """A server does not start, or not what it should has come of a run against it."""


class Running:
    """A server that answers.

    Attributes:
        durability: the class it runs in.
        start_s: how long it took from the call that starts the process to its first answer.
    """

    def __init__(self, contestant: Contestant, durability: str, directory: Path) -> None:
        """Start it and wait until it answers.

        Raises:
            FailedError: with the end of its log.
        """
        self.contestant = contestant
        self.durability = durability
        self.directory = directory
        self.port = free_port()
        command = contestant.command(durability, directory, self.port)
        began = time.perf_counter()
        with (directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=contestant.environment(),
            )
        try:
            self.queued_at_start = self._answer(lambda: contestant.queued(self.port))
        except BaseException:
            self.kill()
            raise
        self.start_s = time.perf_counter() - began

    @property
    def every_ack_answered(self) -> bool:
        """Whether acks that a protocol need not answer are: only an answer says it is synced."""
        return self.durability == "always"

    def prepare(self) -> None:
        """Make what the queue needs in a server that starts empty."""
        self._answer(lambda: self.contestant.prepare(self.port))

    def queued(self) -> int:
        """How many messages it holds."""
        return self.contestant.queued(self.port)

    def rss_bytes(self) -> int:
        """Memory that the process occupies."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """Let it end in good order."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def _answer(self, ask: Callable[[], T]) -> T:
        """What it answers as soon as it does."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                return ask()
            except OSError as error:
                if self.process.poll() is None and time.monotonic() < give_up_at:
                    time.sleep(0.002)
                    continue
                log = (self.directory / "log").read_text(errors="replace")[-2000:]
                raise FailedError(f"it does not answer: {error}\n{log}") from None


@contextmanager
def serving(contestant: Contestant, durability: str) -> Iterator[Running]:
    """A prepared server in a directory that is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="qserver-compare-"))
    try:
        running = Running(contestant, durability, directory)
        try:
            running.prepare()
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def sync_ms() -> float:
    """What a sync alone takes where the servers' directories are: median of 50, 4 KiB each."""
    took = []
    with tempfile.TemporaryFile(prefix="qserver-compare-", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port

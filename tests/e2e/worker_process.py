"""A worker in a process of its own, as a user runs it, and what its tasks noted."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.e2e.process import PATIENCE_S, clean_environment

ROOT = Path(__file__).parents[2]


class Note(NamedTuple):
    """A line that a task wrote."""

    word: str
    n: int
    pid: int
    at: float


class Notes:
    """The file that tasks write to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def read(self, word: str = "", pid: int | None = None) -> list[Note]:
        """All whole lines of that word and process."""
        lines = [line.split() for line in self.path.read_text().splitlines()]
        notes = [Note(line[0], int(line[1]), int(line[2]), float(line[3])) for line in lines]
        return [
            note
            for note in notes
            if note.word.startswith(word) and (pid is None or note.pid == pid)
        ]

    def count(self, word: str, pid: int | None = None) -> int:
        return len(self.read(word, pid))


class WorkerProcess:
    """`qclient worker`; killed at the end if still there."""

    def __init__(
        self,
        url: str,
        notes: Notes,
        *flags: str,
        app: str = "tests.e2e.worker_tasks:app",
        directory: Path = ROOT,
    ) -> None:
        words = ["-u", url, "worker", app, *flags]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qclient", *words],
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
            start_new_session=True,  # so that a test can signal its group, as a terminal does
            env=clean_environment(QTEST_NOTES=str(notes.path), PYTHONPATH=str(ROOT)),
        )
        self.pid = self.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        """Its exit code and what it logged, once it has ended."""
        _, logged = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, logged


def wait_until(condition: Callable[[], object]) -> None:
    """Look again and again, for as long as a test may take."""
    gives_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < gives_up_at, "it never became so"
        time.sleep(0.01)

"""Workers and a server in random trouble: every task is done, and none runs beside itself."""

import itertools
import random
import signal
import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests.e2e.process import QServer
from tests.e2e.test_worker_faults import put_naps, stored
from tests.e2e.worker_process import Note, Notes, WorkerProcess, wait_until

TASKS = 1500
WORKERS = 3
FLAGS = ("-c", "10", "--session-grace", "2", "--lease", "3", "--grace", "100ms")


class Fleet:
    """Some workers and a server, and when each worker died."""

    def __init__(self, data: Path, notes: Notes, seed: int) -> None:
        self.data = data
        self.notes = notes
        self.random = random.Random(seed)
        self.server = QServer(data)
        self.ended_at: dict[int, float] = {}
        self.workers = [self._worker() for _ in range(WORKERS)]

    def trouble(self) -> None:
        """Something happens."""
        at = self.random.randrange(WORKERS)
        worker = self.workers[at]
        what = self.random.choice(["kill", "stop", "freeze", "server"])
        if what == "freeze":
            worker.send_signal(signal.SIGSTOP)
            time.sleep(0.5)
            worker.send_signal(signal.SIGCONT)
        elif what == "server":
            port = self.server.port
            self.server.kill()
            self.server = QServer(self.data, port=port)
        else:
            worker.send_signal(signal.SIGKILL if what == "kill" else signal.SIGTERM)
            worker.process.communicate()
            self.ended_at[worker.pid] = time.monotonic()
            self.workers[at] = self._worker()

    def end(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.communicate()
        self.server.kill()

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(self.server.url, self.notes, *FLAGS)


def overlaps(notes: list[Note], ended_at: dict[int, float]) -> list[tuple[Note, Note]]:
    """Runs of the same message that began while an earlier one went on in a living process."""
    runs: dict[int, list[Note]] = defaultdict(list)
    ends = {(note.n, note.pid): note.at for note in notes if note.word != "begin"}
    for note in notes:
        if note.word == "begin":
            runs[note.n].append(note)
    return [
        (earlier, later)
        for each in runs.values()
        for earlier, later in itertools.pairwise(each)
        if later.at
        < min(
            ends.get((earlier.n, earlier.pid), float("inf")),
            ended_at.get(earlier.pid, float("inf")),
        )
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_task_is_done_and_none_runs_beside_itself(tmp_path: Path, seed: int) -> None:
    notes = Notes(tmp_path / "notes")
    fleet = Fleet(tmp_path / "data", notes, seed)
    try:
        put_naps(fleet.server, TASKS, 0.3)
        for _ in range(12):
            time.sleep(fleet.random.uniform(0.2, 1.2))
            fleet.trouble()
        wait_until(lambda: {note.n for note in notes.read("end")} == set(range(TASKS)))
        wait_until(lambda: stored(fleet.server) == [])
        assert overlaps(notes.read(), fleet.ended_at) == []
    finally:
        fleet.end()

"""Periodic tasks, real workers, a real server: each due time runs once."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import QServer
from tests.e2e.worker_process import Notes, WorkerProcess, wait_until

APP = "tests.e2e.periodic_tasks:app"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QServer]:
    with QServer(tmp_path / "data") as running:
        yield running


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


def dues_ms(notes: Notes, word: str) -> list[int]:
    return sorted(note.n for note in notes.read(word))


def is_gapless(dues: list[int]) -> bool:
    return dues == list(range(dues[0], dues[-1] + 1, 200))


def test_each_due_time_runs_once_while_workers_come_and_go(server: QServer, notes: Notes) -> None:
    with (
        WorkerProcess(server.url, notes, app=APP) as first,
        WorkerProcess(server.url, notes, app=APP) as second,
    ):
        wait_until(lambda: notes.count("tick", first.pid) and notes.count("tick", second.pid))
        for worker in (first, second):
            worker.send_signal(signal.SIGTERM)
            assert worker.wait()[0] == 0
    stopped_at = time.time()
    seen = notes.count("tick")
    wait_until(lambda: time.time() > stopped_at + 0.7)
    with WorkerProcess(server.url, notes, app=APP) as third:
        # The newest may come before those that were missed: one from before has these put.
        wait_until(lambda: notes.count("tick") > seen + 3 and is_gapless(dues_ms(notes, "tick")))
        third.send_signal(signal.SIGTERM)
        assert third.wait()[0] == 0
    assert is_gapless(dues_ms(notes, "tick"))
    seconds = dues_ms(notes, "second")
    assert len(set(seconds)) == len(seconds)
    assert {due % 1000 for due in seconds} == {0}


def test_what_is_due_in_months_is_seen_at_the_server_once(server: QServer, notes: Notes) -> None:
    with (
        WorkerProcess(server.url, notes, app=APP),
        WorkerProcess(server.url, notes, app=APP),
    ):
        wait_until(lambda: b"duplicates_total=0" not in server.ask(b"STATS\n"))
        wait_until(lambda: b"dedup=yearly@" in server.ask(b"LIST yearly\n"))
        listed = server.ask(b"LIST yearly\n").decode()
    assert " delayed due_in=" in listed
    assert "dedup=yearly@" in listed
    assert "-01-01T01:30:00Z" in listed
    assert listed.endswith("OK 1\n")


def test_what_was_purged_is_put_again_by_the_next_worker(server: QServer, notes: Notes) -> None:
    def waiting() -> bytes:
        return server.ask(b"LIST yearly\n")

    with WorkerProcess(server.url, notes, app=APP):
        wait_until(lambda: b"dedup=yearly@" in waiting())
        assert server.ask(b"PURGE yearly\n") == b"OK 1\n"
        with WorkerProcess(server.url, notes, app=APP):
            wait_until(lambda: b"dedup=yearly@" in waiting())
    assert waiting().endswith(b"OK 1\n")

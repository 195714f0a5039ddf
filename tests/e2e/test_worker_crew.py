"""Several worker processes, reloading, and the probe: real processes, as a user starts them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.process import PATIENCE_S, QServer, clean_environment
from tests.e2e.worker_process import ROOT, Notes, WorkerProcess, wait_until
from tests.e2e.worker_tasks import app, nap

TASKS = """
from qclient.tasks import App
from tests.e2e.worker_tasks import note

app = App("reloaded", queue="q")

@app.task
async def work() -> None:
    note("version", {version})
"""

MISTAKE = """
from tests.e2e.worker_tasks import note

note("mistake", 0)
raise ValueError("mistaken")
"""


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


def put_naps(server: QServer, count: int, seconds: float) -> None:
    async def main() -> None:
        async with app.connect(server.url):
            await nap.put_many(nap.call(n, seconds) for n in range(count))

    asyncio.run(main())


def pids(notes: Notes) -> set[int]:
    return {note.pid for note in notes.read("begin")}


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def states(server: QServer) -> list[bytes]:
    """State and counters of each message of the queue."""
    lines = server.ask(b"LIST q\n").splitlines()
    return [b" ".join(w for w in line.split() if b"deliveries" not in w) for line in lines[:-1]]


@pytest.mark.slow
def test_several_processes_work_and_one_that_is_killed_comes_back(
    server: QServer, notes: Notes, tmp_path: Path
) -> None:
    put_naps(server, 4, 3600)
    flags = ("--processes", "2", "-c", "2", "--session-grace", "100ms", "--grace", "0")
    health = ("--health-file", str(tmp_path / "well"))
    with WorkerProcess(server.url, notes, *flags, *health) as crew:
        wait_until(lambda: notes.count("begin") == 4)
        assert sorted(path.name for path in tmp_path.glob("well*")) == ["well.1", "well.2"]
        first, second = pids(notes)
        assert crew.pid not in (first, second)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: notes.count("begin") == 6)
        (third,) = pids(notes) - {first, second}
        crew.send_signal(signal.SIGTERM)
        code, logged = crew.wait()
    assert code == 0
    assert logged.count("\n  tasks\n") <= 2  # the first worker says what runs, at each start
    assert "died with -9" in logged
    assert not any(is_there(pid) for pid in (first, second, third))
    assert len(states(server)) == 4
    assert all(b" ready " in state and b"failures" not in state for state in states(server))


@pytest.mark.slow
def test_a_signal_to_several_lets_what_runs_end_and_a_second_one_leaves(
    server: QServer, notes: Notes
) -> None:
    put_naps(server, 2, 0.4)
    flags = ("--processes", "2", "-c", "1", "--grace", "1h")
    with WorkerProcess(server.url, notes, *flags) as crew:
        wait_until(lambda: notes.count("begin") == 2)
        os.killpg(crew.pid, signal.SIGINT)  # Ctrl-C goes to the whole group
        assert crew.wait()[0] == 0
    assert notes.count("end") == 2
    assert states(server) == []
    put_naps(server, 2, 3600)
    with WorkerProcess(server.url, notes, *flags) as crew:
        wait_until(lambda: notes.count("begin") == 4)
        began_at = time.monotonic()
        crew.send_signal(signal.SIGTERM)
        crew.send_signal(signal.SIGINT)
        assert crew.wait()[0] == 0
        assert time.monotonic() - began_at < 30  # their grace is an hour
    assert len(states(server)) == 2
    assert all(b" ready " in state and b"losses" not in state for state in states(server))


@pytest.mark.slow
def test_workers_whose_first_process_was_killed_stop_by_themselves(
    server: QServer, notes: Notes
) -> None:
    put_naps(server, 2, 3600)
    flags = ("--processes", "2", "-c", "1", "--grace", "0")
    with WorkerProcess(server.url, notes, *flags) as crew:
        wait_until(lambda: notes.count("begin") == 2)
        workers = pids(notes)
        crew.process.kill()
        wait_until(lambda: not any(is_there(pid) for pid in workers))
    assert all(b" ready " in state and b"losses" not in state for state in states(server))


def test_what_can_only_fail_is_not_tried_for_ever(server: QServer, notes: Notes) -> None:
    with WorkerProcess(server.url, notes, "--processes", "2", app="no_such_module:app") as crew:
        code, logged = crew.wait()
    assert (code, "there is no module 'no_such_module'" in logged) == (2, True)


@pytest.mark.slow
def test_a_changed_file_is_run_as_it_is_now_also_after_a_mistake(
    server: QServer, notes: Notes, tmp_path: Path
) -> None:
    module = tmp_path / "code" / "reloaded.py"
    module.parent.mkdir()
    module.write_text(TASKS.format(version=1))
    with WorkerProcess(
        server.url, notes, "--reload", app="reloaded:app", directory=module.parent
    ) as worker:
        server.ask(b'PUT q {"task":"work"}\n')
        wait_until(lambda: [note.n for note in notes.read("version")] == [1])
        module.write_text(MISTAKE)
        wait_until(lambda: notes.count("mistake") == 1)
        module.write_text(TASKS.format(version=2))
        server.ask(b'PUT q {"task":"work"}\n')
        wait_until(lambda: [note.n for note in notes.read("version")] == [1, 2])
        worker.send_signal(signal.SIGTERM)
        code, logged = worker.wait()
    assert code == 0
    assert "ValueError: mistaken" in logged
    assert "reloaded.py changed" in logged


@pytest.mark.slow
def test_the_probe_says_whether_the_worker_was_well_lately(
    server: QServer, notes: Notes, tmp_path: Path
) -> None:
    path = tmp_path / "well"

    def check(*flags: str) -> int:
        command = [sys.executable, "-m", "qclient", "worker", "--check", *flags]
        environment = clean_environment(QCLIENT_HEALTH_FILE=str(path))
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, timeout=PATIENCE_S, check=False
        ).returncode

    assert check() == 1
    with WorkerProcess(server.url, notes, "--health-file", str(path)) as worker:
        wait_until(path.exists)
        assert check() == 0
        assert check("--processes", "2") == 1
        worker.send_signal(signal.SIGTERM)
        assert worker.wait()[0] == 0
    assert check() == 1

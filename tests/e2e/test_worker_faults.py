"""Workers that die, are stopped, lose their server or block their loop."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qclient import connect
from qclient.message import Stored
from tests.e2e.process import QServer
from tests.e2e.worker_process import Notes, WorkerProcess, wait_until
from tests.e2e.worker_tasks import app, block, nap


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QServer]:
    with QServer(tmp_path / "data") as running:
        yield running


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


def put_naps(server: QServer, count: int, seconds: float) -> None:
    async def main() -> None:
        async with app.connect(server.url):
            await nap.put_many(nap.call(n, seconds) for n in range(count))

    asyncio.run(main())


def put_block(server: QServer, seconds: float) -> None:
    async def main() -> None:
        async with app.connect(server.url):
            await block.put(1, seconds)

    asyncio.run(main())


def stored(server: QServer) -> list[Stored[object]]:
    async def main() -> list[Stored[object]]:
        async with connect(server.url) as client:
            return [message async for message in client.list("q")]

    return asyncio.run(main())


@pytest.mark.hasty
def test_what_a_killed_worker_ran_begins_elsewhere_within_the_grace_and_a_second(
    server: QServer, notes: Notes
) -> None:
    flags = ("--session-grace", "1", "--lease", "60")
    with WorkerProcess(server.url, notes, *flags) as first:
        put_naps(server, 100, 3600)
        wait_until(lambda: notes.count("begin", first.pid) == 100)
        with WorkerProcess(server.url, notes, *flags) as second:
            wait_until(lambda: b"waiting=1" in server.ask(b"LIST\n"))
            killed_at = time.monotonic()
            first.process.kill()
            wait_until(lambda: notes.count("begin", second.pid) == 100)
            begins = [note.at - killed_at for note in notes.read("begin", second.pid)]
            assert 0.9 < min(begins) <= max(begins) < 2
            assert {note.n for note in notes.read("begin", second.pid)} == set(range(100))
            assert {message.losses for message in stored(server)} == {1}


@pytest.mark.slow
def test_a_stopped_worker_ends_what_runs_and_gives_back_the_rest_at_once(
    server: QServer, notes: Notes
) -> None:
    put_naps(server, 20, 5)
    with WorkerProcess(server.url, notes, "-c", "4", "--prefetch", "8") as worker:
        wait_until(lambda: notes.count("begin") == 4)
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: len([m for m in stored(server) if m.state == "ready"]) == 16)
        assert notes.count("end") == 0
        code, logged = worker.wait()
        assert (code, "Traceback" in logged) == (0, False)
    assert (notes.count("begin"), notes.count("end")) == (4, 4)
    assert len(stored(server)) == 16
    assert all((m.failures, m.losses) == (0, 0) for m in stored(server))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_does_not_end_in_its_grace_is_cancelled_and_released_uncounted(
    server: QServer, notes: Notes, number: signal.Signals
) -> None:
    put_naps(server, 5, 3600)
    with WorkerProcess(server.url, notes, "--grace", "200ms") as worker:
        wait_until(lambda: notes.count("begin") == 5)
        worker.send_signal(number)
        assert worker.wait()[0] == 0
    assert notes.count("cancelled-stop") == 5
    assert [(m.state, m.failures, m.losses) for m in stored(server)] == [("ready", 0, 0)] * 5


def test_a_second_signal_leaves_now_and_gives_everything_back(
    server: QServer, notes: Notes
) -> None:
    put_naps(server, 5, 3600)
    with WorkerProcess(server.url, notes, "--grace", "1h") as worker:
        wait_until(lambda: notes.count("begin") == 5)
        began_at = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        worker.send_signal(signal.SIGINT)
        assert worker.wait()[0] == 0
        assert time.monotonic() - began_at < 10  # its grace is an hour
    assert [(m.state, m.failures, m.losses) for m in stored(server)] == [("ready", 0, 0)] * 5


@pytest.mark.slow
def test_a_second_signal_ends_a_worker_whose_loop_is_blocked(server: QServer, notes: Notes) -> None:
    put_block(server, 60)
    with WorkerProcess(server.url, notes) as worker:
        wait_until(lambda: notes.count("begin") == 1)
        worker.send_signal(signal.SIGTERM)
        time.sleep(1)  # else the system makes one of two signals
        worker.send_signal(signal.SIGTERM)
        code, logged = worker.wait()
        assert (code, "1 messages are released" in logged) == (143, True)
    assert [(m.state, m.failures, m.losses) for m in stored(server)] == [("ready", 0, 0)]


@pytest.mark.slow
@pytest.mark.hasty
def test_a_task_that_blocks_the_loop_for_ten_leases_is_not_run_twice(
    server: QServer, notes: Notes
) -> None:
    server.ask(b"QUEUE q backoff=2\n")  # else there is no queue to wait for
    flags = ("--lease", "1s", "--session-grace", "1s", "--blocked", "300ms")
    with (
        WorkerProcess(server.url, notes, *flags) as first,
        WorkerProcess(server.url, notes, *flags) as second,
    ):
        wait_until(lambda: b"waiting=2" in server.ask(b"LIST\n"))
        put_block(server, 10)
        wait_until(lambda: notes.count("end") == 1)
        wait_until(lambda: stored(server) == [])
        assert notes.count("begin") == 1
        for each in (first, second):
            each.send_signal(signal.SIGTERM)
        logged = first.wait()[1] + second.wait()[1]
    assert "blocked" in logged
    assert "task block, " in logged
    assert "worker_tasks.py" in logged


def test_a_worker_keeps_its_tasks_while_its_server_is_killed_and_started_again(
    tmp_path: Path, notes: Notes
) -> None:
    with QServer(tmp_path / "data") as first:
        port = first.port
        put_naps(first, 10, 1.5)
        with WorkerProcess(first.url, notes) as worker:
            wait_until(lambda: notes.count("begin") == 10)
            first.kill()
            with QServer(tmp_path / "data", port=port) as second:
                put_naps(second, 10, 0)
                wait_until(lambda: stored(second) == [])
                worker.send_signal(signal.SIGTERM)
                assert worker.wait()[0] == 0
    assert (notes.count("begin"), notes.count("end")) == (20, 20)


@pytest.mark.slow
@pytest.mark.hasty
def test_a_blocked_worker_keeps_its_session_while_its_server_starts_again(
    tmp_path: Path, notes: Notes
) -> None:
    flags = ("--lease", "60", "--session-grace", "2", "--blocked", "200ms")
    with QServer(tmp_path / "data") as first:
        port = first.port
        first.ask(b"QUEUE q backoff=2\n")
        with WorkerProcess(first.url, notes, *flags) as worker:
            wait_until(lambda: b"waiting=1" in first.ask(b"LIST\n"))
            time.sleep(1)  # the heartbeat has connected, and finds it closed
            put_block(first, 5)
            wait_until(lambda: notes.count("begin") == 1)
            first.kill()
            with QServer(tmp_path / "data", port=port) as second:
                wait_until(lambda: notes.count("end") == 1)
                wait_until(lambda: stored(second) == [])
                worker.send_signal(signal.SIGTERM)
                assert worker.wait()[0] == 0
    assert notes.count("begin") == 1


@pytest.mark.slow
@pytest.mark.hasty
def test_four_workers_outlive_their_server_and_every_task_is_done(
    tmp_path: Path, notes: Notes
) -> None:
    count = 4000
    with QServer(tmp_path / "data") as first:
        port, url = first.port, first.url
        put_naps(first, count, 0.1)
        with (
            WorkerProcess(url, notes, "-c", "50"),
            WorkerProcess(url, notes, "-c", "50"),
            WorkerProcess(url, notes, "-c", "50"),
            WorkerProcess(url, notes, "-c", "50"),
        ):
            wait_until(lambda: notes.count("end") > 400)
            first.kill()
            with QServer(tmp_path / "data", port=port) as second:
                up_at = time.monotonic()
                seen = notes.count("begin")
                wait_until(lambda: len({note.pid for note in notes.read("begin")[seen:]}) == 4)
                assert time.monotonic() - up_at < 2
                wait_until(lambda: stored(second) == [])
    assert {note.n for note in notes.read("end")} == set(range(count))
    assert notes.count("end") < count + 200  # what was acked to a dead server may run again

"""Signals in the unlikely moments of a server's life, and surroundings that are gone before it."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.e2e.process import PATIENCE_S, QServer, clean_environment


def test_a_server_whose_log_nobody_reads_any_more_stops_in_good_order(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        assert server.ask(b"PUT q 1\n") == b"OK 1\n"
        assert server.process.stderr is not None
        server.process.stderr.close()
        server.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        server.process.stderr = None
    (segment,) = tmp_path.glob("journal-*.jsonl")
    assert b'{"op":"stop"' in segment.read_bytes()


def test_a_server_whose_terminal_is_closed_stops_in_good_order(tmp_path: Path) -> None:
    ours, its = pty.openpty()

    def own_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)

    server = subprocess.Popen(
        [sys.executable, "-m", "qserver", "--port", "0", "--data", str(tmp_path)],
        stdin=its,
        stdout=its,
        stderr=its,
        preexec_fn=own_the_terminal,  # noqa: PLW1509 - no threads here
        env=clean_environment(),
    )
    os.close(its)
    try:
        seen = b""
        while b"Ctrl-C" not in seen:  # the last line of its greeting
            seen += os.read(ours, 1000)
        os.close(ours)  # SIGHUP, and whatever it writes fails
        assert server.wait(PATIENCE_S) == 0
    finally:
        server.kill()
        server.wait()
    (segment,) = tmp_path.glob("journal-*.jsonl")
    assert b'{"op":"stop"' in segment.read_bytes()


def test_a_log_on_a_full_disk_loses_lines_and_holds_nothing_up() -> None:
    program = (
        "from qserver import logs; logs.configure('json', 'info')\n"
        "import structlog; structlog.get_logger().critical('lost'); print('went on')"
    )
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert (result.returncode, result.stdout) == (0, b"went on\n")


def test_a_server_that_is_started_with_no_stderr_serves() -> None:
    program = (
        "import os; os.close(2)\n"
        "import sys; sys.stderr = None  # as where it is closed before Python starts\n"
        "from qserver import logs; logs.configure('auto', 'info')\n"
        "import structlog; structlog.get_logger().info('lost'); print('went on')"
    )
    words = [sys.executable, "-c", program]
    result = subprocess.run(words, stdout=subprocess.PIPE, check=False)
    assert (result.returncode, result.stdout) == (0, b"went on\n")


SLOW_REMOVAL = """
import concurrent.futures, pathlib, sys, time
shutdown = concurrent.futures.ThreadPoolExecutor.shutdown
def told(self, *args, **more):
    print('{"event": "waits for a thread"}', file=sys.stderr, flush=True)
    shutdown(self, *args, **more)
concurrent.futures.ThreadPoolExecutor.shutdown = told
def unlink(path):
    print('{"event": "removes a segment"}', file=sys.stderr, flush=True)
    time.sleep(60)
pathlib.Path.unlink = unlink
"""


def test_a_second_signal_stops_a_server_at_once_that_waits_for_its_journal_s_threads(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path, "--segment-bytes-max", "20KiB", planted=SLOW_REMOVAL) as server:
        for number in range(1, 5):
            server.ask(b'PUT q "%b"\n' % (b"x" * 19_000))
            server.ask(b"GET q\nACK %d.%d\n" % (number, number))
        server.hear("removes a segment")
        server.send_signal(signal.SIGTERM)
        server.hear("waits for a thread")
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 128 + signal.SIGTERM


NO_ROOM_AND_NO_SYNC = """
import errno, os
def fail(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
write = os.pwrite
def write_little(file, content, offset):
    return write(file, content, offset) if b"full" not in bytes(content) else fail()
os.pwrite = write_little
sync = os.fdatasync
os.fdatasync = lambda file: fail() if b"syncs no more" in os.pread(file, 9999, 0) else sync(file)
"""


def test_a_journal_that_fails_while_it_is_closed_is_told_as_that(tmp_path: Path) -> None:
    with QServer(tmp_path, "--sync", "60s", planted=NO_ROOM_AND_NO_SYNC) as server:
        assert server.ask(b"PUT q 1\n") == b"OK 1\n"  # synced, with the numbers it reserves
        assert server.ask(b'PUT q "syncs no more"\n') == b"OK 2\n"
        with server.connect() as waits:
            waits.sendall(b'PUT q "full"\n')
            server.hear("the disk is full")
            assert server.stop() == 1
    assert server.logged[-1]["event"].startswith("the journal failed")
    assert "did not start" not in str(server.logged)


SIGNAL_BEFORE_IT_LISTENS = """
import asyncio, os, signal
from qserver.server import run
listen, stop, heard = run.listen, run._stop, asyncio.Event()
async def listen_late(*args, **more):
    os.kill(os.getpid(), signal.SIGTERM)
    await heard.wait()
    return await listen(*args, **more)
run.listen = listen_late
run._stop = lambda *args: (stop(*args), heard.set())
"""


def test_a_server_that_is_told_to_stop_before_it_listens_does_not_say_that_clients_can_connect(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path, planted=SIGNAL_BEFORE_IT_LISTENS) as server:
        assert server.wait() == 0
    assert [line["event"].split(":")[0] for line in server.logged] == ["stopping", "stopped"]


SLOW_REPLAY = """
import sys, time
from qserver.storage import recovery
def read_back(*_):
    print('{"event": "recovers", "port": 0}', file=sys.stderr, flush=True)
    time.sleep(60)
    yield
recovery.read_back = read_back
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_the_journal_is_read_back_is_a_stop_in_good_order(
    tmp_path: Path, number: signal.Signals
) -> None:
    with QServer(tmp_path, planted=SLOW_REPLAY) as server:
        server.send_signal(number)
        assert server.wait() == 0
    assert [line["event"].split(":")[0] for line in server.logged] == ["recovers", "stopped"]


def test_a_server_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    nohup = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    with QServer(tmp_path, planted=nohup) as server:
        server.send_signal(signal.SIGHUP)
        assert server.ask(b"PUT q 1\n") == b"OK 1\n"
        assert server.stop() == 0
    assert [line["event"].split(":")[0] for line in server.logged[1:]] == ["stopping", "stopped"]

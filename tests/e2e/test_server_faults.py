"""The world fails around a real server: what it says, how it ends, and what is there afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import QServer
from tests.e2e.worker_process import wait_until

SEGMENT = "journal-000000000001.jsonl"
FAILING = """
import errno, os
from qserver.storage.disk import RealDisk
calls = 0
def failing(*words):
    global calls
    calls += 1
    if calls > {after}:
        raise OSError(errno.{error}, os.strerror(errno.{error}))
    return os.{real}(*words)
RealDisk.{call} = staticmethod(failing)
"""
SLOW_SYNC = """
import os, time
from qserver.storage.disk import RealDisk
def slow(file):
    time.sleep(0.3)
    os.fdatasync(file)
RealDisk.sync = staticmethod(slow)
"""


def contents(directory: Path) -> dict[str, bytes]:
    """Every file but the lock, which names its last owner."""
    files = (path for path in directory.iterdir() if path.is_file() and path.name != "lock")
    return {path.name: path.read_bytes() for path in files}


def ready(server: QServer) -> int:
    return int(server.ask(b"LIST\n").split(b"ready=")[1].split()[0])


def figures(server: QServer) -> dict[str, str]:
    lines = server.ask(b"STATS\n").decode().splitlines()[:-1]
    return dict(line[2:].split("=", 1) for line in lines)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A journal on a file system that was mounted read-only."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system, and not in every container")
    try:
        with QServer(path / "data") as server:
            assert server.ask(b"PUT q 1\n") == b"OK 1\n"
            assert server.stop() == 0
        subprocess.run(["mount", "-o", "remount,ro", str(path)], check=True)
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "real", "error"),
    [("sync", "fdatasync", "EIO"), ("write", "pwrite", "EIO"), ("write", "pwrite", "EROFS")],
)
def test_a_disk_that_fails_is_an_error_to_who_waits_and_ends_the_server(
    tmp_path: Path, call: str, real: str, error: str
) -> None:
    planted = FAILING.format(call=call, real=real, error=error, after=20)
    with QServer(tmp_path, planted=planted) as server, server.connect() as sock:
        replies = sock.makefile("rb")
        stored = 0
        while True:
            sock.sendall(b"PUT q 1\n")
            reply = replies.readline()
            if not reply.startswith(b"OK "):
                break
            stored += 1
        assert reply.startswith(b"ERR storage ")
        assert replies.read() == b""
        assert server.wait() == 1
        last = next(line for line in server.logged if line["level"] == "critical")
        assert "may be lost; the server stops" in last["event"]
        assert str(tmp_path) in last["error"]
        assert os.strerror(getattr(__import__("errno"), error)) in last["error"]
        assert last["unanswered"] == 1
    with QServer(tmp_path) as server:
        assert stored > 0
        assert ready(server) - stored in (0, 1)


def test_a_directory_that_is_removed_under_the_server_stops_it_before_another_ok(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path / "data") as server:
        assert server.ask(b"PUT q 1\n") == b"OK 1\n"
        shutil.rmtree(tmp_path / "data")
        assert server.ask(b"LIST q\n").endswith(b"OK 1\n")
        assert server.ask(b"PUT q 2\n").startswith(b"ERR storage ")
        assert server.wait() == 1
        last = next(line for line in server.logged if line["level"] == "critical")
        assert "removed" in last["error"]
        assert SEGMENT in last["error"]
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_a_read_only_file_system_refuses_the_start_and_says_so(read_only: Path) -> None:
    before = contents(read_only / "data")
    with QServer(read_only / "data") as server:
        assert server.wait() == 1
        assert "Read-only file system" in server.logged[-1]["error"]
        assert str(read_only / "data") in server.logged[-1]["error"]
    assert contents(read_only / "data") == before
    subprocess.run(["mount", "-o", "remount,rw", str(read_only)], check=True)
    with QServer(read_only / "data") as server:
        assert ready(server) == 1


def test_an_empty_directory_is_an_empty_queue(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with QServer(tmp_path / "data") as server:
        assert server.ask(b"LIST\n") == b"OK 0\n"
        assert server.ask(b"PUT q 1\n") == b"OK 1\n"


@pytest.mark.slow
@pytest.mark.parametrize("length", [0, 1, 40])
def test_a_newest_segment_that_was_only_begun_is_begun_again(tmp_path: Path, length: int) -> None:
    """The power went between the creation of its file and its first batch."""
    with QServer(tmp_path) as server:
        assert server.ask(b"PUT q 1\n") == b"OK 1\n"
        server.kill()
    (tmp_path / "journal-000000000009.jsonl").write_bytes(bytes(length))
    with QServer(tmp_path) as server:
        assert ready(server) == 1
        assert server.ask(b"PUT q 2\n").startswith(b"OK ")
        server.kill()
    with QServer(tmp_path) as server:
        assert ready(server) == 2


def test_stray_files_are_left_as_they_are(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        assert server.ask(b"PUT q 1\n") == b"OK 1\n"
        assert server.stop() == 0
    strays = {
        "notes.txt": b"not ours",
        f"{SEGMENT}.bak": (tmp_path / SEGMENT).read_bytes()[:-5],
        "repair-000000000001.tmp": b"of a repair that was cut short",
    }
    for name, content in strays.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "more").mkdir()
    with QServer(tmp_path, "--segment-bytes-max", "2000") as server:
        assert ready(server) == 1
        server.ask(b"PUT q 1\nPURGE q\n" * 100)
        assert server.stop() == 0
    after = contents(tmp_path)
    assert {name: after[name] for name in strays} == strays
    assert SEGMENT not in after


def test_a_missing_segment_and_a_newer_format_refuse_the_start_and_change_nothing(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path, "--segment-bytes-max", "500") as server:
        for number in range(10):
            server.ask(b"PUT q %d\n" % number)
        assert server.stop() == 0
    segments = sorted(tmp_path.glob("journal-*"))
    whole = segments[1].read_bytes()
    segments[1].unlink()
    before = contents(tmp_path)
    with QServer(tmp_path) as server:
        assert server.wait() == 1
        assert "missing" in server.logged[-1]["error"]
        assert "qserver repair" in server.logged[-1]["repair"]
    assert contents(tmp_path) == before
    segments[1].write_bytes(whole.replace(b'"format":1', b'"format":2', 1))
    before = contents(tmp_path)
    with QServer(tmp_path) as server:
        assert server.wait() == 1
        assert "format 2" in server.logged[-1]["error"]
        assert segments[1].name in server.logged[-1]["error"]
    assert contents(tmp_path) == before


@pytest.mark.slow
@pytest.mark.hasty
def test_a_slow_disk_stalls_only_those_who_wait_for_it(tmp_path: Path) -> None:
    with QServer(tmp_path, planted=SLOW_SYNC) as server, server.connect() as putting:
        putting.sendall(b"PUT q 1\n" * 3)
        with server.connect() as asking:
            replies = asking.makefile("rb")
            took = []
            for _ in range(100):
                began = time.monotonic()
                asking.sendall(b"PING\nLIST\n")
                while not replies.readline().startswith(b"OK "):
                    pass
                took.append(time.monotonic() - began)
                putting.sendall(b"PUT q 1\n")
                time.sleep(0.01)
            assert sorted(took)[90] < 0.1
            assert float(figures(server)["last_sync_ms"]) > 300
        assert putting.makefile("rb").readline() == b"OK 1\n"


@pytest.mark.slow
@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_was_set_while_the_server_was_away_ends_no_lease(
    tmp_path: Path, hours: int
) -> None:
    with QServer(tmp_path) as server:
        server.ask(b"PUT q 1\nPUT q delay=1h 2\nGET q lease=60s\n")
        server.kill()
    planted = f"import time\nreal = time.time\ntime.time = lambda: real() + 3600 * {hours}"
    with QServer(tmp_path, planted=planted) as server:
        leased, other, _ = server.ask(b"LIST q\n").decode().splitlines()
        assert 50 < float(leased.split("expires_in=")[1].split()[0]) <= 61
        if hours > 0:
            assert " ready " in other
        else:
            due_in_s = float(other.split("due_in=")[1].split()[0])
            assert 3500 < due_in_s - 5 * 3600 <= 3601
        assert any("clock was set" in line["event"] for line in server.logged)
        assert server.ask(b"ACK 1.1\n") == b"OK 1\n"


@pytest.mark.slow
@pytest.mark.hasty
def test_under_an_interval_nothing_stays_unsynced_for_longer(tmp_path: Path) -> None:
    interval_s, ages = 0.2, []
    with QServer(tmp_path, "--sync", "200ms") as server:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert server.ask(b"PUT q 1\n").startswith(b"OK ")
            ages.append(float(figures(server)["unsynced_age_s"]))
        wait_until(lambda: figures(server)["unsynced_age_s"] == "0")
    assert interval_s / 2 < max(ages) < 2 * interval_s


def test_a_pause_longer_than_a_lease_breaks_nothing(tmp_path: Path) -> None:
    with QServer(tmp_path) as server, server.connect() as waiting:
        server.ask(b"PUT q 1\nPUT q 2\nGET q lease=200ms\n")
        waiting.sendall(b"GET other wait=60s\n")
        time.sleep(0.05)
        server.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        server.send_signal(signal.SIGCONT)
        assert server.ask(b"ACK 1.1\n").startswith((b"OK 1", b"* 1.1 not-leased\nOK 0"))
        assert server.ask(b"PUT other 3\n") == b"OK 3\n"
        assert waiting.makefile("rb").readline().endswith(b" other 3\n")
        assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.hasty
def test_a_stop_waits_for_nobody_longer_than_ten_seconds(tmp_path: Path) -> None:
    """Parked GETs, half a line, a reader that takes nothing: exit code 0, and nothing lost."""
    body = b'"%b"' % (b"x" * 500_000)
    with QServer(tmp_path) as server:
        assert server.ask(b"PUT q %b\n" % body) == b"OK 1\n"
        parked, half, slow = (server.connect() for _ in range(3))
        parked.sendall(b"GET other wait=60s\n")
        half.sendall(b"PUT q 1\nPUT q ")
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"PEEK 1\n" * 50)
        assert half.recv(100) == b"OK 2\n"
        assert slow.recv(1) == b"*"
        wait_until(lambda: b" waiting=other" in server.ask(b"CLIENTS\n"))
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10
        assert parked.recv(100) == b"OK 0\n"
        for sock in (parked, half, slow):
            sock.close()
    with QServer(tmp_path) as server:
        assert ready(server) == 2

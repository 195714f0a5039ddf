"""A real server on a file system that is really full."""

import contextlib
import itertools
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.process import PATIENCE_S, QServer
from tests.e2e.worker_process import wait_until

DISK_BYTES = 8 << 20
BALLAST_BYTES = 2 << 20
BODY = b'"' + b"x" * 3000 + b'"'
REASON = b'reason="' + b"y" * 4000 + b'"'


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, with a ballast file whose removal makes room."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system, and not in every container")
    (path / "ballast").write_bytes(bytes(BALLAST_BYTES))
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


class Talk:
    """One connection, one request at a time."""

    def __init__(self, server: QServer) -> None:
        self.sock: socket.socket = server.connect()
        self.replies = self.sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.replies.close()
        self.sock.close()

    def ask(self, line: bytes) -> bytes:
        """The first line of the answer."""
        self.sock.sendall(line + b"\n")
        return self.replies.readline()

    def get(self, count: int) -> bytes:
        """So many receipts."""
        self.sock.sendall(b"GET q count=%d lease=1h\n" % count)
        lines = list(itertools.takewhile(lambda line: line[:2] != b"OK", self.replies))
        return b" ".join(line.split()[1] for line in lines)


def put_until_full(talk: Talk) -> int:
    """PUT until ERR full, which comes in time; answers how many were OK."""
    for number in itertools.count(1):
        began = time.monotonic()
        reply = talk.ask(b"PUT q " + BODY)
        assert time.monotonic() - began < 20
        if not reply.startswith(b"OK "):
            assert reply.startswith(b"ERR full the disk "), reply
            return number - 1
    raise AssertionError


def use_up_the_reserve(talk: Talk) -> None:
    """Ask for what can't be refused until it isn't answered: that request is left open."""
    receipt = talk.get(1)
    talk.sock.settimeout(1)
    with pytest.raises(TimeoutError):  # noqa: PT012 - any of many may be the one
        for _ in range(2000):
            assert talk.ask(b"NACK " + receipt + b" delay=0 " + REASON) == b"OK 1\n"
            receipt = talk.get(1)
    talk.sock.settimeout(PATIENCE_S)
    talk.replies = talk.sock.makefile("rb")  # the old one is of no use after a timeout


def figures(server: QServer) -> dict[str, str]:
    lines = server.ask(b"STATS\n").decode().splitlines()[:-1]
    return dict(line[2:].split("=", 1) for line in lines)


def ready(server: QServer) -> int:
    return int(server.ask(b"LIST\n").split(b"ready=")[1].split()[0])


def messages(server: QServer) -> int:
    return int(figures(server)["messages"])


def test_a_put_is_refused_all_else_goes_on_and_it_heals_by_itself(disk: Path) -> None:
    with QServer(disk / "data") as server, Talk(server) as talk:
        stored = put_until_full(talk)
        assert stored > 1000
        for _ in range(50):
            receipts = talk.get(2).split()
            assert talk.ask(b"ACK " + receipts[0]) == b"OK 1\n"
            assert talk.ask(b"TOUCH " + receipts[1]) == b"OK 1\n"
            assert talk.ask(b"RELEASE " + receipts[1]) == b"OK 1\n"
            assert talk.ask(b"PUT q " + BODY).startswith(b"ERR full ")
            assert talk.ask(b"PUT q priority=9 " + BODY).startswith(b"ERR full ")
        assert ready(server) == stored - 50
        assert figures(server)["disk_room"] == "no"
        server.hear("the disk is full")
        (disk / "ballast").unlink()
        wait_until(lambda: talk.ask(b"PUT q " + BODY).startswith(b"OK "))
        assert figures(server)["disk_room"] == "yes"
        server.hear("the disk has room")
        assert server.stop() == 0
        events = [line["event"] for line in server.logged]
        assert len([event for event in events if event.startswith("the disk is full")]) == 1
        assert len([event for event in events if event.startswith("the disk has room")]) == 1
    with QServer(disk / "data") as server:
        assert ready(server) == stored - 50 + 1


@pytest.mark.slow
def test_a_server_can_be_killed_and_started_while_the_disk_is_full(disk: Path) -> None:
    with QServer(disk / "data") as server, Talk(server) as talk:
        stored = put_until_full(talk)
        server.kill()
    for _ in range(3):
        with QServer(disk / "data") as server, Talk(server) as talk:
            assert ready(server) == stored
            stored += put_until_full(talk)
            assert talk.ask(b"ACK " + talk.get(1)) == b"OK 1\n"
            stored -= 1
            server.kill()
    with QServer(disk / "data") as server, Talk(server) as talk:
        (disk / "ballast").unlink()
        wait_until(lambda: talk.ask(b"PUT q " + BODY).startswith(b"OK "))
        assert ready(server) == stored + 1


@pytest.mark.slow
def test_many_clients_that_send_ahead_are_all_answered(disk: Path) -> None:
    """Not even a batch of everything that eight clients have sent runs past the reserve."""
    count = 4000
    with QServer(disk / "data") as server, contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(server)) for _ in range(8)]
        senders = [
            threading.Thread(target=talk.sock.sendall, args=((b"PUT q " + BODY + b"\n") * count,))
            for talk in talks
        ]
        for sender in senders:
            sender.start()
        replies = [talk.replies.readline() for talk in talks for _ in range(count)]
        for sender in senders:
            sender.join()
        kinds = [reply.split()[0] + reply[3:8] * (reply[:3] == b"ERR") for reply in replies]
        assert set(kinds) == {b"OK", b"ERR full"}
        stored = kinds.count(b"OK")
        assert [talk.ask(b"PING") for talk in talks] == [b"OK\n"] * 8
        server.kill()
    with QServer(disk / "data") as server:
        assert ready(server) == stored


@pytest.mark.slow
def test_working_the_queue_off_makes_room_without_any_help(disk: Path) -> None:
    with QServer(disk / "data") as server, Talk(server) as talk:
        stored = put_until_full(talk)
        acked = 0
        while receipts := talk.get(1000):
            assert talk.ask(b"ACK " + receipts).startswith(b"OK ")
            acked += len(receipts.split())
        assert acked == stored
        wait_until(lambda: talk.ask(b"PUT q " + BODY).startswith(b"OK "))


@pytest.mark.slow
def test_when_even_the_reserve_is_used_up_a_request_waits_until_there_is_room(disk: Path) -> None:
    with QServer(disk / "data") as server, Talk(server) as talk:
        stored = put_until_full(talk)
        use_up_the_reserve(talk)
        with Talk(server) as other:
            began = time.monotonic()
            assert other.ask(b"PING") == b"OK\n"
            assert other.ask(b"PUT q " + BODY).startswith(b"ERR full ")
            assert other.ask(b"LIST").startswith(b"* q ")
            assert time.monotonic() - began < 10
        (disk / "ballast").unlink()
        began = time.monotonic()
        assert talk.replies.readline()[:2] in (b"OK", b"* ")
        assert time.monotonic() - began < 20
        wait_until(lambda: b"ERR full" not in server.ask(b"PUT q " + BODY + b"\n"))
        server.kill()
    with QServer(disk / "data") as server:
        assert messages(server) == stored + 1


@pytest.mark.parametrize("end", ["killed", pytest.param("stopped", marks=pytest.mark.slow)])
def test_a_server_that_waits_for_room_can_be_ended_and_started(disk: Path, end: str) -> None:
    with QServer(disk / "data") as server, Talk(server) as talk:
        stored = put_until_full(talk)
        use_up_the_reserve(talk)
        if end == "killed":
            server.kill()
        else:
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 20
            assert any("not answered is not stored" in line["event"] for line in server.logged)
    with QServer(disk / "data") as server, Talk(server) as talk:
        assert talk.ask(b"PING") == b"OK\n"
        (disk / "ballast").unlink()
        wait_until(lambda: talk.ask(b"PUT q " + BODY).startswith(b"OK "))
        assert messages(server) == stored + 1

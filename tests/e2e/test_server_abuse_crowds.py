"""Crowds at the door of a real server: what is refused, what it costs, and that it passes."""

import contextlib
import errno
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.canary import ROOT, feel
from tests.e2e.process import PATIENCE_S, QServer
from tests.e2e.vitals import cpu_s, descriptors, figures, memory_bytes, wait_until

FILES_MAX = 128
CAP = FILES_MAX - 64
CROWD = 5000
TCP_REPAIR = 19

BODY = b'"' + b"x" * 1000 + b'"'


@contextlib.contextmanager
def held(server: QServer, count: int) -> Iterator[list[socket.socket]]:
    """Connections that knocked at the same time."""
    with contextlib.ExitStack() as stack:
        socks = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            assert sock.connect_ex(("127.0.0.1", server.port)) in (0, errno.EINPROGRESS)
            socks.append(sock)
        for sock in socks:
            sock.settimeout(PATIENCE_S)
        yield socks


def answer(sock: socket.socket) -> bytes:
    """What it says to a PING; the refusal, where it refuses before that."""
    with contextlib.suppress(ConnectionError):
        sock.sendall(b"PING\n")
    return sock.recv(200)


def put_and_settle(sock: socket.socket) -> None:
    """What makes the journal go on to another segment, every few rounds."""
    sock.sendall(b"PUT q " + BODY + b"\nGET q\n")
    with sock.makefile("rb") as replies:
        assert replies.readline().startswith(b"OK ")
        receipt = replies.readline().split()[1]
        assert replies.readline() == b"OK 1\n"
        sock.sendall(b"ACK " + receipt + b"\n")
        assert replies.readline() == b"OK 1\n"


def test_a_crowd_beyond_connections_max_is_refused_in_words_and_leaves_room(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path, "--connections-max", "10") as server:
        with held(server, 100) as socks:
            said = [answer(sock) for sock in socks]
            assert said[:10] == [b"OK\n"] * 10
            assert {line[:9] for line in said[10:]} == {b"ERR busy "}
            assert [sock.recv(10) for sock in socks[10:]] == [b""] * 90
        wait_until(lambda: server.ask(b"PING\n") == b"OK\n")
        assert int(figures(server)["connections_refused_total"]) >= 90


@pytest.mark.slow
def test_a_server_with_no_descriptors_left_refuses_rolls_its_journal_and_recovers(
    tmp_path: Path,
) -> None:
    small = ("--segment-bytes-max", "4KiB")
    with QServer(tmp_path, *small, files_max=FILES_MAX) as server, server.connect() as old:
        assert figures(server)["connections_max"] == str(CAP)
        for _ in range(2):
            with held(server, 400) as socks:
                for _ in range(50):
                    put_and_settle(old)
                assert descriptors(server) < FILES_MAX - 16
                socks[0].sendall(b"PING\n")
                assert socks[0].recv(10) == b"OK\n"
                assert {sock.recv(200)[:9] for sock in socks[CAP:]} == {b"ERR busy "}
                before = cpu_s(server)
                time.sleep(0.4)
                assert cpu_s(server) - before < 0.1
            wait_until(lambda: server.ask(b"PING\n") == b"OK\n")
        assert server.stop() == 0
        assert len(server.logged) == 3  # listening, stopping, stopped


@pytest.mark.slow
def test_the_system_out_of_descriptors_is_waited_for_and_told_once_a_second(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path, files_max=FILES_MAX) as server, server.connect() as old:
        put_and_settle(old)
        limit = ["prlimit", f"--pid={server.process.pid}"]
        subprocess.run([*limit, f"--nofile={descriptors(server)}:{FILES_MAX}"], check=True)
        with server.connect() as knocking:
            knocking.sendall(b"PING\n")
            before = cpu_s(server)
            time.sleep(0.5)
            put_and_settle(old)
            assert cpu_s(server) - before < 0.1
            subprocess.run([*limit, f"--nofile={FILES_MAX}:{FILES_MAX}"], check=True)
            assert knocking.recv(10) == b"OK\n"
        assert server.stop() == 0
        told = [line for line in server.logged if "no connection can be accepted" in line["event"]]
        assert len(told) == 1


@pytest.mark.slow
def test_clients_that_knock_and_leave_are_hardly_felt(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        knocked = []

        def abuse() -> None:
            words = [sys.executable, "-m", "tests.e2e.flood", str(server.port), "1", "reads", "0"]
            with subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
            ) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "connected\n"
                time.sleep(0.8)
                knocked.append(json.loads(process.communicate()[0])["closed"])

        feel(server, abuse)
        assert min(knocked) > 100
        wait_until(lambda: figures(server)["connections"] == "1")
        assert server.stop() == 0
        assert len(server.logged) == 3


@pytest.mark.slow
def test_5000_connections_are_all_served(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CROWD + 200:
        pytest.skip(f"the limit on open files is {hard}: too low for {CROWD} connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CROWD + 200), hard))
    try:
        with QServer(tmp_path) as server:
            before = memory_bytes(server)
            feel(server, lambda: crowd(server, before))
            wait_until(lambda: figures(server)["connections"] == "1")
            assert memory_bytes(server) - before < CROWD * 8_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def crowd(server: QServer, before: int) -> None:
    """Connect them all, let each PUT once, and see what they cost."""
    with contextlib.ExitStack() as stack:
        socks = []
        for _ in range(CROWD):
            socks.append(stack.enter_context(server.connect()))
            if len(socks) % 50 == 0:  # a crowd, not a stampede: the client has a core to share
                time.sleep(0.01)
        wait_until(lambda: int(figures(server)["connections"]) >= CROWD)
        assert memory_bytes(server) - before < CROWD * 8_000
        for number, sock in enumerate(socks):
            sock.sendall(b"PUT crowd %d\n" % number)
        ids = {sock.recv(100) for sock in socks}
        assert len(ids) == CROWD
        assert {line[:3] for line in ids} == {b"OK "}
    assert server.ask(b"PURGE crowd\n") == b"OK %d\n" % CROWD


@pytest.mark.slow
def test_a_client_whose_machine_vanished_is_noticed_and_its_leases_come_back(
    tmp_path: Path,
) -> None:
    quick = "from qserver.server import listener as l\nl.SILENCE_S_MAX = l.PROBE_S = 1"
    with QServer(tmp_path, planted=quick) as server:
        with server.connect() as vanishing:
            vanishing.sendall(b"HELLO session=w grace=200ms\nPUT q 1\nGET q lease=1h\n")
            with vanishing.makefile("rb") as replies:
                assert [replies.readline() for _ in range(4)][3] == b"OK 1\n"
            try:  # a socket closed in this state says nothing to the other side
                vanishing.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            except PermissionError:
                pytest.skip("only root can make a socket vanish without a word")
        wait_until(lambda: figures(server)["connections"] == "2")
        reply = server_waits(server)
        assert reply == b"* 1.2 q deliveries=2 losses=1 1\n"


def server_waits(server: QServer) -> bytes:
    with server.connect() as other:
        other.sendall(b"GET q wait=60s\n")
        with other.makefile("rb") as replies:
            return replies.readline()


def test_a_client_is_asked_for_a_sign_of_life(tmp_path: Path) -> None:
    with QServer(tmp_path) as server, server.connect() as client:
        client.sendall(b"PING\n")
        assert client.recv(10) == b"OK\n"
        mine = client.getsockname()[1]
        keepalive = 2  # of the timers that the system may run for a connection
        wait_until(lambda: timers_of(server.port, mine) == {keepalive})


def timers_of(port: int, peer_port: int) -> set[int]:
    """The kinds of timers that run for the server's side of a connection."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        int(row[5].split(":")[0], 16)
        for row in rows
        if row[1].endswith(f":{port:04X}") and row[2].endswith(f":{peer_port:04X}")
    }

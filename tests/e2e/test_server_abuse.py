"""What clients can do to a real server, and what a well-behaved one beside them feels of it.

Each abuse ends as protocol.md says under "Closing" and "Limits": in one ERR, or in a close.
"""

import contextlib
import signal
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.e2e.canary import feel
from tests.e2e.flood import Flood
from tests.e2e.process import QServer
from tests.e2e.vitals import figures, memory_bytes, memory_bytes_max, wait_until

MIB = 1 << 20
LARGE = b'"' + b"x" * 1_000_000 + b'"'
FLOOD_S = 0.8

FLOODS = {
    "PINGs": b"PING\n" * 5000,
    "PUTs": b"PUT small 1\n" * 5000,
    "garbage": b"frob x y\n" * 5000,
    "all": b'PUT small {"n":1}\nGET small\nfrob\nPUT small {"n":\nLIST small count=3\n' * 1000,
}


def flood(server: QServer, payload: bytes, seconds: float, connections: int = 1) -> Flood:
    """Send this without end for a while, and read what is answered."""
    with Flood(server, payload, connections=connections) as flooding:
        time.sleep(seconds)
        flooding.end()
        return flooding


def has_sent_all(sock: socket.socket) -> None:
    """Wait until the other side's system has confirmed every byte."""
    # tcp_info: struct of bytes, then 32-bit numbers; the fifth of these is what is unconfirmed.
    wait_until(lambda: struct.unpack_from("I", _tcp_info(sock), 8 + 4 * 4)[0] == 0)


def _tcp_info(sock: socket.socket) -> bytes:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)


@pytest.mark.slow
def test_readers_that_never_read_are_not_listened_to_and_then_cut(tmp_path: Path) -> None:
    with QServer(tmp_path, "--stall-max", "400ms") as server:
        server.ask(b"PUT large " + LARGE + b"\n" + (b'PUT many "%b"\n' % (b"x" * 500)) * 4000)
        before = memory_bytes(server)
        accounts = []

        def abuse() -> None:
            asked = b"PEEK 1\n" * 1000 + b"LIST many count=1000\n" * 1000
            with Flood(server, asked, connections=4, reads=False) as flooding:
                time.sleep(1.3)
                flooding.end()
                accounts.append(flooding)

        feel(server, abuse)
        for account in accounts:
            assert account.closed == 4
            assert account.sent_bytes < 4 * 16 * MIB  # most of it in the system's buffers
        assert memory_bytes_max(server) - before < 4 * 16 * MIB
        wait_until(lambda: figures(server)["connections"] == "1")
        stalled = int(figures(server)["connections_stalled_total"])
        assert stalled == 4 * len(accounts)
        assert server.stop() == 0
        cut = [line for line in server.logged if "took none of its replies" in line["event"]]
        assert len(cut) == stalled


@pytest.mark.slow
def test_a_slow_reader_that_takes_a_little_is_not_cut(tmp_path: Path) -> None:
    with QServer(tmp_path, "--stall-max", "300ms") as server, server.connect() as sock:
        server.ask(b"PUT large " + LARGE + b"\n")
        sock.sendall(b"PEEK 1\n" * 20)
        heard = 0
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            heard += len(sock.recv(200_000))
            time.sleep(0.05)
        assert heard < 12_000_000  # it was behind all the time
        while heard < 20 * len(LARGE):
            piece = sock.recv(MIB)
            assert piece
            heard += len(piece)
        assert figures(server)["connections_stalled_total"] == "0"


@pytest.mark.slow
def test_a_line_of_100_mb_is_refused_once_and_never_held(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        before = memory_bytes(server)
        said = []

        def abuse() -> None:
            over_at = time.monotonic() + FLOOD_S
            while time.monotonic() < over_at:
                said.append(say_without_end(server))

        feel(server, abuse)
        assert {line[:13] for line in said} == {b"ERR too-long "}
        assert memory_bytes_max(server) - before < 8 * MIB


def say_without_end(server: QServer) -> bytes:
    """Send 100 MB without a line's end, or as much as is taken; what is answered."""
    with server.connect() as sock:
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 * MIB:
                sent += sock.send(b"x" * MIB)
        assert MIB < sent < 100 * MIB  # it is thrown away at leisure, and then cut
        with sock.makefile("rb") as replies:
            return replies.readline()


@pytest.mark.slow
def test_a_flood_of_small_requests_and_garbage_is_served_beside_others(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        feel(server, lambda: served_flood(server, FLOODS["all"], FLOOD_S))
        assert server.stop() == 0
        assert len(server.logged) == 3  # listening, stopping, stopped


def served_flood(server: QServer, payload: bytes, seconds: float) -> None:
    """Four connections that are answered and go on."""
    flooding = flood(server, payload, seconds, connections=4)
    assert flooding.closed == 0
    assert flooding.heard_bytes > 0


@pytest.mark.slow
def test_bodies_of_a_mebibyte_do_not_make_batches_that_others_wait_for(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        line = b"PUT large " + LARGE + b"\n"
        feel(server, lambda: served_flood_of_large(server, line, FLOOD_S))


def served_flood_of_large(server: QServer, line: bytes, seconds: float) -> None:
    flooding = flood(server, line, seconds)
    assert flooding.heard_bytes > 0
    assert flooding.sent_bytes > 10 * len(line)
    server.ask(b"PURGE large\n")


@pytest.mark.slow
def test_bodies_are_not_taken_faster_than_the_disk_stores_them(tmp_path: Path) -> None:
    slow = "import os, time\nsync = os.fdatasync\n"
    slow += "os.fdatasync = lambda file: (time.sleep(0.3), sync(file))"
    with QServer(tmp_path, planted=slow) as server:
        flooding = flood(server, b"PUT large " + LARGE + b"\n", 1)
        assert 0 < flooding.heard_bytes < 20 * len("OK 1\n")
        assert flooding.sent_bytes < 32 * MIB


def test_half_a_line_holds_its_connection_and_nothing_else(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        socks = [server.connect() for _ in range(50)]
        for sock in socks:
            sock.sendall(b'PUT q {"never":')
        assert server.ask(b"PUT q 1\nLIST q\n") == b"OK 1\n* 1 ready 1\nOK 1\n"
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)  # one that waits for somebody stops after 5 s
        assert [sock.recv(10) for sock in socks] == [b""] * 50
        for sock in socks:
            sock.close()
        assert server.wait() == 0
        assert time.monotonic() - began < 4
    with QServer(tmp_path) as server:
        assert server.ask(b"LIST q\n") == b"* 1 ready 1\nOK 1\n"


def test_a_client_that_is_reset_loses_its_leases_after_its_grace_and_its_wait_at_once(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path) as server:
        holder, waiter = server.connect(), server.connect()
        holder.sendall(b"HELLO session=w grace=300ms\nPUT q 1\nGET q lease=1h\n")
        replies = holder.makefile("rb")
        assert [replies.readline()[:4] for _ in range(4)][2:] == [b"* 1.", b"OK 1"]
        waiter.sendall(b"GET q wait=1h\n")
        wait_until(lambda: b" waiting=1" in server.ask(b"LIST\n"))
        replies.close()
        began = time.monotonic()
        for sock in (waiter, holder):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        with server.connect() as other:
            other.sendall(b"GET q wait=60s\n")
            reply = other.makefile("rb").readline()
        assert reply == b"* 1.2 q deliveries=2 losses=1 1\n"  # and the waiter got nothing
        assert 0.3 <= time.monotonic() - began < 10
        wait_until(lambda: figures(server)["connections"] == "1")


def test_a_silent_client_holds_its_connection_and_no_message_past_its_lease(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path) as server, server.connect() as silent:
        silent.sendall(b"HELLO session=w grace=1h\nPUT q 1\nGET q lease=300ms\n")
        has_sent_all(silent)
        wait_until(lambda: b" requests=3 " in server.ask(b"CLIENTS\n"))
        with server.connect() as other:
            other.sendall(b"GET q wait=60s\n")
            reply = other.makefile("rb").readline()
        assert reply == b"* 1.2 q deliveries=2 losses=1 1\n"
        wait_until(lambda: figures(server)["connections"] == "2")


def test_a_server_stopped_for_longer_than_a_lease_gives_it_back_once(tmp_path: Path) -> None:
    with QServer(tmp_path) as server, server.connect() as holder, server.connect() as other:
        holder.sendall(b"PUT q 1\nGET q lease=200ms\n")
        held = holder.makefile("rb")
        assert [held.readline() for _ in range(3)][1] == b"* 1.1 q 1\n"
        server.send_signal(signal.SIGSTOP)
        holder.sendall(b"ACK 1.1\n")
        other.sendall(b"GET q wait=60 lease=1h\n")
        time.sleep(0.5)
        server.send_signal(signal.SIGCONT)
        acked = held.readline()
        if acked == b"OK 1\n":  # it was asked in time, as far as the server can know
            assert server.ask(b"LIST\n").startswith(b"* q ready=0 leased=0 ")
        else:
            assert acked == b"* 1.1 not-leased\n"
            taken = other.makefile("rb")
            assert taken.readline() == b"* 1.2 q deliveries=2 losses=1 1\n"
            assert server.ask(b"ACK 1.1\nTOUCH 1.1\nGET q\n").endswith(b"OK 0\nOK 0\n")
            other.sendall(b"ACK 1.2\n")
            assert [taken.readline() for _ in range(2)] == [b"OK 1\n", b"OK 1\n"]


@pytest.mark.slow
@pytest.mark.parametrize("sync", ["always", "100ms"])
@pytest.mark.parametrize("kind", ["PINGs", "PUTs", "garbage"])
def test_a_long_flood_is_hardly_felt(tmp_path: Path, kind: str, sync: str) -> None:
    with QServer(tmp_path, "--sync", sync) as server:
        feel(server, lambda: served_flood(server, FLOODS[kind], 4))
        assert server.stop() == 0
        assert len(server.logged) == 3

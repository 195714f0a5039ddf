"""One journal, a server that is killed again and again, and clients that don't rest.

A SIGKILL takes nothing that was answered, under any sync policy: the system has it. What all
clients saw together must be what one queue that was never killed could have told them.
"""

import socket
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from tests.e2e.ledger import Ledger, Put, Settling
from tests.e2e.process import QServer, clean_environment
from tests.e2e.restless_client import RestlessClient, read_delivery, read_reply

CLIENTS = 4
QUEUES = ["first", "second"]
SEGMENT = "32KiB"
LIVE_S = (0.05, 0.7)
SETTINGS = b"max_failures=0 max_losses=0 backoff=0"
KEPT = 40
DRAIN_S_MAX = 120


def free_port(chance: Random) -> int:
    """Not one that the system gives to clients: they would end up connected to themselves."""
    while True:
        port = chance.randint(20_000, 30_000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def prepare(server: QServer) -> Ledger:
    """Queues where nothing dies, and messages that nobody touches until the end."""
    ledger = Ledger()
    lines = [b"QUEUE %b %b\n" % (name.encode(), SETTINGS) for name in QUEUES]
    for number in range(KEPT):
        put = Put("kept", b'{"kept": %d, "pad": "%b"}' % (number, b"x" * 500), time.monotonic())
        put.message = number + 1
        ledger.puts.append(put)
        lines.append(b"PUT kept " + put.body + b"\n")
    replies = server.ask(b"".join(lines)).splitlines()
    assert replies[-KEPT:] == [b"OK %d" % (number + 1) for number in range(KEPT)]
    return ledger


def drain(server: QServer) -> Ledger:
    """Take and ack everything, as it comes back from whoever held it."""
    ledger = Ledger()
    give_up_at = time.monotonic() + DRAIN_S_MAX
    with server.connect() as sock, sock.makefile("rb") as replies:
        for queue in ["kept", *QUEUES]:
            while not is_empty(server, queue):
                asked_at = time.monotonic()
                assert asked_at < give_up_at, server.ask(b"LIST\n")
                sock.sendall(b"GET %b count=200 wait=0.5 lease=60\n" % queue.encode())
                rows, end = read_reply(replies)
                now = time.monotonic()
                assert end == b"OK %d\n" % len(rows)
                for row in rows:
                    delivery = read_delivery(row, queue, "", asked_at, now, 60)
                    ledger.deliveries.append(delivery)
                    settling = Settling("ACK", delivery.message, delivery.number, now)
                    settling.is_done = True
                    ledger.settlings.append(settling)
                if rows:
                    receipts = b" ".join(row.split()[1] for row in rows)
                    sock.sendall(b"ACK " + receipts + b"\n")
                    assert replies.readline() == end
    return ledger


def is_empty(server: QServer, queue: str) -> bool:
    rows = [row.split() for row in server.ask(b"LIST\n").splitlines()]
    counts = [row[2:7] for row in rows if row[:2] == [b"*", queue.encode()]]
    return all(count.endswith(b"=0") for row in counts for count in row)


def check(directory: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "qserver", "check", str(directory)],
        capture_output=True,
        check=False,
        env=clean_environment(),
    )


def first_segment(directory: Path) -> str:
    return min(path.name for path in directory.glob("journal-*"))


@pytest.mark.slow
@pytest.mark.parametrize(("sync", "kills"), [("always", 100), ("50ms", 30), ("never", 30)])
def test_a_server_killed_again_and_again_keeps_every_promise(
    tmp_path: Path, sync: str, kills: int
) -> None:
    seed = Random().randrange(1 << 32)
    told = f"seed {seed}, journal {tmp_path}"
    chance = Random(seed)
    port = free_port(chance)
    flags = ("--sync", sync, "--segment-bytes-max", SEGMENT)
    with QServer(tmp_path, *flags, port=port) as server:
        ledger = prepare(server)
        begins_at = first_segment(tmp_path)
    clients = [RestlessClient(f"w{n}", port, QUEUES, seed) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for _ in range(kills):
            with QServer(tmp_path, *flags, port=port) as server:
                assert server.port == port, (told, server.logged)
                time.sleep(chance.uniform(*LIVE_S))
                assert server.process.poll() is None, told
                server.kill()
    finally:
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join()
    with QServer(tmp_path, *flags, port=port) as server:
        rest = drain(server)
        assert server.stop() == 0
    for account in [*(client.ledger for client in clients), rest]:
        ledger.add(account)
    assert [client.fault for client in clients] == [None] * CLIENTS, told
    assert ledger.objections()[:10] == [], told
    assert_much_happened(ledger, kills)
    assert first_segment(tmp_path) > begins_at, "what was kept has never been told again"
    looked = check(tmp_path)
    assert looked.returncode == 0, (told, looked)


def assert_much_happened(ledger: Ledger, kills: int) -> None:
    """Else the rest would say little."""
    verbs = [settling.verb for settling in ledger.settlings if settling.is_done]
    assert min(verbs.count(verb) for verb in ("ACK", "NACK", "RELEASE", "TOUCH")) > 10 * kills
    assert sum(put.message is not None for put in ledger.puts) > 50 * kills
    assert any(put.message is None for put in ledger.puts)
    assert any(settling.is_done is None for settling in ledger.settlings)

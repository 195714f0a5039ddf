"""The journal of a real server stays small, however busy its disk is."""

import threading
import time
from pathlib import Path

import pytest

from tests.e2e.process import QServer

SEGMENT_BYTES_MAX = 64 << 10
SLOW_SYNC = """
import os, time
from qserver.storage.disk import RealDisk
def sync(file):
    time.sleep(0.005)
    os.fdatasync(file)
RealDisk.sync = staticmethod(sync)
"""


def figures(server: QServer) -> dict[str, str]:
    lines = server.ask(b"STATS\n").decode().splitlines()[:-1]
    return dict(line[2:].split("=", 1) for line in lines)


def come_and_go(server: QServer, until: float) -> None:
    """PUT, GET and ACK, one after the other."""
    with server.connect() as sock:
        replies = sock.makefile("rb")
        while time.monotonic() < until:
            sock.sendall(b'PUT q "%b"\n' % (b"y" * 900))
            assert replies.readline().startswith(b"OK ")
            sock.sendall(b"GET q\n")
            got = replies.readline()
            if got.startswith(b"* "):
                replies.readline()
                sock.sendall(b"ACK %b\n" % got.split()[1])
                assert replies.readline() == b"OK 1\n"


@pytest.mark.slow
def test_the_journal_stays_small_though_a_batch_is_always_under_way(tmp_path: Path) -> None:
    """With a slow disk and a dozen clients, hardly a turn of the loop ends between two batches."""
    flags = ("--segment-bytes-max", str(SEGMENT_BYTES_MAX))
    with QServer(tmp_path, *flags, planted=SLOW_SYNC) as server:
        server.ask(b'PUT keep "%b"\n' % (b"x" * 90) * 500)
        until = time.monotonic() + 2.5
        clients = [threading.Thread(target=come_and_go, args=(server, until)) for _ in range(12)]
        for client in clients:
            client.start()
        shown = figures(server)
        while time.monotonic() < until:
            time.sleep(0.1)
            shown = figures(server)
            bound = 2 * int(shown["live_bytes"]) + 2 * SEGMENT_BYTES_MAX
            assert int(shown["journal_bytes"]) <= bound
        for client in clients:
            client.join()
        assert int(figures(server)["moved_bytes_total"]) > 100_000

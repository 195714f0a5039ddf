"""What a real server takes of the memory, and what it gives back."""

import os
from pathlib import Path

import pytest

from tests.e2e.process import QServer
from tests.e2e.worker_process import wait_until

MEMORY_BYTES_MAX = 32 << 20
BASE_BYTES = 64 << 20
"""A server takes about 35 MiB with nothing in it; the rest is for what is under way."""

AHEAD_BYTES = 4 << 20
"""So much is sent before the replies are read."""


def rss_bytes(server: QServer) -> int:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 10_000])
def test_a_put_past_the_memory_is_refused_and_it_takes_no_more_than_that(
    tmp_path: Path, size: int
) -> None:
    line = b'PUT q "%b"\n' % (b"x" * (size - 2))
    count = AHEAD_BYTES // len(line)
    flags = ("--memory-bytes-max", str(MEMORY_BYTES_MAX), "--sync", "100ms")
    with QServer(tmp_path, *flags) as server:
        stored, refused = 0, 0
        while not refused:
            replies = server.ask(line * count)
            refused = replies.count(b"ERR full ")
            assert replies.count(b"OK ") == count - refused
            stored += count - refused
        assert MEMORY_BYTES_MAX / 2 < stored * (size + 320) < 1.01 * MEMORY_BYTES_MAX
        assert rss_bytes(server) < BASE_BYTES + 1.25 * MEMORY_BYTES_MAX
        got = server.ask(b"GET q count=100\n").splitlines()[:-1]
        receipts = b" ".join(message.split()[1] for message in got)
        assert server.ask(b"NACK %b\n" % receipts.split()[0]) == b"OK 1\n"
        assert server.ask(line).startswith(b"ERR full ")
        rest = receipts.split(b" ", 1)[1]
        assert server.ask(b"ACK %b\n" % rest) == b"OK 99\n"
        assert server.ask(line).startswith(b"OK ")


@pytest.mark.slow
def test_memory_comes_back_after_each_of_two_peaks(tmp_path: Path) -> None:
    count, line = 300_000, b'PUT q "%b"\n' % (b"x" * 98)
    flags = ("--sync", "100ms")
    peaks: list[int] = []
    with QServer(tmp_path, *flags) as server:
        before = rss_bytes(server)
        for _ in range(2):
            for _ in range(10):
                assert server.ask(line * (count // 10)).count(b"OK ") == count // 10
            peaks.append(rss_bytes(server) - before)
            assert server.ask(b"PURGE q\n") == b"OK %d\n" % count
            wait_until(lambda: rss_bytes(server) - before < 0.25 * peaks[0])
    assert peaks[0] > count * 300
    assert peaks[1] < 1.1 * peaks[0]

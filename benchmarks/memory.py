"""Memory: bytes for each queued message, for each idle connection, and what peaks leave behind.

python -m benchmarks.memory [--messages 1000000] [--connections 10000]
"""

import argparse
import resource
import socket
import time

from benchmarks.commands import drain, put
from benchmarks.load import about, server


def messages(count: int, size: int) -> None:
    """Resident bytes for each queued message."""
    with server("--sync", "100ms") as running:
        put(running, 1000, size)
        before = running.rss_bytes()
        put(running, count, size)
        each = (running.rss_bytes() - before) / count
        print(f"{count:,} queued messages of {size} bytes: {each:.0f} bytes each")


def peaks(count: int, size: int) -> None:
    """Resident megabytes before, at and after each of two peaks."""
    with server("--sync", "100ms") as running:
        told = [running.rss_bytes()]
        for _ in range(2):
            put(running, count, size)
            told.append(running.rss_bytes())
            drain(running, count)
            time.sleep(2.5)  # it looks once a second whether a peak is over
            told.append(running.rss_bytes())
        figures = " -> ".join(f"{taken / 1e6:.0f}" for taken in told)
        print(f"{count:,} messages came and went, twice: {figures} MB")


def connections(count: int) -> None:
    """Resident bytes for each idle connection, and the CPU that all take in two seconds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 100
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    with server("--sync", "100ms") as running:
        with running.connect().sock as warm:
            warm.sendall(b"PING\n")
            warm.recv(100)
        before = running.rss_bytes()
        held = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(count)]
        for sock in held:
            sock.sendall(b"PING\n")
            sock.recv(100)
        each = (running.rss_bytes() - before) / count
        cpu = running.cpu_s()
        time.sleep(2)
        idle_ms = (running.cpu_s() - cpu) / 2 * 1000
        for sock in held:
            sock.close()
        print(
            f"{count:,} idle connections: {each:.0f} bytes each, {idle_ms:.2f} ms of CPU a second"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--body", type=int, default=100)
    parser.add_argument("--connections", type=int, default=10_000)
    args = parser.parse_args()
    print(about())
    messages(args.messages, args.body)
    peaks(args.messages, args.body)
    connections(args.connections)


if __name__ == "__main__":
    main()

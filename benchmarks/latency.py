"""Latency of PUT under steady load, with and without compaction at work beside it.

    python -m benchmarks.latency [--sync always] [--rate 200] [--seconds 30] [--kept 100000]

Two servers side by side, so that whatever else the machine does hits both: in one, messages stay
among those that come and go, and the compactor has to move them out of every old segment; in the
other all come and go, and segments die by themselves. Every client puts a message, gets one and
acks it, at a pace of its own; a PUT is measured from the moment when it should have been sent, so a
server that stalls is not spared what it held up.

Two that sync before each OK wait for each other's syncs: with --alone one is measured after the
other.
"""

import argparse
import select
import socket

from benchmarks.commands import put
from benchmarks.load import READ_BYTES, ServerProcess, about, body, now, server

CLIENTS = 8


class Client:
    """One connection that asks PUT, GET and ACK, again and again, at its own pace.

    Attributes:
        next_at: when the next PUT is to be sent.
        took: the seconds that each PUT took.
    """

    def __init__(self, port: int, every_s: float, first_at: float) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.next_at = first_at
        self.took: list[float] = []
        self._every_s = every_s
        self._line = b"PUT churn " + body(100) + b"\n"
        self._got = b""
        self.asked = ""

    def put(self) -> None:
        """Begin a cycle."""
        self._ask("PUT", self._line)

    def hear(self) -> None:
        """Take an answer, or a piece of one, and go on."""
        self._got += self.sock.recv(READ_BYTES)
        last = self._got.rfind(b"\n", 0, -1) + 1
        if not self._got.endswith(b"\n") or self._got.startswith(b"*", last):
            return
        got, self._got = self._got, b""
        if self.asked == "PUT":
            assert got.startswith(b"OK "), got
            self.took.append(now() - self.next_at)
            self._ask("GET", b"GET churn\n")
        elif self.asked == "GET" and got.startswith(b"* "):
            self._ask("ACK", b"ACK %b\n" % got.split(b" ", 2)[1])
        else:
            self.asked = ""
            self.next_at += self._every_s

    def _ask(self, what: str, line: bytes) -> None:
        self.asked = what
        self.sock.sendall(line)


def load(ports: list[int], rate: float, seconds: float) -> list[list[float]]:
    """All clients together, in one thread that sleeps to the microsecond; for each port, sorted."""
    begin = now()
    step_s = 1 / rate / len(ports)
    clients = [
        Client(port, CLIENTS / rate, begin + number * step_s)
        for number, port in enumerate(ports * CLIENTS)
    ]
    by_socket = {client.sock: client for client in clients}
    while (moment := now()) < begin + seconds:
        idle = [client for client in clients if not client.asked]
        for client in idle:
            if client.next_at <= moment:
                client.put()
        wait_s = min((client.next_at for client in idle), default=moment + 1) - now()
        for sock in select.select(list(by_socket), [], [], max(wait_s, 0))[0]:
            by_socket[sock].hear()
    for sock in by_socket:
        sock.close()
    return [
        sorted(took for client in clients[at :: len(ports)] for took in client.took)
        for at in range(len(ports))
    ]


def show(what: str, took: list[float], moved_bytes: int) -> None:
    """Print the quantiles of one server."""
    p50, p99, p999 = (1000 * took[int(len(took) * part)] for part in (0.5, 0.99, 0.999))
    print(
        f"{what:<16} {len(took):>7} PUTs  p50 {p50:6.2f}  p99 {p99:6.2f} = {p99 / p50:4.1f} x  "
        f"p99.9 {p999:6.2f}  max {1000 * took[-1]:6.2f} ms  {moved_bytes / 1e6:6.1f} MB moved",
        flush=True,
    )


def churn_until_moving(running: ServerProcess) -> None:
    """Put and purge messages, as quickly as it goes, until the compactor has begun."""
    talk = running.connect()
    while running.figures()["moved_bytes_total"] == "0":
        talk.ask(b"PUT warm %b\n" % body(1000) * 1000, 1000)
        talk.ask(b"PURGE warm\n", 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sync", default="always")
    parser.add_argument("--rate", type=float, default=200, help="PUTs a second, each server")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--kept", type=int, default=100_000, help="messages that stay")
    parser.add_argument("--segment", default="4MiB", help="--segment-bytes-max of the servers")
    parser.add_argument("--alone", action="store_true", help="not side by side")
    args = parser.parse_args()
    print(about())
    print(f"sync={args.sync}, {args.rate:g} cycles a second of {CLIENTS} clients, {args.segment}")
    flags = ("--sync", args.sync, "--segment-bytes-max", args.segment)
    with server(*flags) as plain, server(*flags) as compacting:
        put(compacting, args.kept, 100)
        churn_until_moving(compacting)
        before = int(compacting.figures()["moved_bytes_total"])
        ports = [plain.port, compacting.port]
        took = [
            each
            for group in ([[port] for port in ports] if args.alone else [ports])
            for each in load(group, args.rate, args.seconds)
        ]
        moved = int(compacting.figures()["moved_bytes_total"]) - before
        show("nothing to move", took[0], int(plain.figures()["moved_bytes_total"]))
        show(f"{args.kept} kept", took[1], moved)


if __name__ == "__main__":
    main()

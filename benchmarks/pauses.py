"""The longest answers beside what is asked for much at once: by crowds, and of very large tables.

    python -m benchmarks.pauses [--rounds 3] [--only WORD …] [-- FLAGS OF THE SERVER]

Each row has a server of its own in each round. It is prepared, then something happens, and
meanwhile another connection sends a PING each millisecond:

    longest  milliseconds until the slowest PING was answered: median of the rounds, and greatest
    stalls   turns of the server's loop that took longer than 10 ms, as it counts them itself
    turn     the longest of these, if it was longer than all turns of the preparation

A machine that others use too, and this script on the second core, add to all three.

    resume       RESUME of a queue with 10,000 messages, which 10,000 GETs wait for
    results      the ACK of a message whose RESULT 10,000 clients wait for
    puts         10,000 clients send one PUT each
    vanish       10,000 clients, each with a session and a lease, are gone at once
    session      a session vanishes that holds a million leases
    leases       a million messages of one queue are leased, 100 by 100
    keys         a million PUTs to one queue, each with a dedup key
    line         a million PUTs to a new queue, then 20,000 queues
    returned     a million messages came back; now their ttl is over
"""

import argparse
import multiprocessing
import resource
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.load import ServerProcess, Talk, about, body, server

CROWD = 10_000
MANY = 1_000_000
AHEAD = 1000
PING_S = 0.001
SPARE_FILES = 100
SETTLE_S = 1.0
TTL_S = 60
DELAY_S = 40


class Scene:
    """What happens to one server."""

    def __init__(self, running: ServerProcess) -> None:
        self.running = running
        self.talk = running.connect()

    def ask(self, *lines: bytes) -> None:
        """Ask for all of it, some ahead of the answers; each reply is one line."""
        for at in range(0, len(lines), AHEAD):
            part = lines[at : at + AHEAD]
            self.talk.ask(b"".join(part), len(part))

    def ask_each(self, count: int, line: bytes) -> None:
        """Ask the same so often."""
        for _ in range(count // AHEAD):
            self.talk.ask(line * AHEAD, AHEAD)

    def crowd(self, first: bytes = b"", replies: int = 0) -> list[Talk]:
        """So many clients, each of which has said that and was answered."""
        clients = [self.running.connect() for _ in range(CROWD)]
        send(clients, first)
        if replies:
            hear(clients, replies)
        return clients


def send(clients: list[Talk], line: bytes) -> None:
    """Let each client say that."""
    for client in clients:
        client.sock.sendall(line)


def hear(clients: list[Talk], replies: int) -> None:
    """Wait for so many lines that each client is told."""
    for client in clients:
        client.ask(b"", replies)


Act = Callable[[], None]


def resume(scene: Scene) -> Act:
    scene.ask(b"PAUSE q\n")
    scene.ask_each(CROWD, b"PUT q 1\n")
    clients = scene.crowd(b"GET q wait=10m\n")
    time.sleep(SETTLE_S)

    def act() -> None:
        scene.ask(b"RESUME q\n")
        hear(clients, 2)

    return act


def results(scene: Scene) -> Act:
    receipt = scene.talk.ask(b"PUT q 1\nGET q\n", 3).split(b"\n")[1].split()[1]
    number = receipt.split(b".")[0]
    clients = scene.crowd(b"RESULT %b wait=10m\n" % number)
    time.sleep(SETTLE_S)

    def act() -> None:
        scene.ask(b"ACK %b\n" % receipt)
        hear(clients, 1)

    return act


def puts(scene: Scene) -> Act:
    clients = scene.crowd(b"PING\n", 1)

    def act() -> None:
        send(clients, b"PUT q %b\n" % body(100))
        hear(clients, 1)

    return act


def vanish(scene: Scene) -> Act:
    scene.ask_each(CROWD, b"PUT q 1\n")
    clients = [scene.running.connect() for _ in range(CROWD)]
    for number, client in enumerate(clients):
        client.sock.sendall(b"HELLO session=s%d grace=1\nGET q\n" % number)
    hear(clients, 3)

    def act() -> None:
        for client in clients:
            client.sock.close()
        time.sleep(3 * SETTLE_S)

    return act


def session(scene: Scene) -> Act:
    scene.ask_each(MANY, b"PUT q 1\n")
    holder = scene.running.connect()
    holder.ask(b"HELLO session=s grace=1\n", 1)
    for _ in range(MANY // 1000):
        holder.ask(b"GET q count=1000 lease=12h\n", 1001)

    def act() -> None:
        holder.sock.close()
        while int(scene.running.figures()["leased"]):
            time.sleep(SETTLE_S)

    return act


def leases(scene: Scene) -> Act:
    scene.ask_each(MANY, b"PUT q 1\n")

    def act() -> None:
        for _ in range(MANY // 1000):
            scene.talk.ask(b"GET q count=100 lease=12h\n" * 10, 1010)

    return act


def keys(scene: Scene) -> Act:
    def act() -> None:
        for at in range(0, MANY, AHEAD):
            scene.ask(*[b"PUT q dedup=%d 1\n" % number for number in range(at, at + AHEAD)])

    return act


def line(scene: Scene) -> Act:
    def act() -> None:
        scene.ask_each(MANY, b"PUT q 1\n")
        scene.ask(*[b"PUT q.%d 1\n" % number for number in range(20_000)])

    return act


def returned(scene: Scene) -> Act:
    began = time.monotonic()
    scene.ask_each(MANY, b"PUT q ttl=%d delay=%d 1\n" % (TTL_S, DELAY_S))
    time.sleep(max(began + DELAY_S + 5 - time.monotonic(), 0.0))
    while int(scene.running.figures()["delayed"]):
        time.sleep(SETTLE_S)

    def act() -> None:
        while int(scene.running.figures()["ready"]):
            time.sleep(SETTLE_S)

    return act


SCENES: dict[str, Callable[[Scene], Act]] = {
    scene.__name__: scene
    for scene in (resume, results, puts, vanish, session, leases, keys, line, returned)
}


@dataclass(frozen=True)
class Pause:
    """What one round has shown."""

    longest_ms: float
    stalls: int
    turn_ms: float | None


def ping(port: int, end: Connection) -> None:
    """Ask PING each millisecond until something comes from the other end; tell it the slowest."""
    longest_s = 0.0
    with socket.create_connection(("127.0.0.1", port)) as sock:
        end.send("it begins")
        while not end.poll(PING_S):
            began = time.perf_counter()
            sock.sendall(b"PING\n")
            sock.recv(100)
            longest_s = max(longest_s, time.perf_counter() - began)
    end.send(longest_s)


@contextmanager
def pinging(running: ServerProcess) -> Iterator[list[float]]:
    """Let another process `ping` meanwhile; afterwards the list holds the longest wait."""
    context = multiprocessing.get_context("spawn")  # a fork would keep the clients' sockets open
    here, there = context.Pipe()
    process = context.Process(target=ping, args=(running.port, there))
    process.start()
    here.recv()
    longest_s: list[float] = []
    try:
        yield longest_s
    finally:
        here.send(None)
        longest_s.append(here.recv())
        process.join()


def measure(prepare: Callable[[Scene], Act], flags: list[str]) -> Pause:
    """One round of a row."""
    with server("--connections-max", str(CROWD + SPARE_FILES), *flags) as running:
        act = prepare(Scene(running))
        time.sleep(SETTLE_S)
        before = running.figures()
        with pinging(running) as longest_s:
            act()
        after = running.figures()
    turn_ms = float(after["turn_ms_max"])
    return Pause(
        longest_s[0] * 1000,
        int(after["stalls_total"]) - int(before["stalls_total"]),
        turn_ms if turn_ms > float(before["turn_ms_max"]) else None,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("flags", nargs="*", help="of the server, behind --")
    args = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < CROWD + SPARE_FILES:
        raise SystemExit(f"it takes {CROWD + SPARE_FILES} open files, and {most} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(about())
    print(f"{'':<12}{'longest ms':>12}{'greatest':>12}{'stalls':>10}{'turn ms':>10}")
    for name in args.only:
        seen = [measure(SCENES[name], args.flags) for _ in range(args.rounds)]
        longest = [pause.longest_ms for pause in seen]
        turns = [pause.turn_ms for pause in seen if pause.turn_ms is not None]
        print(
            f"{name:<12}{statistics.median(longest):12.1f}{max(longest):12.1f}"
            f"{statistics.median(pause.stalls for pause in seen):10.0f}"
            + (f"{statistics.median(turns):10.1f}" if turns else f"{'':>10}"),
            flush=True,
        )


if __name__ == "__main__":
    main()

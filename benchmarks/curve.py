"""CPU of the server for a PUT, and for GET(100) and ACK, as more and more stands beside them.

    python -m benchmarks.curve [--quick] [--all] [--rounds 5] [--messages 100000] [--sync 100ms]
        [--only WORD …]

    queued       messages stand in the queue before those that are measured
    queues       are there with one more message each; the requests go to 1,000 of them, to others
                 in each round: a PUT to each in turn, GETs of 100
    first PUTs   each goes to a queue that is not there yet
    leases       are live in another queue
    connections  are open, of which 50 are busy: with 20 PUTs, with one GET in flight on each
    bodies       have so many bytes; a reply is bounded, so their GETs bring less than 100

Each row has a server of its own, and takes turns with another one that is its baseline: that of the
first row, unless the row names another. So whatever else the machine does hits both. `ratio` is the
median of the rounds' ratios, then the least and the greatest one; the first row's baseline is like
itself, so how far it is from 1 is noise. `CPU` is the server's, a message; `rate` is messages a
second, with a load generator in Python on the same machine.

10 million messages are measured with --all, where memory and disk have room for them. --only takes
words of the rows' names.
"""

import argparse
import os
import random
import re
import resource
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice

from benchmarks.load import READ_BYTES, ServerProcess, Talk, about, body, now, server

GET_COUNT = 100
AHEAD = 1000
GETS_AHEAD = 10
BUSY = 50
BYTES_EACH = 64 << 20
"""A run has fewer messages if they are large."""

FIRST_PUTS = 50_000
"""There may be 100,000 queues."""

DEEP = 10_000_000
DEEP_BYTES = 700
"""Memory that one of so many takes, and the system's of its journal."""

DEEP_DISK_BYTES = 600
"""Twice its record, and what the start keeps free."""

SPARE_FILES = 300
QUICK_STAND = 100_000


@dataclass(frozen=True)
class Setting:
    """What stands beside what is measured."""

    queued: int = 1000
    queues: int = 1
    leases: int = 0
    connections: int = 1
    body_bytes: int = 100
    first_puts: bool = False


BASE = Setting()
CROWD = Setting(connections=BUSY)
BODIES = (1 << 10, 10 << 10, 100 << 10, (1 << 20) - 100)


@dataclass(frozen=True)
class Row:
    """A setting and what it is compared with."""

    what: str
    setting: Setting
    baseline: Setting = BASE


ROWS = [
    Row("1,000 queued", BASE),
    Row("100,000 queued", Setting(queued=100_000)),
    Row("1,000,000 queued", Setting(queued=1_000_000)),
    Row("10,000,000 queued", Setting(queued=10_000_000)),
    Row("1,000 queues", Setting(queues=1000)),
    Row("100,000 queues", Setting(queues=100_000)),
    Row("100,000 beside 1,000 queues", Setting(queues=100_000), Setting(queues=1000)),
    Row("first PUTs to queues", Setting(first_puts=True)),
    Row("100,000 leases", Setting(leases=100_000)),
    Row("50 connections", CROWD),
    Row("10,000 beside 50 connections", Setting(connections=10_000), CROWD),
    *(Row(f"bodies of {size:,} bytes", Setting(body_bytes=size)) for size in BODIES),
]


@dataclass(frozen=True)
class Cost:
    """CPU of the server for a message, in microseconds, and messages a second."""

    cpu_us: float
    rate: float


class Load:
    """Requests to one server, and what they cost it."""

    def __init__(self, running: ServerProcess, setting: Setting, messages: int) -> None:
        self._running = running
        self._setting = setting
        most = max(BYTES_EACH // setting.body_bytes, GET_COUNT)
        most = FIRST_PUTS if setting.first_puts else most
        self._messages = min(messages, most) // GET_COUNT * GET_COUNT
        self._talks = [running.connect() for _ in range(min(setting.connections, BUSY))]
        self._idle = [running.connect() for _ in range(setting.connections - len(self._talks))]
        self._names = [b"bench"]
        self._chosen = self._names
        self._opened = 0

    def stand(self) -> None:
        """Let everything stand that is to stand beside what is measured."""
        setting = self._setting
        self._ask([b"PUT bench %b\n" % body(100)] * setting.queued, AHEAD)
        if setting.queues > 1:
            self._names = [b"bench.%d" % number for number in range(1, setting.queues)]
            self._ask([b"PUT %b 1\n" % name for name in self._names], AHEAD)
        self._ask([b"PUT leased 1\n"] * setting.leases, AHEAD)
        self._ask([b"GET leased count=%d lease=12h\n" % GET_COUNT] * (setting.leases // GET_COUNT))

    def round(self) -> dict[str, Cost]:
        """One measurement of each."""
        names = self._names
        self._chosen = random.sample(names, min(len(names), self._messages // GET_COUNT))
        if self._setting.first_puts:
            self._chosen = [b"new.%d.%d" % (self._opened, n) for n in range(self._messages)]
            self._opened += 1
        costs = {"PUT": self._timed(self._put)}
        if not self._setting.first_puts:
            costs["GET+ACK"] = self._timed(self._get_and_ack)
        else:
            self._ask([b"DROP %b\n" % name for name in self._chosen], AHEAD)
        return costs

    def _timed(self, work: Callable[[], None]) -> Cost:
        cpu, began = self._running.cpu_s(), now()
        work()
        took_s = now() - began
        cpu_s = self._running.cpu_s() - cpu
        return Cost(1e6 * cpu_s / self._messages, self._messages / took_s)

    def _put(self) -> None:
        tail = b" %b\n" % body(self._setting.body_bytes)
        lines = [b"PUT " + name + tail for name in self._chosen]
        self._ask(lines * (self._messages // len(lines)), AHEAD)

    def _get_and_ack(self) -> None:
        """Until all that were put have gone: of large bodies a GET brings few."""
        left, names = self._messages, cycle(self._chosen)
        ahead = max(GETS_AHEAD // len(self._talks), 1) * len(self._talks)
        while left:
            wanted = min(ahead, max(left // GET_COUNT, 1))
            count = min(GET_COUNT, left)
            gets = [b"GET %b count=%d\n" % (name, count) for name in islice(names, wanted)]
            acks = [b"ACK %b\n" % b" ".join(found) for found in self._ask(gets) if found]
            self._ask(acks)
            left -= sum(ack.count(b" ") for ack in acks)

    def _ask(self, lines: list[bytes], ahead: int = 1) -> list[list[bytes]]:
        """Send all lines, so many ahead on each connection or more; receipts of each reply."""
        replies: list[list[bytes]] = []
        share = max(ahead // len(self._talks), 1)
        at = 0
        while at < len(lines):
            asked = []
            for talk in self._talks:
                some = lines[at : at + share]
                at += len(some)
                if some:
                    talk.sock.sendall(b"".join(some))
                    asked.append((talk, len(some)))
            for talk, count in asked:
                replies += receipts(talk, count)
        return replies


def receipts(talk: Talk, replies: int) -> list[list[bytes]]:
    """Read so many replies that are OK; of each the receipts that it brought.

    Raises:
        ConnectionError: one is an error, or the server closed the connection.
    """
    read, found = b"", 0
    while found < replies or not read.endswith(b"\n"):
        data = talk.sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection")
        read += data
        if b"ERR" in data and (error := re.search(rb"^ERR.*", read, re.MULTILINE)):
            raise ConnectionError(error[0].decode(errors="replace"))
        found = read.count(b"\nOK") + read.startswith(b"OK")
    if b"*" not in read:
        return [[]] * replies
    each: list[list[bytes]] = [[]]
    for line in read.splitlines():
        if line[:1] == b"*":
            each[-1].append(line.split(b" ", 2)[1])
        else:
            each.append([])
    return each[:-1]


def lacks(setting: Setting, *, deep: bool, quick: bool) -> str | None:
    """Why it can't be measured here; None if it can."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if setting.connections + SPARE_FILES > files:
        return f"{files} open files are allowed"
    if quick and max(setting.queued, setting.queues, setting.leases) > QUICK_STAND:
        return "not with --quick"
    if setting.queued < DEEP:
        return None
    if not deep:
        return "only with --all"
    memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    disk = shutil.disk_usage(tempfile.gettempdir()).free
    for what, has, needed in (
        ("memory", memory, setting.queued * DEEP_BYTES),
        (f"disk in {tempfile.gettempdir()}", disk, setting.queued * DEEP_DISK_BYTES),
    ):
        if has < needed:
            return f"{has / 1e9:.1f} GB of {what} are free, it takes {needed / 1e9:.1f}"
    return None


@contextmanager
def loaded(setting: Setting, args: argparse.Namespace) -> Iterator[Load]:
    """A server beside which all of it stands."""
    memory = max(setting.queued * DEEP_BYTES, 2 << 30)
    with server("--sync", args.sync, "--memory-bytes-max", str(memory)) as running:
        load = Load(running, setting, args.messages)
        load.stand()
        load.round()  # the first one finds nothing warm
        yield load


def ratio(costs: list[Cost], baseline: list[Cost]) -> str:
    """Of two that took turns: the median of the rounds, the least and the greatest."""
    found = [one.cpu_us / other.cpu_us for one, other in zip(costs, baseline, strict=True)]
    return f"{statistics.median(found):5.3g}  ({min(found):.3g} to {max(found):.3g})"


def measure(row: Row, args: argparse.Namespace) -> None:
    """Print a row, or why there is none."""
    reason = lacks(row.setting, deep=args.all, quick=args.quick)
    if reason:
        print(f"| {row.what:<28} | skipped: {reason}", flush=True)
        return
    with loaded(row.baseline, args) as baseline, loaded(row.setting, args) as load:
        rounds = []
        for number in range(args.rounds):
            # Whoever is first may find a colder machine.
            pair = [load.round, baseline.round]
            found = [each() for each in pair[:: 1 - number % 2 * 2]]
            rounds.append(found[:: 1 - number % 2 * 2])
    cells = [f"{row.what:<28}"]
    for what in ("PUT", "GET+ACK"):
        costs = [own[what] for own, _ in rounds if what in own]
        others = [other[what] for _, other in rounds if what in other]
        cells.append(told(costs, others) if costs else f"{'':<46}")
    print("| " + " | ".join(cells) + " |", flush=True)


def told(costs: list[Cost], baseline: list[Cost]) -> str:
    """The cells of one kind of request."""
    cpu_us = statistics.median(cost.cpu_us for cost in costs)
    rate = statistics.median(cost.rate for cost in costs)
    return f"{cpu_us:8.2f} | {rate:9,.0f} | {ratio(costs, baseline):<23}"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sync", default="100ms")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=100_000, help="of a run")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD")
    parser.add_argument("--all", action="store_true", help="with 10 million messages too")
    parser.add_argument("--quick", action="store_true", help="one round of few; not the deepest")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.messages = 1, 2000
    if args.rounds < 1 or args.messages < GET_COUNT:
        parser.error(f"there is one round at least, of {GET_COUNT} messages")
    return args


HEAD = """\
| {0:28} | {1:>8} | {2:>9} | {3:23} | {4:>8} | {2:>9} | {3:23} |
| {5:28} | {6:>8} | {7:>9} | {0:23} | {6:>8} | {7:>9} | {0:23} |
| {8:28} | {8:.7}: | {8:.8}: | {8:.23} | {8:.7}: | {8:.8}: | {8:.23} |"""


def main() -> None:
    args = options()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    print(about())
    print(f"sync={args.sync}, {args.messages:,} messages a run, medians of {args.rounds} rounds\n")
    print(HEAD.format("", "PUT", "rate", "ratio", "GET+ACK", "", "CPU µs", "one/s", "-" * 28))
    for row in ROWS:
        if any(word in row.what for word in args.only):
            measure(row, args)


if __name__ == "__main__":
    main()

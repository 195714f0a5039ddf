"""The longest waits of a PUT at half the greatest rate, with a million messages queued.

    python -m benchmarks.tail [--quick] [--sync 100ms always] [--seconds 10] [--rounds 5]
        [--messages 1000000] [--share 0.5] [--rate N] [--only ROW …]

    alone       nobody else
    compaction  5 MB a second of messages that go at once: the compactor moves the million
    list        LIST pages through everything, page after page
    leases      1,000 leases expire at once, again and again
    big-bodies  one client puts bodies of 1 MiB, one after the other
    purge       100,000 messages are put and PURGEd, again and again
    echo        the floor: alone, and the server only answers

An open loop: each PUT has a time at which it is to be sent, whatever became of the last one, and
its latency counts from that time, so that a stall shows in all that it held up. `took` is that
latency. `ours` is what is left of it without the time by which the load generator itself was late,
and without the time that the server's main thread was ready to run and the machine gave it no core.
`held up` is in how many milliseconds of each second a PUT was due of which more than 10 ms were
left so. `stalls` are turns of the server's loop of more than 10 ms, as STATS counts them, in each
second: what the machine gave to others meanwhile is in there. `moved` is what the compactor told
again.

The rows take turns, as often as --rounds says: quantiles are medians of the rounds, the longest is
that of all. The greatest rate is that of 50 connections with one PUT each in flight, unless --rate
says otherwise. Needs a C compiler.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.comparing.compiling import NoCompilerError, build
from benchmarks.comparing.contestants import Echo
from benchmarks.comparing.serving import serving
from benchmarks.load import ServerProcess, about, server
from benchmarks.tailing import beside
from benchmarks.tailing.pacing import SOURCES, Paced, Quantiles, paced

CONNECTIONS = 50
BODY_BYTES = 100
TRIAL_PUTS = 40_000
MEMORY_BYTES = 4 << 30
NOTHING_TO_MOVE = "8GiB"
SEGMENT = "8MiB"
"""For segments as by default the compactor would wait longer until it begins."""


DISTURBANCES: dict[str, beside.Disturbance] = {
    "alone": beside.nobody,
    "compaction": beside.churn,
    "list": beside.list_everything,
    "leases": beside.expire_leases,
    "big-bodies": beside.put_big_bodies,
    "purge": beside.purge,
}
FLOOR = "echo"


@dataclass
class Row:
    """What the rounds of one row have shown."""

    rounds: list[Paced] = field(default_factory=list)
    stalls: int = 0
    moved_bytes: int = 0

    def took_ms(self) -> Quantiles:
        """Latency: medians of the rounds, and the longest of all."""
        return _of_rounds([each.took_ms for each in self.rounds])

    def ours_ms(self) -> Quantiles:
        """The same of what is left of it."""
        return _of_rounds([each.left_ms for each in self.rounds])


def _of_rounds(rounds: list[Quantiles]) -> Quantiles:
    p50, p99, p999, longest = zip(*rounds, strict=True)
    return statistics.median(p50), statistics.median(p99), statistics.median(p999), max(longest)


@dataclass
class Trial:
    """What is asked of the servers, and how."""

    open_loop: Path
    rate: float
    seconds: float

    def on(self, port: int, pid: int) -> Paced:
        """One run."""
        return paced(self.open_loop, port, pid, CONNECTIONS, self.rate, self.seconds, BODY_BYTES)

    def beside(self, running: ServerProcess, name: str, row: Row) -> None:
        """One round of a row."""
        if name == "compaction":
            beside.churn_until_moving(running)
        before = running.figures()
        with beside.beside(running, DISTURBANCES[name]):
            row.rounds.append(self.on(running.port, running.process.pid))
            after = running.figures()
        row.stalls += int(after["stalls_total"]) - int(before["stalls_total"])
        row.moved_bytes += int(after["moved_bytes_total"]) - int(before["moved_bytes_total"])


def greatest_rate(generator: Path, running: ServerProcess, puts: int) -> float:
    """PUTs a second of 50 connections with one each in flight: the median of three runs."""
    words = ["qserver", "put", running.port, 0, CONNECTIONS, 1, puts, BODY_BYTES, 0]
    rates: list[float] = []
    for _ in range(3):
        result = subprocess.run(
            [str(generator), *map(str, words)], stdout=subprocess.PIPE, check=True
        )
        rates.append(puts / json.loads(result.stdout)["seconds"])
        beside.clear(running)
    return statistics.median(rates)


def fill(running: ServerProcess, count: int) -> None:
    """Queue so many messages."""
    talk = running.connect()
    for _ in range(count // 1000):
        talk.ask(b"PUT deep %b\n" % (b"1" * BODY_BYTES) * 1000, 1000)


@contextmanager
def filled(sync: str, messages: int, *flags: str) -> Iterator[ServerProcess]:
    """A server with so many messages."""
    with server("--sync", sync, "--memory-bytes-max", str(MEMORY_BYTES), *flags) as running:
        fill(running, messages)
        yield running


def rounds(
    trial: Trial,
    running: ServerProcess,
    compacting: ServerProcess,
    names: list[str],
    count: int,
) -> Iterator[tuple[int, dict[str, Row]]]:
    """All rows, another one first each time; the number of each round and what is known then."""
    rows = {name: Row() for name in names}
    for number in range(count):
        turned = names[number % len(names) :] + names[: number % len(names)]
        for name in turned:
            if name == FLOOR:
                with serving(Echo(), "none") as echo:
                    rows[name].rounds.append(trial.on(echo.port, echo.process.pid))
            else:
                process = compacting if name == "compaction" else running
                trial.beside(process, name, rows[name])
        yield number, rows


def line(name: str, row: Row, seconds: float) -> str:
    """A row of the table."""
    measured_s = seconds * len(row.rounds)
    cells = [name]
    cells += ["  ".join(f"{ms:6.2f}" for ms in found) for found in (row.took_ms(), row.ours_ms())]
    cells.append(f"{sum(each.held_up_ms for each in row.rounds) / measured_s:.1f}")
    cells.append(f"{row.stalls / measured_s:.1f}")
    cells.append(f"{statistics.median(each.busy for each in row.rounds):.0%}")
    cells.append(f"{row.moved_bytes / measured_s / 1e6:.1f}")
    return "| {:<10} | {:<30} | {:<30} | {:>7} | {:>6} | {:>4} | {:>5} |".format(*cells)


HEAD = """\
| {0:10} | {1:30} | {2:30} | {3:7} | {4:6} | {5:4} | {6:5} |
| {0:10} | {7:30} | {7:30} | {8:>7} | {9:>6} | {0:4} | {10:5} |
| {11:.10} | {11:.30} | {11:.30} | {11:.6}: | {11:.5}: | {11:.3}: | {11:.4}: |"""
WORDS = ("", "took", "ours", "held up", "stalls", "CPU", "moved")
UNITS = ("ms: p50, p99, p99.9, max", "ms/s", "/s", "MB/s", "-" * 30)


def measure(args: argparse.Namespace, sync: str, generator: Path, open_loop: Path) -> None:
    """The table of one sync policy."""
    with (
        # All that comes and goes here would keep the compactor busy in every row.
        filled(sync, args.messages, "--segment-bytes-max", NOTHING_TO_MOVE) as running,
        filled(sync, args.messages, "--segment-bytes-max", SEGMENT) as compacting,
    ):
        rate = args.rate or args.share * greatest_rate(generator, running, args.trial_puts)
        print(
            f"\nsync={sync}, {args.messages:,} messages queued, {rate:,.0f} PUTs/s, "
            f"{CONNECTIONS} connections, {args.rounds} rounds of {args.seconds:g} s\n"
        )
        rows: dict[str, Row] = {}
        for number, rows in rounds(  # noqa: B007 - the last ones are printed
            Trial(open_loop, rate, args.seconds), running, compacting, args.only, args.rounds
        ):
            print(f"{sync}: round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
        print(HEAD.format(*WORDS, *UNITS))
        for name, row in rows.items():
            print(line(name, row, args.seconds))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*DISTURBANCES, FLOOR]
    parser.add_argument("--sync", nargs="+", default=["100ms", "always"])
    parser.add_argument("--messages", type=int, default=1_000_000, help="queued meanwhile")
    parser.add_argument("--seconds", type=float, default=10, help="of each round of a row")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.5, help="of the greatest rate")
    parser.add_argument("--rate", type=float, help="PUTs a second, instead of a share")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="ROW")
    parser.add_argument("--quick", action="store_true", help="a round of 1 s, 100,000 messages")
    args = parser.parse_args()
    args.trial_puts = TRIAL_PUTS
    if args.quick:
        args.rounds, args.seconds, args.messages = 1, 1.0, min(args.messages, 100_000)
        args.trial_puts //= 10
    return args


def main() -> None:
    args = options()
    try:
        generator, open_loop = build(), build(sources=SOURCES)
    except NoCompilerError as error:
        raise SystemExit(str(error)) from None
    print(about())
    for sync in args.sync:
        measure(args, sync, generator, open_loop)


if __name__ == "__main__":
    main()

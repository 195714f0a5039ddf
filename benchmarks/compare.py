"""Our server beside beanstalkd, Redis streams and JetStream: one load generator, one run.

    python -m benchmarks.compare [--quick] [--json FILE] [--chart FILE.svg] [--python PATH]
        [--servers …] [--classes …] [--cells 1x1 50x1 1x100 50x32] [--ops …] [--bodies 100 1024]

    put      messages put
    drain    what is stored got and acked
    cycle    put, got and acked by each connection
    50x32    50 connections, on each 32 messages in flight: put, fetched, acked in one write
    none     nothing on disk
    interval synced at intervals: ours and beanstalkd every 50 ms, Redis every second, JetStream as
             by default
    always   synced before every reply

Needs a C compiler for the generator. Peers that are missing are said and left out: beanstalkd and
redis-server come with the system, nats-server and what draws charts with
`pip install -e '.[bench]'`. `echo` is no peer: it answers as ours would and stores nothing, so it
shows what the kernel and the loop take. The servers take turns within each round; figures are
medians of the rounds. Journals are in directories under $TMPDIR, so that says which disk syncs.
"""

import argparse
import sys
from pathlib import Path
from tempfile import gettempdir

from benchmarks.comparing import table
from benchmarks.comparing.bars import is_ours, verdicts
from benchmarks.comparing.compiling import NoCompilerError, build
from benchmarks.comparing.contestants import Contestant, contestants
from benchmarks.comparing.keeping import Kept, keep
from benchmarks.comparing.plan import CELLS, CLASSES, OPS, Cell
from benchmarks.comparing.race import Race
from benchmarks.comparing.report import Report
from benchmarks.comparing.serving import FailedError, sync_ms
from benchmarks.load import about

QUICK_SHARE = 0.1


def tell(text: str) -> None:
    """Progress, beside what is printed in the end."""
    print(text, file=sys.stderr, flush=True)


def chosen(args: argparse.Namespace) -> dict[Contestant, str]:
    """Who takes part, with their versions."""
    found = {}
    for contestant in contestants(args.python):
        if args.servers and contestant.name.split()[0] not in args.servers:
            continue
        reason = contestant.missing()
        if reason:
            tell(f"{contestant.name} is left out: {reason}")
        else:
            found[contestant] = contestant.version()
    return found


def kept(generator: Path, args: argparse.Namespace, racing: list[Contestant]) -> list[Kept]:
    """Memory with nothing on disk, and both memory and recovery with a journal."""
    found = []
    for durability in ("none", "interval"):
        for contestant in racing:
            if not args.kept or durability not in args.classes or not contestant.stores:
                continue
            tell(f"{durability}, {args.kept:,} messages kept by {contestant.name}")
            try:
                found.append(keep(generator, contestant, durability, args.kept, 100))
            except FailedError as error:
                tell(f"{contestant.name} is left out: {error}")
    return found


def measure(args: argparse.Namespace) -> Report:
    """All of it."""
    try:
        generator = build()
    except NoCompilerError as error:
        raise SystemExit(str(error)) from None
    where = f"{about()}; a sync of 4 KiB alone {sync_ms():.2f} ms in {gettempdir()}"
    tell(where)
    versions = chosen(args)
    racing = list(versions)
    race = Race(
        generator=generator,
        contestants=racing,
        classes=args.classes,
        cells=args.cells,
        ops=args.ops,
        bodies=args.bodies,
        rounds=args.rounds,
        share=args.share,
    )
    results = race.run(tell)
    return Report(
        where,
        {contestant.name: version for contestant, version in versions.items()},
        args.rounds,
        results,
        kept(generator, args, racing),
    )


def show(report: Report) -> None:
    """Print all tables and verdicts."""
    found = report.medians()
    print(report.about)
    print(", ".join(f"{name} {version}" for name, version in report.versions.items()))
    rounds = f"medians of {report.rounds} rounds" if report.rounds > 1 else "one round"
    print(f"\nThousand messages/s (server CPU, µs a message), {rounds}\n")
    print(table.rates(found))
    print("\nA batch from its first request to its last answer, ms: p50 / p99 / p99.9\n")
    print(table.latencies(found))
    if report.kept:
        print("\nMemory of queued messages of 100 B, and the time to be back after kill -9\n")
        print(table.kept(report.kept))
    for ours in [name for name in report.versions if is_ours(name)]:
        print(f"\n{ours}:\n")
        for verdict in verdicts(report.results, report.kept, ours):
            print(f"- {verdict}")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [each.name for each in contestants(None)]
    parser.add_argument("--servers", nargs="+", choices=names, help="all, unless named")
    parser.add_argument("--classes", nargs="+", choices=CLASSES, default=list(CLASSES))
    parser.add_argument("--cells", nargs="+", type=Cell.parse, default=list(CELLS))
    parser.add_argument("--ops", nargs="+", choices=OPS, default=list(OPS))
    parser.add_argument("--bodies", nargs="+", type=int, default=[100, 1024], metavar="BYTES")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="of the messages of each run")
    parser.add_argument("--kept", type=int, default=200_000, help="messages weighed; 0 for none")
    parser.add_argument("--quick", action="store_true", help="one round of few messages of 100 B")
    parser.add_argument("--python", type=Path, help="one that has a compiled qserver installed")
    parser.add_argument("--json", type=Path, help="write every round's figures")
    parser.add_argument("--chart", type=Path, help="draw the rates: an .svg or .png")
    parser.add_argument("--again", type=Path, help="measure nothing, show what --json wrote")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.bodies = 1, [100]
        args.share, args.kept = QUICK_SHARE * args.share, args.kept // 10
    if min(args.bodies) < 8 or args.rounds < 1:
        parser.error("a body has 8 bytes at least, and there is one round at least")
    return args


def main() -> None:
    args = options()
    if args.chart:
        from benchmarks.comparing import chart

        chart.check(args.chart)
    report = Report.read(args.again) if args.again else measure(args)
    show(report)
    if args.json:
        report.write(args.json)
    if args.chart:
        chart.draw(report, args.chart)


if __name__ == "__main__":
    main()

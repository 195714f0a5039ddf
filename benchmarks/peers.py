"""The worker beside other libraries', each in its own environment, all in one run on one machine.

python -m benchmarks.peers [--libraries arq saq …] [--tasks 20000] [--rounds 3]
    [--only puts drain nap idle] [--redis-syncs] [--json] [--venvs DIR]

Needs redis-server and PyPI; what is missing is said and left out. The others talk to a real
redis-server that writes nothing to disk, or, with --redis-syncs, one that syncs before each reply;
qclient to a real qserver that syncs before every OK. `--only puts` starts no worker.

    one      tasks put one by one, each answered before the next
    bulk     tasks put the library's best way to put many
    drain    tasks that do nothing, put before the worker starts: first begin to last end
    cpu      of the worker's process in that time, µs a task
    nap      tasks that sleep 10 ms, 100 at once: share of 100 / 10 ms
    latency  from put to begin on an idle worker, a put each 20 ms
    idle     share of a CPU of a worker that has nothing to do, all its processes
    memory   its largest process (RSS)

The order of the libraries turns with each round; figures are medians of the rounds. Libraries
that would take minutes get a share of the tasks.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.load import about
from benchmarks.peer_apps.catalogue import OURS, PEERS, Peer
from benchmarks.peer_apps.environment import Missing, environment, versions
from benchmarks.peer_apps.measuring import Figures, measure, redis_server

PARTS = ("puts", "drain", "nap", "idle")
COLUMNS = (
    ("one", "one/s", "{:,.0f}"),
    ("bulk", "bulk/s", "{:,.0f}"),
    ("drain", "drain/s", "{:,.0f}"),
    ("cpu_us", "cpu µs", "{:,.1f}"),
    ("nap", "nap", "{:.1%}"),
    ("p50_ms", "p50 ms", "{:.2f}"),
    ("p99_ms", "p99 ms", "{:.2f}"),
    ("idle", "idle CPU", "{:.2%}"),
    ("rss_mb", "RSS MB", "{:.0f}"),
)


def medians(rounds: list[Figures]) -> Figures:
    """Of each figure, over the rounds that have it."""
    names = {name for each in rounds for name in each}
    return {
        name: statistics.median(each[name] for each in rounds if name in each) for name in names
    }


def table(found: dict[str, Figures]) -> str:
    """As Markdown, best drain first."""
    ranked = sorted(found, key=lambda name: -found[name].get("drain", 0.0))
    rows = [["", *(title for _, title, _ in COLUMNS)]]
    rows.append(["---"] * len(rows[0]))
    for name in ranked:
        figures = found[name]
        rows.append(
            [name]
            + [form.format(figures[key]) if key in figures else "" for key, _, form in COLUMNS]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def ready(chosen: list[str] | None, venvs: Path) -> dict[Peer, Path]:
    """The interpreter of each library that could be installed."""
    pythons: dict[Peer, Path] = {}
    for peer in (*OURS, *PEERS):
        if chosen and peer.name not in chosen:
            continue
        if not peer.packages:
            pythons[peer] = Path(sys.executable)
            tell(f"{peer.name}: {peer.note}")
            continue
        try:
            pythons[peer] = environment(peer, venvs)
        except Missing as error:
            tell(f"{peer.name} is left out: {error}")
        else:
            tell(f"{peer.name}: {versions(peer, pythons[peer])}; {peer.note}")
    return pythons


def tell(text: str) -> None:
    """Progress, beside what is printed in the end."""
    print(text, file=sys.stderr, flush=True)


def run(args: argparse.Namespace) -> dict[str, Figures]:
    """All rounds of all libraries."""
    pythons = ready(args.libraries, args.venvs)
    rounds: dict[str, list[Figures]] = {peer.name: [] for peer in pythons}
    order = list(pythons)
    with redis_server(syncs=args.redis_syncs) as redis:
        if redis is None:
            tell("there is no redis-server: only what needs none is measured")
            order = [peer for peer in order if not peer.packages]
        for number in range(1, args.rounds + 1):
            for peer in order:
                try:
                    figures = measure(peer, pythons[peer], redis, args.tasks, args.only)
                except Missing as error:
                    tell(f"{peer.name}: {error}")
                    continue
                tell(f"round {number}, {peer.name}: {_said(figures)}")
                rounds[peer.name].append(figures)
            order = order[1:] + order[:1]
    return {name: medians(each) for name, each in rounds.items() if each}


def _said(figures: Figures) -> str:
    return ", ".join(f"{name} {value:,.3g}" for name, value in figures.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--libraries", nargs="*", metavar="NAME")
    parser.add_argument("--tasks", type=int, default=20_000, help="a multiple of 1,000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--venvs", type=Path, default=Path("~/.cache/qserver-peers"))
    parser.add_argument("--redis-syncs", action="store_true")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS[1:])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.venvs = args.venvs.expanduser()
    where = about()
    tell(where)
    found = run(args)
    if args.json:
        said: dict[str, Any] = {"about": where, "tasks": args.tasks, "rounds": args.rounds}
        print(json.dumps(said | {"figures": found}, indent=1))
    else:
        print(table(found))


if __name__ == "__main__":
    main()

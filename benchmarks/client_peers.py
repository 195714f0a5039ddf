"""The Python clients' own CPU beside other queues' clients, doing the same work in one run.

python -m benchmarks.client_peers [--libraries NAME …] [--messages 20000] [--rounds 5]
    [--loop uvloop] [--json] [--venvs DIR]

Each library runs in an environment of its own, installed from PyPI, against a real server that
keeps nothing on disk, fresh in each round; what is missing is said and left out. The order of the
libraries turns with each round. Figures are CPU microseconds of the client's process for each
message, medians of the rounds:

    one      put, each answered before the next
    100      the same by 100 coroutines at once
    many     put in bulk, the library's best way
    take     get one, read its body, ack it; each answered before the next
    drain    get 100, read their bodies, ack them

How much a client's process takes depends on its server as well: one that answers while the client
still looks does not send it to sleep. So ours is also shown beside a stub in C, as quick as
beanstalkd, that answers and stores nothing.

Bodies are 100 bytes, written and read as JSON by msgspec everywhere.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.client_apps.catalogue import LIBRARIES, Library
from benchmarks.client_apps.stub import Stub
from benchmarks.comparing.contestants import Beanstalkd, Contestant, Nats, Qserver, Redis
from benchmarks.comparing.serving import FailedError, serving
from benchmarks.load import about
from benchmarks.peer_apps.environment import Missing, environment, versions

ROOT = Path(__file__).parent.parent
WORKS = ("one", "100", "many", "take", "drain")
PATIENCE_S = 300.0

Figures = dict[str, tuple[float, float]]
"""CPU microseconds a message, and messages a second, of each work."""


def contestant(library: Library, python: Path) -> Contestant:
    """The server of a library.

    Raises:
        Missing: it is not installed.
    """
    kinds: dict[str, type[Contestant]] = {
        "qserver": Qserver,
        "stub": Stub,
        "beanstalkd": Beanstalkd,
        "redis": Redis,
        "nats": Nats,
    }
    found = kinds[library.server]()
    beside = python.parent / "nats-server"
    if isinstance(found, Nats) and beside.exists():
        found.program = str(beside)
    why = found.missing()
    if why is not None:
        raise Missing(why)
    return found


def ready(chosen: list[str] | None, venvs: Path) -> dict[Library, Path]:
    """The interpreter of each library that can run here."""
    pythons: dict[Library, Path] = {}
    for library in LIBRARIES:
        if chosen and library.name not in chosen:
            continue
        try:
            ours = not library.packages
            python = Path(sys.executable) if ours else environment(library.peer, venvs)
            server = contestant(library, python)
        except Missing as error:
            tell(f"{library.name} is left out: {error}")
            continue
        installed = "" if ours else f" {versions(library.peer, python)};"
        tell(f"{library.name}:{installed} {library.server} {server.version()}; {library.note}")
        pythons[library] = python
    return pythons


def measure(library: Library, python: Path, messages: int, loop: str) -> Figures:
    """One round of one library.

    Raises:
        Missing: it failed, or took minutes.
    """
    module = "benchmarks.client_apps.driver"
    with serving(contestant(library, python), "none") as running:
        command = [str(python), "-m", module, library.module, str(running.port), str(messages)]
        try:
            done = subprocess.run(
                [*command, loop],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE_S,
            )
        except subprocess.TimeoutExpired as error:
            raise Missing(f"took more than {PATIENCE_S:g} s") from error
    if done.returncode:
        raise Missing(done.stderr.strip()[-300:])
    return {work: (cpu_us, rate) for work, (cpu_us, rate) in json.loads(done.stdout).items()}


def run(args: argparse.Namespace) -> dict[Library, Figures]:
    """Medians of all rounds of all libraries."""
    pythons = ready(args.libraries, args.venvs)
    rounds: dict[Library, list[Figures]] = {library: [] for library in pythons}
    order = list(pythons)
    for number in range(1, args.rounds + 1):
        for library in order:
            try:
                figures = measure(library, pythons[library], args.messages, args.loop)
            except (Missing, FailedError) as error:
                tell(f"{library.name}: {error}")
                continue
            rounds[library].append(figures)
            said = ", ".join(f"{work} {cpu_us:.1f}" for work, (cpu_us, _) in figures.items())
            tell(f"round {number}, {library.name}: {said}")
        order = order[1:] + order[:1]
    return {library: medians(each) for library, each in rounds.items() if each}


def medians(rounds: list[Figures]) -> Figures:
    """Of each work, over the rounds."""
    return {
        work: (
            statistics.median(each[work][0] for each in rounds),
            statistics.median(each[work][1] for each in rounds),
        )
        for work in WORKS
        if work in rounds[0]
    }


def table(found: dict[Library, Figures]) -> str:
    """As Markdown: those for asyncio, then the plain ones, each group with ours first."""
    rows = [["", *WORKS], ["---"] * (len(WORKS) + 1)]
    for is_async in (True, False):
        group = {each: figures for each, figures in found.items() if each.is_async == is_async}
        for library, figures in group.items():
            cells = [f"{figures[work][0]:.1f}" if work in figures else "" for work in WORKS]
            rows.append([library.name, *cells])
        rows += _least(group)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _least(group: dict[Library, Figures]) -> list[list[str]]:
    """What the cheapest of the others takes, as a multiple of ours."""
    theirs = [figures for each, figures in group.items() if each.packages]
    rows = []
    for library, ours in group.items():
        if library.packages or not theirs:
            continue
        row = [f"least of the others / {library.name}"]
        for work in WORKS:
            least = [figures[work][0] for figures in theirs if work in figures]
            row.append(f"{min(least) / ours[work][0]:.2f}" if least and work in ours else "")
        rows.append(row)
    return rows


def tell(text: str) -> None:
    """Progress, beside what is printed in the end."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--libraries", nargs="*", metavar="NAME")
    parser.add_argument("--messages", type=int, default=20_000, help="a multiple of 400")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--venvs", type=Path, default=Path("~/.cache/qserver-peers"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.venvs = args.venvs.expanduser()
    where = f"{about()}, {args.loop}"
    tell(where)
    found = run(args)
    if args.json:
        figures = {library.name: each for library, each in found.items()}
        print(json.dumps({"about": where, "rounds": args.rounds, "figures": figures}, indent=1))
    else:
        print(table(found))


if __name__ == "__main__":
    main()

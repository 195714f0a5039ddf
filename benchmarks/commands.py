"""CPU of the server per command, pipelined: PUT, and GET(count=100) + ACK, at several depths.

    python -m benchmarks.commands [--sync 100ms] [--messages 200000] [--body 100] [--depth 1000000]

The depth is how many other messages stand in the queue behind those that are measured.
"""

import argparse
import statistics

from benchmarks.load import ServerProcess, about, body, now, server

BATCH = 1000
GET_COUNT = 100


def put(running: ServerProcess, count: int, size: int) -> tuple[float, float]:
    """CPU and wall-clock microseconds per PUT."""
    talk = running.connect()
    lines = b"PUT bench %b\n" % body(size) * BATCH
    cpu, began = running.cpu_s(), now()
    for _ in range(count // BATCH):
        talk.ask(lines, BATCH)
    return 1e6 * (running.cpu_s() - cpu) / count, 1e6 * (now() - began) / count


def drain(running: ServerProcess, count: int) -> tuple[float, float]:
    """CPU and wall-clock microseconds per message of GET count=100 and ACK of them all."""
    talk = running.connect()
    cpu, began = running.cpu_s(), now()
    for _ in range(count // BATCH):
        got = talk.ask(
            b"GET bench count=%d\n" % GET_COUNT * (BATCH // GET_COUNT),
            BATCH + BATCH // GET_COUNT,
        )
        receipts = [line.split(b" ", 2)[1] for line in got.split(b"\n") if line[:1] == b"*"]
        acks = b"".join(
            b"ACK %b\n" % b" ".join(receipts[at : at + GET_COUNT])
            for at in range(0, BATCH, GET_COUNT)
        )
        talk.ask(acks, BATCH // GET_COUNT)
    return 1e6 * (running.cpu_s() - cpu) / count, 1e6 * (now() - began) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sync", default="100ms")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--body", type=int, default=100)
    parser.add_argument("--depth", type=int, nargs="*", default=[0, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print(about())
    print(f"sync={args.sync}, bodies of {args.body} bytes, {args.messages} messages a round")
    print("depth     what            CPU µs (min median max)     wall µs (median)")
    for depth in args.depth:
        with server("--sync", args.sync) as running:
            if depth:
                put(running, depth, args.body)
            puts, drains = [], []
            for _ in range(args.rounds):
                puts.append(put(running, args.messages, args.body))
                drains.append(drain(running, args.messages))
            for name, figures in (("PUT", puts), ("GET+ACK", drains)):
                cpu = [figure[0] for figure in figures]
                wall = statistics.median(figure[1] for figure in figures)
                print(
                    f"{depth:<9} {name:<15} {min(cpu):6.2f} {statistics.median(cpu):6.2f} "
                    f"{max(cpu):6.2f}         {wall:6.2f}"
                )


if __name__ == "__main__":
    main()

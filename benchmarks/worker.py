"""The worker against a real server that syncs before every OK, with the default middleware on.

python -m benchmarks.worker [--tasks 20000] [--concurrency 100] [--rounds 3]

    drain      tasks that do nothing, put before the worker starts: rate, CPU of its process
    sleep      tasks that sleep 10 ms: share of concurrency / 10 ms
    latency    one at a time on an idle worker: from put to start
    idle       CPU and memory of a worker that has nothing to do
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.load import about, server
from qclient.tasks import App
from qclient.worker import Settings, Worker

NAP_S = 0.01
LATENCIES = 500
IDLE_S = 4.0

app = App("bench", queue="bench")


class Progress:
    """What a worker's process has seen."""

    left = 0
    began: tuple[float, float] | None = None
    worker: Worker
    delays_ms: list[float] = []  # noqa: RUF012  one process, one instance


def count() -> None:
    """One more has ended; the last one prints the figures and ends the worker."""
    Progress.left -= 1
    if Progress.left:
        return
    assert Progress.began is not None
    wall_s = time.perf_counter() - Progress.began[0]
    cpu_s = time.process_time() - Progress.began[1]
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "delays_ms": Progress.delays_ms}))
    Progress.worker.stop()


def begin() -> None:
    if Progress.began is None:
        Progress.began = time.perf_counter(), time.process_time()


@app.task
async def nothing() -> None:
    begin()
    count()


@app.task
async def nap() -> None:
    begin()
    await asyncio.sleep(NAP_S)
    count()


@app.task
async def stamp(sent_at: float) -> None:
    begin()
    Progress.delays_ms.append((time.monotonic() - sent_at) * 1000)
    count()


async def work(url: str, args: argparse.Namespace) -> None:
    """The worker's process."""
    settings = Settings(concurrency=args.concurrency, prefetch=args.prefetch)
    Progress.left = args.tasks
    Progress.worker = Worker(app, url, settings)
    await Progress.worker.run()


def start(url: str, args: argparse.Namespace, tasks: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.worker", "--serve", url, "--tasks", str(tasks)]
    command += ["--concurrency", str(args.concurrency)]
    if args.prefetch is not None:
        command += ["--prefetch", str(args.prefetch)]
    if args.profile:
        command[1:1] = ["-m", "cProfile", "-o", args.profile]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def end(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    said, _ = process.communicate(timeout=120)
    found: dict[str, Any] = json.loads(said)
    return found


async def drain(url: str, args: argparse.Namespace, task: Any) -> dict[str, Any]:
    async with app.connect(url):
        began = time.perf_counter()
        await task.put_many(task.call() for _ in range(args.tasks))
        put_s = time.perf_counter() - began
    figures = end(start(url, args, args.tasks))
    return figures | {"put_s": put_s}


async def latency(url: str, args: argparse.Namespace) -> list[float]:
    process = start(url, args, LATENCIES + 1)
    async with app.connect(url):
        await stamp.put(time.monotonic())
        await asyncio.sleep(1.5)
        for _ in range(LATENCIES):
            await stamp.put(time.monotonic())
            await asyncio.sleep(0.005)
    return sorted(end(process)["delays_ms"][1:])


def idle(url: str, args: argparse.Namespace) -> tuple[float, float]:
    """Share of a CPU in per cent, memory in MB."""
    process = start(url, args, 1)
    time.sleep(1.5)
    before = cpu_s(process.pid)
    time.sleep(IDLE_S)
    share = (cpu_s(process.pid) - before) / IDLE_S * 100
    rss_mb = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 / 1e6
    process.terminate()
    process.wait()
    return share, rss_mb


def cpu_s(pid: int) -> float:
    """CPU seconds of all its threads."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9


def show(name: str, args: argparse.Namespace, rounds: list[dict[str, Any]]) -> None:
    rates = [args.tasks / each["wall_s"] for each in rounds]
    cpus = [each["cpu_s"] / args.tasks * 1e6 for each in rounds]
    puts = [args.tasks / each["put_s"] for each in rounds]
    ideal = args.concurrency / NAP_S
    share = f", {statistics.median(rates) / ideal:.1%} of the ideal" if name == "sleep" else ""
    spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
    print(
        f"{name:<8} {statistics.median(rates):8,.0f} tasks/s ({spread})"
        f", {statistics.median(cpus):5.1f} µs of CPU a task{share}"
        f"; put in bulk {statistics.median(puts):,.0f}/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--prefetch", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["drain", "sleep", "latency", "idle"])
    parser.add_argument("--profile")
    parser.add_argument("--serve")
    args = parser.parse_args()
    if args.serve:
        uvloop.run(work(args.serve, args))
        return
    print(about())
    with server() as running:
        url = f"qserver://127.0.0.1:{running.port}"
        for name, task in (("drain", nothing), ("sleep", nap)):
            if args.only in (None, name):
                runs = [uvloop.run(drain(url, args, task)) for _ in range(args.rounds)]
                show(name, args, runs)
        if args.only in (None, "latency"):
            delays = uvloop.run(latency(url, args))
            p50, p99 = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
            print(f"latency  p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        if args.only in (None, "idle"):
            share, rss_mb = idle(url, args)
            print(f"idle     {share:.2f} % of a CPU, {rss_mb:.0f} MB")


if __name__ == "__main__":
    main()

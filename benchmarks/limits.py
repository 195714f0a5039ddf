"""A worker whose backlog is over its limit: what runs, what it costs, what others wait for it.

python -m benchmarks.limits [--backlog 10000] [--seconds 10]

A real server, and a worker in this process with 100 places. In one queue stand the backlog of the
limited task and, behind it, a hundred tasks without a limit.

    runs/s     of the limited task, once the backlog has come by for the first time
    CPU        of the worker and of the server for coming and going, in shares of a core, as long
    others ms  from the start of the worker until all hundred have run
"""

import argparse
import asyncio
import time
from typing import Any

import uvloop

from benchmarks.load import ServerProcess, about, server
from qclient.middleware import Middleware, standard
from qclient.middleware.concurrency_limit import ConcurrencyLimit
from qclient.middleware.rate_limit import RateLimit
from qclient.tasks import App
from qclient.worker import Settings, Worker

OTHERS = 100
SETTLE_S = 2.0


class Seen:
    """What has run."""

    limited = 0
    others = 0


def app_of(limit: Middleware, run_s: float, seen: Seen) -> tuple[App, Any, Any]:
    app = App("bench", queue="bench", middleware=[limit, *standard()])

    @app.task
    async def limited() -> None:
        seen.limited += 1
        if run_s:
            await asyncio.sleep(run_s)

    @app.task
    async def other() -> None:
        seen.others += 1

    return app, limited, other


async def measure(process: ServerProcess, limit: Middleware, run_s: float, args: Any) -> str:
    seen = Seen()
    url = f"qserver://127.0.0.1:{process.port}"
    app, limited, other = app_of(limit, run_s, seen)
    async with app.connect(url) as client:
        await client.drop("bench")
        await limited.put_many(limited.call() for _ in range(args.backlog))
        await other.put_many(other.call() for _ in range(OTHERS))
        worker = Worker(app, url, Settings(concurrency=100))
        run = asyncio.create_task(worker.run())
        began_at = time.perf_counter()
        while seen.others < OTHERS and time.perf_counter() - began_at < args.seconds:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        others_ms = (time.perf_counter() - began_at) * 1000 if seen.others == OTHERS else None
        line = await steady(process, worker, seen, args.seconds)
        worker.stop()
        await run
        return line + (f"{others_ms:12,.0f}" if others_ms else f"{'never':>12}")


async def steady(process: ServerProcess, worker: Worker, seen: Seen, seconds: float) -> str:
    await asyncio.sleep(SETTLE_S)
    ran, released = seen.limited, worker.counts.released
    cpu, server_cpu, at = time.process_time(), process.cpu_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    took_s = time.perf_counter() - at
    runs = (seen.limited - ran) / took_s
    aways = (worker.counts.released - released) / took_s
    shares = (time.process_time() - cpu) / took_s, (process.cpu_s() - server_cpu) / took_s
    return f"{runs:10.1f}{aways:10.1f}{shares[0]:10.1%}{shares[1]:10.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    print(about())
    print(
        f"{'limit':<28}{'runs/s':>10}{'aways/s':>10}{'worker':>10}{'server':>10}{'others ms':>12}"
    )
    limits: dict[str, tuple[Middleware, float]] = {
        "1 a second": (RateLimit({"limited": 1}), 0.0),
        "10 a second": (RateLimit({"limited": 10}), 0.0),
        "100 a second": (RateLimit({"limited": 100}), 0.0),
        "1,000 a second": (RateLimit({"limited": 1000}), 0.0),
        "2 at once, of 10 ms": (ConcurrencyLimit({"limited": 2}), 0.01),
        "2 at once, of 1 s": (ConcurrencyLimit({"limited": 2}), 1.0),
        "2 at once, of 20 s": (ConcurrencyLimit({"limited": 2}), 20.0),
    }
    for name, (limit, run_s) in limits.items():
        with server() as process:
            said = uvloop.run(measure(process, limit, run_s, args))
        print(f"{name:<28}{said}")


if __name__ == "__main__":
    main()

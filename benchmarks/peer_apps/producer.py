"""Puts the tasks of one library, in that library's own environment, and prints how long it took.

    python -m benchmarks.peer_apps.producer <library> one|bulk|paced <task> <count>

A library's module has `one(task, *args)` and `bulk(task, count)`, plain or async, and, where it
needs to be connected first, an async context `connected()`.
"""

import asyncio
import contextlib
import importlib
import inspect
import json
import sys
import time
from typing import Any

PACE_S = 0.02


async def put(library: str, how: str, task: str, count: int) -> float:
    """Seconds that it took."""
    module: Any = importlib.import_module(f"benchmarks.peer_apps.with_{library}")
    connected = getattr(module, "connected", contextlib.nullcontext)
    async with connected():
        began_at = time.perf_counter()
        if how == "paced":
            await _paced(module.one, task, count)
        elif how == "bulk":
            done = module.bulk(task, count)
            if inspect.isawaitable(done):
                await done
        elif inspect.iscoroutinefunction(module.one):
            for _ in range(count):
                await module.one(task)
        else:
            for _ in range(count):
                module.one(task)
        return time.perf_counter() - began_at


async def _paced(one: Any, task: str, count: int) -> None:
    """Each put says when; the worker has nothing else to do. The first connect, and don't count."""
    for _ in range(count):
        done = one(task, time.monotonic())
        if inspect.isawaitable(done):
            await done
        await asyncio.sleep(PACE_S)


def main() -> None:
    library, how, task, count = sys.argv[1:]
    try:
        import uvloop  # where the library's environment has it
    except ImportError:
        run: Any = asyncio.run
    else:
        run = uvloop.run
    print(json.dumps(run(put(library, how, task, int(count)))))


if __name__ == "__main__":
    main()

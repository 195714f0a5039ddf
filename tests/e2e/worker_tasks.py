"""Tasks that note in a file when they begin and end, for workers in processes of their own."""

import asyncio
import os
import time

from qclient.tasks import App
from qclient.worker import current

app = App("tests", queue="q")


def note(word: str, n: int) -> None:
    """One line, written at once, also by many processes."""
    line = f"{word} {n} {os.getpid()} {time.monotonic()}\n".encode()
    with open(os.environ["QTEST_NOTES"], "ab", buffering=0) as file:  # noqa: PTH123
        file.write(line)


@app.task(max_attempts=2)
async def nap(n: int, seconds: float) -> None:
    note("begin", n)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note(f"cancelled-{current().cancelled_for}", n)
        raise
    note("end", n)


@app.task
async def block(n: int, seconds: float) -> None:
    note("begin", n)
    time.sleep(seconds)  # noqa: ASYNC251  the point
    note("end", n)


@app.task
def plain(n: int) -> None:
    note("begin", n)
    note("end", n)


@app.task(where="process", max_attempts=1)
def crash(n: int) -> None:
    note("begin", n)
    os.kill(os.getpid(), 9)


@app.task(where="process")
def child(n: int) -> None:
    note("begin", n)
    note("end", n)

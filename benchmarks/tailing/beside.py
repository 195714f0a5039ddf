"""What others do to the server while PUTs are measured: each in a thread, until it is told to stop.

Each asks one thing after the other and waits for its answer, so none of them sends more than the
server takes.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from benchmarks.load import ServerProcess, Talk, body

Disturbance = Callable[[Talk, threading.Event], None]

PAUSE_S = 0.02
LEASE_S = 0.25
LEASES = 1000
PURGED = 100_000
CHURN_BODY_BYTES = 1000
BIG_BODY_BYTES = 1_048_000
BIG_KEPT = 16


def nobody(talk: Talk, stop: threading.Event) -> None:  # noqa: ARG001 - a disturbance's signature
    """Nobody else."""
    stop.wait()


def churn(talk: Talk, stop: threading.Event) -> None:
    """5 MB a second of messages that go at once: those that are kept have to be moved."""
    lines = b"PUT churn %b\n" % body(CHURN_BODY_BYTES) * 100
    while not stop.wait(PAUSE_S):
        talk.ask(lines + b"PURGE churn\n", 101)


def list_everything(talk: Talk, stop: threading.Event) -> None:
    """LIST pages through all that is queued, page after page, and begins again."""
    after = b"0"
    while not stop.is_set():
        last = ask_page(talk, b"LIST deep count=1000 after=%b\n" % after)
        _, _, after = last.partition(b"next=")
        after = after.strip() or b"0"


def expire_leases(talk: Talk, stop: threading.Event) -> None:
    """1,000 leases, taken together, run out together, about four times a second."""
    talk.ask(b"QUEUE expiring max_losses=0 backoff=0\n", 2)
    talk.ask(b"PUT expiring 1\n" * LEASES, LEASES)
    while not stop.is_set():
        last = ask_page(talk, b"GET expiring count=%d lease=%f wait=1\n" % (LEASES, LEASE_S))
        stop.wait(LEASE_S if last.split()[1] == b"%d" % LEASES else PAUSE_S)


def put_big_bodies(talk: Talk, stop: threading.Event) -> None:
    """Bodies of 1 MiB, one after the other."""
    line = b"PUT big %b\n" % body(BIG_BODY_BYTES)
    while not stop.is_set():
        for _ in range(BIG_KEPT):
            talk.ask(line, 1)
        talk.ask(b"PURGE big\n", 1)


def purge(talk: Talk, stop: threading.Event) -> None:
    """100,000 messages are put, 1,000 every 20 ms, and purged, again and again."""
    lines = b"PUT purged %b\n" % body(100) * 1000
    while not stop.is_set():
        for _ in range(PURGED // 1000):
            talk.ask(lines, 1000)
            if stop.wait(PAUSE_S):
                return
        talk.ask(b"PURGE purged\n", 1)


def churn_until_moving(running: ServerProcess) -> None:
    """Put and purge messages, as quickly as it goes, until the compactor has something to do."""
    talk = running.connect()
    before = running.figures()["moved_bytes_total"]
    while running.figures()["moved_bytes_total"] == before:
        talk.ask(b"PUT warm %b\n" % body(CHURN_BODY_BYTES) * 1000 + b"PURGE warm\n", 1001)


def ask_page(talk: Talk, line: bytes) -> bytes:
    """Send one request whose reply has any number of lines; answers the last one.

    Raises:
        AssertionError: that is an error.
    """
    tail = talk.ask(line, 1)
    while True:
        begin = tail.rfind(b"\n", 0, -1) + 1
        if tail.endswith(b"\n") and not tail.startswith(b"*", begin):
            last = tail[begin:]
            assert last.startswith(b"OK"), last
            return last
        tail = tail[begin:] + talk.ask(b"", 1)


QUEUES = (b"warm", b"q", b"churn", b"expiring", b"big", b"purged", b"load")


@contextmanager
def beside(running: ServerProcess, disturbance: Disturbance) -> Iterator[None]:
    """Let that go on meanwhile; afterwards what it and the measured PUTs have left is removed."""
    stop = threading.Event()
    failed: list[BaseException] = []
    talk = running.connect()

    def run() -> None:
        try:
            disturbance(talk, stop)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for it
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with suppress(ConnectionError):
            clear(running)
    if failed:
        raise failed[0]


def clear(running: ServerProcess) -> None:
    """Remove all but what is queued deep, little by little."""
    talk = running.connect()
    for queue in QUEUES:
        talk.ask(b"DROP %b\n" % queue, 1)

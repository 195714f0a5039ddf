"""Measures one library: starts what it needs, its producer and its worker; reads their figures."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Literal

from benchmarks.load import server
from benchmarks.peer_apps.catalogue import Peer
from benchmarks.peer_apps.environment import Missing
from benchmarks.peer_apps.tally import NAP_S, TIMES

Figures = dict[str, float]
Part = Literal["puts", "drain", "nap", "idle"]
"""Of a round: `drain` puts one by one, `nap` in bulk; `puts` is the two without a worker."""

ROOT = Path(__file__).parent.parent.parent
PLACES = 100
LATENCIES = 200
SETTLE_S = 4.0
IDLE_S = 5.0
PATIENCE_S = 300.0
POLL_S = 0.02


class Backing:
    """What the library under test talks to, and where its figures go."""

    def __init__(self, redis: int | None, qserver: int, place: Path) -> None:
        self.environ = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PEER_REDIS": f"redis://127.0.0.1:{redis}/0",
            "PEER_QSERVER": f"qserver://127.0.0.1:{qserver}",
            "QCLIENT_URL": f"qserver://127.0.0.1:{qserver}",
        }
        self.place = place
        self.out = place / "figures"
        if redis is not None:
            with socket.create_connection(("127.0.0.1", redis)) as sock:
                sock.sendall(b"FLUSHALL\r\n")
                assert sock.recv(100) == b"+OK\r\n"

    def said(self) -> str:
        """The end of what the worker has logged."""
        return (self.place / "worker.log").read_text(errors="replace").strip()[-300:]


@contextlib.contextmanager
def redis_server(*, syncs: bool) -> Iterator[int | None]:
    """The port of a redis-server; None where there is none.

    It writes nothing to disk, or it syncs before each reply, as qserver does.
    """
    if shutil.which("redis-server") is None:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    command += ["--appendonly", "yes" if syncs else "no", "--appendfsync", "always"]
    with tempfile.TemporaryDirectory() as place:
        process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL)
        try:
            yield port if _await(lambda: _answers(port), 10.0) else None
        finally:
            process.terminate()
            process.wait(10)


def measure(
    peer: Peer, python: Path, redis: int | None, tasks: int, parts: Collection[Part]
) -> Figures:
    """One round of one library.

    Raises:
        Missing: it failed, or took minutes.
    """
    tasks = int(tasks * peer.share)
    found: Figures = {}
    if "puts" in parts:
        for how in ("one", "bulk"):
            with _backing(redis) as backing:
                found[how] = tasks / _put(peer, python, backing, how, "nothing", tasks)
    if "drain" in parts:
        with _backing(redis) as backing:
            found["one"] = tasks / _put(peer, python, backing, "one", "nothing", tasks)
            wall_s, cpu_s = _drained(peer, python, backing, tasks)
            found["drain"] = tasks / wall_s
            found["cpu_us"] = cpu_s / tasks * 1e6
    if "nap" in parts:
        with _backing(redis) as backing:
            found["bulk"] = tasks / _put(peer, python, backing, "bulk", "nap", tasks)
            wall_s, _ = _drained(peer, python, backing, tasks)
            found["nap"] = tasks / wall_s / (PLACES / NAP_S)
    if "idle" in parts:
        with _backing(redis) as backing:
            found |= _idle(peer, python, backing)
    return found


@contextlib.contextmanager
def _backing(redis: int | None) -> Iterator[Backing]:
    with tempfile.TemporaryDirectory() as place, server() as running:
        yield Backing(redis, running.port, Path(place))


@contextlib.contextmanager
def _worker(
    peer: Peer, python: Path, backing: Backing, tasks: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Its process; it is killed in the end, with all of its children."""
    environ = backing.environ | {"PEER_TASKS": str(tasks), "PEER_OUT": str(backing.out)}
    if peer.forks:
        environ["PEER_FORKS"] = "1"
    command = [str(python), *(w.format(redis=environ["PEER_REDIS"]) for w in peer.command)]
    with (backing.place / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _put(peer: Peer, python: Path, backing: Backing, how: str, task: str, count: int) -> float:
    """Seconds that it took to put so many."""
    module = "benchmarks.peer_apps.producer"
    command = [str(python), "-m", module, peer.name, how, task, str(count)]
    done = subprocess.run(
        command, cwd=ROOT, env=backing.environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Missing(f"its producer failed: {done.stderr.strip()[-300:]}")
    return float(json.loads(done.stdout))


def _drained(peer: Peer, python: Path, backing: Backing, tasks: int) -> tuple[float, float]:
    """Seconds from the first begin to the last end, and CPU seconds of the worker in that time."""
    with _worker(peer, python, backing, tasks) as worker:
        figures = _figures(peer, backing, worker, tasks)
        if not peer.forks:
            return figures["wall_s"], figures["cpu_s"]
        return figures["wall_s"], sum(_cpu_s(each) for each in _tree(worker.pid))


def _idle(peer: Peer, python: Path, backing: Backing) -> Figures:
    with _worker(peer, python, backing, LATENCIES) as worker:
        time.sleep(SETTLE_S)
        if worker.poll() is not None:
            raise Missing(f"its worker ended: {backing.said()}")
        before = {each: _cpu_s(each) for each in _tree(worker.pid)}
        time.sleep(IDLE_S)
        share = sum(_cpu_s(each) - cpu_s for each, cpu_s in before.items()) / IDLE_S
        _put(peer, python, backing, "paced", "stamp", LATENCIES)
        delays_ms = sorted(_figures(peer, backing, worker, LATENCIES)["delays_ms"])
        rss_mb = max(_rss_mb(each) for each in _tree(worker.pid))
    return {
        "p50_ms": delays_ms[len(delays_ms) // 2],
        "p99_ms": delays_ms[len(delays_ms) * 99 // 100],
        "idle": share,
        "rss_mb": rss_mb,
    }


def _figures(peer: Peer, backing: Backing, worker: subprocess.Popen[bytes], tasks: int) -> Any:
    """What the tasks wrote when the last of them had ended."""
    out = backing.out
    size = TIMES.size * tasks if peer.forks else 1

    def is_there() -> bool:
        if worker.poll() is not None:
            raise Missing(f"its worker ended: {backing.said()}")
        return out.exists() and out.stat().st_size >= size

    if not _await(is_there, PATIENCE_S):
        raise Missing(f"its tasks did not end within {PATIENCE_S:g} s: {backing.said()}")
    if not peer.forks:
        return json.loads(out.read_bytes())
    times = list(TIMES.iter_unpack(out.read_bytes()))
    return {
        "wall_s": times[-1][1] - times[0][0],
        "delays_ms": [(ended - began) * 1000 for began, ended in times],
    }


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process, those of children that have ended included."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def _await(is_so: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True

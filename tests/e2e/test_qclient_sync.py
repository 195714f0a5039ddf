"""The synchronous client against a real server: threads, crashes, forks, Ctrl-C."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import qclient
from qclient.sync import Client, connect
from tests.e2e.process import PATIENCE_S, QServer, clean_environment
from tests.e2e.worker_process import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QServer]:
    with QServer(tmp_path / "data") as running:
        yield running


@dataclass
class Job:
    """A body."""

    n: int


def test_every_verb_does_what_it_says(server: QServer) -> None:
    with connect(server.url, session="w", grace=5) as client:
        assert client.server.session == "w"
        put = client.put("q", Job(1), key="k")
        assert client.put("q", Job(1), dedup="d") != put
        assert client.put("q", Job(1), dedup="d").is_duplicate
        one, two = client.get("q", type=Job, count=5, lease=60)
        assert (one.body, one.key, one.deliveries) == (Job(1), "k", 1)
        assert [each.receipt for each in client.leases(page=1)] == [one.receipt, two.receipt]
        assert client.touch_all(lease=90).count == 2
        assert client.progress(one, 0.5).count == 1
        assert one.touch(120)
        assert one.ack()
        assert not one.ack()
        assert two.nack(dead=True, reason=ValueError("bad"))
        (dead,) = client.list("q", state="dead", type=Job)
        assert (dead.body, dead.reason) == (Job(1), "ValueError: bad")
        assert client.redrive("q", reason="Value*") == 1
        assert client.peek(dead.id).state == "ready"
        assert client.queue("q", max_messages=1, lease=5).lease == 5
        with pytest.raises(qclient.Full):
            client.put("q", 1)
        with pytest.raises(qclient.NotFound):
            client.peek(99)
        assert client.pause("q")
        assert client.get("q") == []
        assert client.resume("q")
        assert [(queue.name, queue.ready) for queue in client.queues()] == [("q", 1)]
        assert client.purge("q") == 1
        assert client.drop("q") == 0
        assert client.stats()["messages"] == 0
        assert any(line.startswith("PUT") for line in client.help())
        assert client.hello().leases == 0


def test_a_thread_waits_for_the_result_that_another_one_gives(server: QServer) -> None:
    with connect(server.url, client="both", connections_max=1, waiting_max=1) as client:
        id_ = client.put("q", 20).id
        results: list[Any] = []
        (waiting,) = run_threads(
            1, lambda _: results.append(client.result(id_, type=int, wait=PATIENCE_S))
        )
        (message,) = client.get("q")
        assert client.done(message, message.body + 1, retain=60).count == 1
        join([waiting])
        assert (results[0].state, results[0].value) == ("done", 21)
        assert client.result(id_).value == 21
        assert {peer.client for peer in client.clients()} == {"both"}


def test_bodies_of_every_size_and_bulks_of_many_batches_arrive_whole(server: QServer) -> None:
    with connect(server.url) as client:
        bodies = ["é" * size for size in (0, 1, 1_000, 65_536, 500_000)]
        client.put_many("big", bodies)
        assert [client.get("big", type=str)[0].body for _ in bodies] == bodies
        ids = client.put_many("many", range(5_000))
        assert ids == sorted(set(ids))
        assert [row.body for row in client.list("many", page=1_000)] == list(range(5_000))


def run_threads(count: int, work: Callable[[int], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(PATIENCE_S * 2)
        assert not thread.is_alive()


class Traffic:
    """Threads that put, and threads that get and ack, until everything was seen."""

    def __init__(
        self, client: Client, *, putters: int, each: int, getters: int, lease_s: float
    ) -> None:
        self.seen: Counter[int] = Counter()
        self.stored: set[int] = set()
        self.put = 0
        self.wanted = putters * each
        self._client = client
        self._each = each
        self._lease_s = lease_s
        self._threads = run_threads(putters, self._put_some) + run_threads(getters, self._consume)

    def wait_put(self, count: int) -> None:
        wait_until(lambda: self.put >= count)

    def finish(self) -> None:
        join(self._threads)
        assert sorted(self.seen) == list(range(self.wanted))

    def _put_some(self, number: int) -> None:
        for n in range(number * self._each, (number + 1) * self._each):
            self._client.put("q", n)
            self.put += 1

    def _consume(self, _number: int) -> None:
        while len(self.seen) < self.wanted:
            for message in self._client.get("q", count=5, wait=0.2, lease=self._lease_s):
                with message:
                    self.seen[message.body] += 1
                    self.stored.add(message.id)


def test_many_threads_share_a_client(server: QServer) -> None:
    with connect(server.url) as client:
        traffic = Traffic(client, putters=16, each=50, getters=8, lease_s=60)
        traffic.finish()
        assert set(traffic.seen.values()) == {1}
        assert (int(client.stats()["messages"]), client.get("q")) == (0, [])


@pytest.mark.slow
def test_threads_survive_a_server_that_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with QServer(data) as server, connect(server.url, session="w", grace=10) as client:
        traffic = Traffic(client, putters=4, each=150, getters=2, lease_s=3)
        traffic.wait_put(200)
        server.kill()
        with QServer(data, port=server.port):
            traffic.finish()
            (queue,) = client.queues()
            assert queue.ready == queue.dead == 0
        assert len(traffic.stored) == traffic.wanted  # each landed once


def test_an_idle_client_finds_a_restarted_server_even_for_what_cannot_be_repeated(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    with QServer(data) as server, connect(server.url, dedup=False) as client:
        client.put("q", 1)
        server.kill()
        with QServer(data, port=server.port):
            assert client.put("q", 2).id > 1
            assert client.purge("q") == 2


# ── forks ──


def run_script(script: str, *words: str) -> subprocess.Popen[str]:
    """A program of its own that uses the client."""
    return subprocess.Popen(
        [sys.executable, "-W", "error::ResourceWarning", "-c", script, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )


FORK = """
import os, sys, threading
from qclient.sync import connect

client = connect(sys.argv[1])
client.put("q", "before")
stop = threading.Event()

def hammer():  # so that the forks happen in the middle of requests
    while not stop.is_set():
        client.get("nothing", wait=0.001)
        client.ping()

def work(name):
    for n in range(25):
        client.put("q", f"{name}-{n}")

def run(names):
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

hammers = [threading.Thread(target=hammer) for _ in range(4)]
for thread in hammers:
    thread.start()
children = []
for child in range(4):
    pid = os.fork()
    if pid == 0:
        run([f"child{child}-{thread}" for thread in range(3)])
        client.close()
        os._exit(0)
    children.append(pid)
run(["parent-0", "parent-1"])
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
stop.set()
for thread in hammers:
    thread.join()
client.close()
print(codes)
"""


def test_forked_processes_and_their_parent_go_on_side_by_side(server: QServer) -> None:
    process = run_script(FORK, server.url)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (out, err) == ("[0, 0, 0, 0]\n", "")
    with connect(server.url) as client:
        bodies = Counter(row.body for row in client.list("q", page=1000))
    names = [f"child{child}-{thread}" for child in range(4) for thread in range(3)]
    names += ["parent-0", "parent-1"]
    assert bodies == Counter(["before", *(f"{name}-{n}" for name in names for n in range(25))])


INHERIT = """
import os, sys, time
from qclient.sync import connect

client = connect(sys.argv[1], session="w", grace=0.5)
(message,) = client.get("q", lease=60)
if os.fork() == 0:
    os.close(1)
    os.close(2)
    time.sleep(60)
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_forked_process_does_not_keep_its_parents_session_alive(server: QServer) -> None:
    with connect(server.url) as client:
        client.put("q", 1)
        process = run_script(INHERIT, server.url)
        process.stdout.readline()  # type: ignore[union-attr]
        try:
            process.kill()
            (message,) = client.get("q", wait=PATIENCE_S)
            assert message.losses == 1
        finally:
            process.communicate()


# ── Ctrl-C ──

INTERRUPTED = """
import sys
from qclient.sync import connect

with connect(sys.argv[1]) as client:
    print("waits", flush=True)
    try:
        client.get("q", wait=60)
    except KeyboardInterrupt:
        print("interrupted", client.put("after", 1).id, flush=True)
"""


def test_ctrl_c_ends_a_get_that_waits_and_the_client_goes_on(server: QServer) -> None:
    process = run_script(INTERRUPTED, server.url)
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    with connect(server.url) as client:
        client.queue("q", lease=60)
        wait_until(lambda: next(client.queues()).waiting == 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (out, err) == ("interrupted 1\n", "")
        assert [(each.name, each.waiting) for each in client.queues()][-1] == ("q", 0)
        client.put("q", 1)
        assert len(client.get("q")) == 1


@pytest.mark.slow
def test_a_get_that_is_interrupted_as_its_message_comes_leaves_it_to_others(
    server: QServer,
) -> None:
    main = threading.get_ident()
    with connect(server.url) as client, connect(server.url) as other:
        client.queue("q", lease=1)  # Ctrl-C between two steps of the interpreter may cost a lease
        for n in range(30):  # sometimes before, sometimes behind the message
            interrupt = threading.Thread(target=put_and_interrupt, args=(other, main, n))
            got: list[qclient.sync.Message[Any]] = []
            with contextlib.suppress(KeyboardInterrupt):
                interrupt.start()
                got = client.get("q", wait=60)
                interrupt.join(PATIENCE_S)
            interrupt.join(PATIENCE_S)
            (message,) = got or client.get("q", wait=PATIENCE_S)
            assert message.body == n
            assert message.ack()


def put_and_interrupt(other: Client, thread: int, n: int) -> None:
    time.sleep(0.003)
    put = threading.Thread(target=other.put, args=("q", n))
    put.start()
    time.sleep(0.0002 * (n % 10))
    signal.pthread_kill(thread, signal.SIGINT)
    put.join(PATIENCE_S)


def test_a_forked_process_lets_go_of_its_parents_connections(server: QServer) -> None:
    with connect(server.url) as client:
        (before,) = client._pool._idle
        pid = os.fork()
        if pid == 0:
            os._exit(0 if before._socket.fileno() == -1 and not client._pool._idle else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        client.ping()
        assert client._pool._idle == [before]

"""What can be set about a worker, with its defaults. Times are in seconds."""

from collections.abc import Mapping

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works.

    Attributes:
        queues: what it takes from, the first emptied first; or queues with weights, each of which
            comes first that often. All queues of the app's tasks by default.
        concurrency: tasks that run at once.
        prefetch: messages that may wait here for a place. By default as many as will have one
            when the answer comes, judged by how many tasks end meanwhile: none with long tasks,
            and what has to wait after all is soon given back. 0 asks for exactly what can begin
            now; a number lets that many wait.
        lease_s: how long a message is held without a sign of life; the heartbeat renews it each
            third of that.
        session_grace_s: how long a worker that is gone keeps its messages: a killed one's are with
            another after that, one that reconnects in time keeps them.
        grace_s: what running tasks get when the worker stops.
        blocked_s: the event loop is reported as blocked, with the task's name, after so long.
        blocked_s_max: a loop blocked for longer is taken for dead: its leases are renewed no more.
        wait_s: of one GET.
        connect_for_s: how long the first connection is tried.
        task_threads: plain tasks that run at once in threads; `concurrency` by default.
        task_processes: plain tasks that run at once in processes of their own; the number of CPUs
            by default.
        burst: end when there is nothing more to get, instead of waiting for it.
        health_file: touched every few seconds while the worker is well; see `probe.py`.
        health_port: answers HTTP requests with 200 while it is well, else 503; 0 is any free one.
    """

    queues: tuple[str, ...] | Mapping[str, int] = ()
    concurrency: int = 100
    prefetch: int | None = None
    lease_s: float = 15.0
    session_grace_s: float = 5.0
    grace_s: float = 25.0
    blocked_s: float = 1.0
    blocked_s_max: float = 600.0
    wait_s: float = 20.0
    connect_for_s: float = 30.0
    task_threads: int | None = None
    task_processes: int | None = None
    burst: bool = False
    health_file: str | None = None
    health_port: int | None = None

"""The libraries: what is installed for each, and how its worker is started.

Commands are run in the library's environment, from the root of the checkout. One process runs the
tasks, 100 at once, as the library's own documentation sets that; all else is the default.
"""

from typing import Final

import msgspec

AT = "benchmarks.peer_apps.with_"


class Peer(msgspec.Struct, frozen=True):
    """One library.

    Attributes:
        name: of the library, and of its module here.
        packages: what pip installs.
        command: starts its worker; `-m` is put to its environment's Python.
        note: what was chosen, for people.
        forks: whether each task has a process of its own.
        share: of the tasks, where all of them would take minutes.
    """

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    note: str
    forks: bool = False
    share: float = 1.0


OURS: Final = (
    Peer(
        "qclient",
        (),
        ("-m", "qclient", "worker", f"{AT}qclient:app"),
        "all defaults, uvloop; qserver --sync always",
    ),
    Peer("bare", (), ("-m", f"{AT}bare"), "a bare asyncio loop on qserver, uvloop"),
)

PEERS: Final = (
    Peer(
        "arq",
        ("arq", "uvloop"),
        ("-m", "arq", f"{AT}arq.WorkerSettings"),
        "max_jobs=100, uvloop",
        share=0.5,
    ),
    Peer(
        "saq",
        ("saq[redis,hiredis]", "typing_extensions", "uvloop"),
        ("-m", "saq", f"{AT}saq.settings"),
        "concurrency=100, uvloop, hiredis",
        share=0.5,
    ),
    Peer(
        "taskiq",
        ("taskiq", "taskiq-redis", "hiredis", "uvloop"),
        (
            "-m",
            "taskiq",
            "worker",
            "--workers",
            "1",
            "--max-async-tasks",
            "100",
            f"{AT}taskiq:broker",
        ),
        "RedisStreamBroker, --workers 1 --max-async-tasks 100, uvloop, hiredis",
        share=0.5,
    ),
    Peer(
        "dramatiq",
        ("dramatiq[redis]", "hiredis"),
        ("-m", "dramatiq", "--processes", "1", "--threads", "100", f"{AT}dramatiq"),
        "--processes 1 --threads 100, hiredis",
    ),
    Peer(
        "rq",
        ("rq", "hiredis"),
        ("-m", "rq.cli", "worker", "--quiet", "--url", "{redis}"),
        "its default worker: one job at a time, a fork for each; hiredis",
        forks=True,
        share=0.02,
    ),
    Peer(
        "celery",
        ("celery[redis]", "hiredis", "gevent"),
        ("-m", "celery", "-A", f"{AT}celery", "worker", "-P", "gevent", "-c", "100"),
        "-P gevent -c 100, results ignored, hiredis",
        share=0.25,
    ),
    Peer(
        "huey",
        ("huey", "redis", "hiredis", "gevent"),
        (
            "-m",
            "huey.bin.huey_consumer",
            f"{AT}huey.huey",
            "-k",
            "greenlet",
            "-w",
            "100",
            "--quiet",
        ),
        "-k greenlet -w 100, hiredis",
    ),
    Peer(
        "streaq",
        ("streaq", "uvloop"),
        ("-m", "streaq", "run", f"{AT}streaq:worker"),
        "concurrency=100, uvloop",
    ),
)

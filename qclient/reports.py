"""What the verbs answer, as values.

    Settled     ACK, NACK, RELEASE, TOUCH
    Outcome     RESULT: what came of a message
    Lease       a line of LEASES: what the session holds
    Peer        a line of CLIENTS: a connection of the server
    Queue       a line of LIST: how many messages of each state
    Settings    QUEUE
    Server      HELLO: who answers, and its limits

Words that a newer server adds are kept in `info`.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from qclient.message import anything, decode_body
from qclient.words import number

R = TypeVar("R")
T = TypeVar("T")


class Put(msgspec.Struct, frozen=True):
    """What a PUT answered.

    Attributes:
        id: the message's number.
        is_duplicate: nothing was stored, since a message with this `dedup` key was put before;
            `id` is that one's.
    """

    id: int
    is_duplicate: bool = False


class Settled(msgspec.Struct, frozen=True):
    """What became of some receipts.

    Attributes:
        count: how many leases were settled or extended.
        not_leased: receipts whose lease had ended before. After a lost connection these can be
            ones that the first attempt settled.
    """

    count: int
    not_leased: tuple[str, ...] = ()


class Outcome(msgspec.Struct, Generic[T], eq=False):
    """What came of a message.

    Attributes:
        id: its number.
        state: ready, delayed, leased, dead or done.
        raw: the bytes of the result that it was done with; `null` without one.
        info: everything else the server said, by name: `reason`, `progress`, `failures` …
    """

    id: int
    state: str
    raw: bytes
    info: dict[str, str]
    _decode: Callable[[bytes], T] = anything

    @property
    def has_ended(self) -> bool:
        """Whether it is done or dead."""
        return self.state in ("done", "dead")

    @property
    def value(self) -> T:
        """The result, decoded at each call.

        Raises:
            BadBody: it is not of the type that was asked for.
        """
        return decode_body(self._decode, self.raw, str(self.id))

    @property
    def progress(self) -> Any:
        """What a holder left last, decoded; None if none did."""
        said = self.info.get("progress")
        return None if said is None else decode_body(anything, said.encode(), str(self.id))

    @property
    def reason(self) -> str | None:
        """Why it last failed or became dead."""
        return self.info.get("reason")

    @property
    def deliveries(self) -> int:
        """How often it was leased."""
        return int(self.info.get("deliveries", 0))

    @property
    def failures(self) -> int:
        """How often it was nacked."""
        return int(self.info.get("failures", 0))

    @property
    def losses(self) -> int:
        """How often its lease ran out or its session vanished."""
        return int(self.info.get("losses", 0))


class Lease(msgspec.Struct, frozen=True):
    """A lease of this client's session.

    Attributes:
        expires_in_s: seconds until its deadline, when the server answered.
        info: every word of the line by name, newer ones included.
    """

    receipt: str
    queue: str
    expires_in_s: float
    info: dict[str, str]

    @property
    def id(self) -> int:
        """The message's number."""
        return int(self.receipt.partition(".")[0])


class Peer(msgspec.Struct, frozen=True):
    """A connection of the server.

    Attributes:
        number: who connected later has the higher one.
        connected_s: for how long.
        idle_s: since it was last heard.
        requests: how many of it were taken up.
        client: what it calls itself, or None.
        session: whose leases it takes, or None.
        leases: how many its session holds.
        waiting: the queues that a GET of it waits for.
        result: the message that a RESULT of it waits for, or None.
        info: every word of the line by name, newer ones included.
    """

    number: int
    connected_s: float
    idle_s: float
    requests: int
    client: str | None
    session: str | None
    leases: int
    waiting: tuple[str, ...]
    result: int | None
    info: dict[str, str]


def peer(which: int, info: dict[str, str]) -> Peer:
    """A Peer from its line's words."""

    def said(word: str) -> float:
        found = number(info.get(word, "0"))
        return 0 if isinstance(found, str) else found

    waiting = info.get("waiting", "")
    return Peer(
        number=which,
        connected_s=said("connected"),
        idle_s=said("idle"),
        requests=int(said("requests")),
        client=info.get("client"),
        session=info.get("session"),
        leases=int(said("leases")),
        waiting=tuple(waiting.split(",")) if waiting else (),
        result=int(said("result")) or None,
        info=info,
    )


class Queue(msgspec.Struct, frozen=True):
    """A queue at a glance.

    Attributes:
        bytes: of the bodies of all its messages.
        oldest_s: age of the oldest ready message in seconds, or None without one.
        is_paused: GETs find nothing in it.
        waiting: GETs that wait for it.
        info: every word of the line by name, newer ones included.
    """

    name: str
    ready: int
    leased: int
    delayed: int
    dead: int
    done: int
    bytes: int
    oldest_s: float | None
    is_paused: bool
    waiting: int
    info: dict[str, str]


def queue(name: str, info: dict[str, str]) -> Queue:
    """A Queue from its line's words; what is missing is 0."""

    def whole(word: str) -> int:
        found = number(info.get(word, "0"))
        return found if isinstance(found, int) else 0

    oldest = number(info.get("oldest", ""))
    return Queue(
        name=name,
        ready=whole("ready"),
        leased=whole("leased"),
        delayed=whole("delayed"),
        dead=whole("dead"),
        done=whole("done"),
        bytes=whole("bytes"),
        oldest_s=None if isinstance(oldest, str) else float(oldest),
        is_paused=info.get("paused") == "yes",
        waiting=whole("waiting"),
        info=info,
    )


class Settings(msgspec.Struct, frozen=True):
    """The settings of a queue; durations in seconds, 0 for none.

    Attributes:
        info: every setting by name as the server wrote it, newer ones included.
    """

    lease: float = 30
    max_failures: int = 10
    max_losses: int = 10
    backoff: float = 1
    backoff_factor: float = 2
    backoff_max: float = 300
    requeue: str = "front"
    dedup_window: float = 300
    ttl: float = 0
    expired: str = "drop"
    retain: float = 0
    max_messages: int = 0
    max_bytes: int = 0
    info: dict[str, str] = {}


class Server(msgspec.Struct, frozen=True):
    """What the server said to HELLO.

    Attributes:
        server: name and version.
        protocol: version of the protocol.
        sync: what an OK promises: `always`, `never` or an interval.
        count_max: messages of one GET, receipts of one ACK.
        line_bytes_max: bytes of one request.
        wait_max_s: longest wait of a GET.
        session: name of this client's session, or None.
        grace_s: how long its leases outlive its last connection.
        leases: how many leases it holds.
        info: every word by name, newer ones included.
    """

    server: str = ""
    protocol: int = 1
    sync: str = ""
    count_max: int = 1000
    line_bytes_max: int = 1 << 20
    wait_max_s: float = 3600
    session: str | None = None
    grace_s: float | None = None
    leases: int = 0
    info: dict[str, str] = {}


def settings(info: dict[str, str]) -> Settings:
    """Settings from the words of a reply."""
    return _converted(Settings, info, {})


def server(info: dict[str, str]) -> Server:
    """A Server from the words of a reply."""
    return _converted(Server, info, {"wait_max": "wait_max_s", "grace": "grace_s"})


def _converted(kind: type[R], info: dict[str, str], renamed: dict[str, str]) -> R:
    known: dict[str, Any] = {renamed.get(word, word): value for word, value in info.items()}
    known["info"] = info
    return msgspec.convert(known, kind, strict=False)

"""Every number that someone might tune, with its default.

`Limits` bounds what a client can ask for, `Config` is what an operator sets. The protocol's table
of limits and `qserver --help` say the same; a test compares them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

YEAR_S: Final = 365 * 86_400
DURATION_S_MAX: Final = 100 * YEAR_S
"""The longest delay, ttl, retention or window: bounded so that every time can be written down."""

LEASE_S_MIN: Final = 0.05
GRACE_S_DEFAULT: Final = 10.0
GRACE_S_MAX: Final = 3600.0
NESTING_MAX: Final = 128
TEXT_BYTES_MAX: Final = 256
TRACE_BYTES_MAX: Final = 1024
REASON_BYTES_MAX: Final = 4096
PROGRESS_BYTES_MAX: Final = 4096
QUEUES_PER_GET_MAX: Final = 64
LIST_COUNT_DEFAULT: Final = 100

PRIORITY_DEFAULT: Final = 4
PRIORITY_MAX: Final = 9


LINES_PER_TURN: Final = 512
"""How many requests of one client are answered before others have their turn."""

LINES_PER_LOOK: Final = 8
"""After so many the clock is looked at."""

RUN_LINES: Final = 64
"""So many PUTs that stand one behind another are done at one stroke: about 0.1 ms of work."""

RUN_BYTES_MAX: Final = 128 << 10
"""Longer ones are done one by one."""

TURN_S_MAX: Final = 0.003
"""What the clients that have sent ahead may take of a turn, all of them together."""

LONG_LINE_BYTES: Final = 1 << 10
"""A request and its reply count once more for each so many bytes they have."""

HELD_BYTES_MAX: Final = 1 << 20
"""A client whose unanswered requests or unread replies take more is not read from meanwhile."""

ACCEPTS_PER_TURN: Final = 16
"""How many new connections are taken before others have their turn."""

REFUSED_MAX: Final = 16
"""How many are refused in good manners at a time: past it they are told, and closed at once."""

STRANGER_S_MAX: Final = 60.0
"""How long a connection may owe its token."""

STRANGER_REQUESTS_MAX: Final = 16
"""How many requests it may say without."""

STRANGER_LINE_BYTES_MAX: Final = 8 << 10
"""How much of a line it may say: a HELLO with all its options, each sign of them escaped."""

STRANGERS_MAX: Final = 500
"""How many such connections there are at a time: past it, who has owed for longest is cut."""

SILENCE_S_MAX: Final = 60.0
"""After so long without a sign of life a client's machine is asked for one."""

PROBES: Final = 3
PROBE_S: Final = 10.0
"""So often, and so long after each other, before the connection is given up."""

SWITCH_S: Final = 0.0005
"""How long the journal's thread waits for the interpreter: with Python's 5 ms a commit takes 20."""

RESERVED_NUMBERS: Final = 1_000_000
"""Ids and lease numbers reserved ahead where an OK does not wait for the disk."""

LINGER_S: Final = 1.0
"""How long a connection that the server closes is still read from, and thrown away."""

LINGER_PAUSE_S: Final = 0.005
"""The pause after each piece of that."""

CLOCK_CHECK_S: Final = 1.0
"""How often the wall clock is compared with the monotonic one."""

ROOM_RETRY_S: Final = 0.1
"""How often a batch that found no room on the disk is tried again."""

STOP_S_MAX: Final = 5.0
"""How long a stopping server waits for its clients to read their last replies."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask of the server; the last two bound what all may together.

    Attributes:
        list_scan_max: how many messages one LIST looks at before it answers with `next=`: 1 to 3 ms
            of work.
    """

    line_bytes_max: int = 1 << 20
    count_max: int = 1000
    reply_bytes_max: int = 4 << 20
    list_scan_max: int = 5_000
    wait_s_max: float = 3600.0
    lease_s_max: float = 12 * 3600.0
    queues_max: int = 100_000
    memory_bytes_max: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Config:
    """What a server is started with.

    Attributes:
        sync_s: None is `always`, 0.0 is `never`, else the interval in seconds.
        data: None keeps everything in memory only.
        tokens: a client says one of them before anything is done for it; with none, all may come.
    """

    host: str = "127.0.0.1"
    port: int = 7711
    data: Path | None = Path("qserver-data")
    sync_s: float | None = None
    segment_bytes_max: int = 64 << 20
    connections_max: int = 10_000
    stall_s_max: float = 60.0
    busy_poll: bool = True
    tokens: tuple[str, ...] = field(default=(), repr=False)
    limits: Limits = field(default_factory=Limits)

    @property
    def sync(self) -> str:
        """The sync policy, as people write it."""
        if self.sync_s is None:
            return "always"
        return f"{self.sync_s * 1000:g}ms" if self.sync_s else "never"

"""Each fact is one line of documented JSON, and that line tells the same fact again."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from qserver.broker.message import Message
from qserver.broker.queue import Queue
from qserver.broker.table import Table
from qserver.facts import Snapshot
from qserver.storage.memory import MemoryJournal, MemoryStore
from qserver.storage.record import _Record, replay
from qserver.storage.recorder import JournalRecorder

Tell = Callable[[JournalRecorder], None]
Told = tuple[str, list[Any], dict[str, Any]]

QUEUE = Queue("q", Table())


def message(**changes: Any) -> Message:
    fields = {"id": 7, "queue": QUEUE, "body": b"1", "put_at": 1.5, "priority": 4, "segment": 1}
    return Message(**{**fields, **changes})


SNAPSHOT = Snapshot(
    put_at=1.5,
    priority=9,
    state="leased",
    lease=3,
    until=4.25,
    session="s",
    deliveries=4,
    failures=2,
    losses=1,
    key="k",
    trace="t",
    dedup="d",
    reason="r",
    progress=b"[0.5]",
    result=b'"r"',
    due=5.0,
    expires=6.0,
    place=8,
)

COUNTERS = {"failures": None, "losses": None}
CAME_BACK = {"due": 0.0, "dead": False, "place": 0, "reason": None} | COUNTERS
NOTHING: dict[str, Any] = {
    "key": None,
    "trace": None,
    "dedup": None,
    "expires": 0.0,
    "dedup_until": 0.0,
}

FACTS: list[tuple[Tell, dict[str, Any], Told]] = [
    (
        lambda r: r.put(b"q", message()),
        {"op": "put", "id": 7, "queue": "q", "at_ms": 1500, "body": 1},
        ("put", ["q", 7, 1.5, b"1"], {}),
    ),
    (
        lambda r: r.put_with(
            b"q",
            message(priority=0),
            due=2.0,
            expires=3.0,
            dedup_until=4.0,
            key="ä",
            trace='"',
            dedup="d",
        ),
        {
            "op": "put_with",
            "id": 7,
            "queue": "q",
            "at_ms": 1500,
            "priority": 0,
            "due_ms": 2000,
            "expires_ms": 3000,
            "key": "ä",
            "trace": '"',
            "dedup": "d",
            "dedup_until_ms": 4000,
            "body": 1,
        },
        (
            "put_with",
            ["q", 7, 1.5, b"1"],
            {
                "priority": 0,
                "due": 2.0,
                "expires": 3.0,
                "dedup_until": 4.0,
                "key": "ä",
                "trace": '"',
                "dedup": "d",
            },
        ),
    ),
    (
        lambda r: r.put_with(b"q", message(), due=2.0, **NOTHING),
        {"op": "put_with", "id": 7, "queue": "q", "at_ms": 1500, "due_ms": 2000, "body": 1},
        ("put_with", ["q", 7, 1.5, b"1"], {"priority": 4, "due": 2.0} | NOTHING),
    ),
    (
        lambda r: r.message(b"q", 7, b"[1]", SNAPSHOT),
        {
            "op": "message",
            "id": 7,
            "queue": "q",
            "at_ms": 1500,
            "priority": 9,
            "state": "leased",
            "lease": 3,
            "until_ms": 4250,
            "session": "s",
            "deliveries": 4,
            "failures": 2,
            "losses": 1,
            "key": "k",
            "trace": "t",
            "dedup": "d",
            "reason": "r",
            "progress": [0.5],
            "result": "r",
            "due_ms": 5000,
            "expires_ms": 6000,
            "place": 8,
            "body": [1],
        },
        ("message", ["q", 7, b"[1]", SNAPSHOT], {}),
    ),
    (
        lambda r: r.message(b"q", 7, b"1", Snapshot(put_at=1.5, priority=4, state="ready")),
        {"op": "message", "id": 7, "queue": "q", "at_ms": 1500, "body": 1},
        ("message", ["q", 7, b"1", Snapshot(put_at=1.5, priority=4, state="ready")], {}),
    ),
    (
        lambda r: r.dedup(b"q", "k", 7, 2.0),
        {"op": "dedup", "queue": "q", "key": "k", "id": 7, "until_ms": 2000},
        ("dedup", ["q", "k", 7, 2.0], {}),
    ),
    (
        lambda r: r.lease([message(lease=5), message(id=9, lease=6)], 2.0, None),
        {"op": "lease", "ids": [7, 9], "lease": 5, "until_ms": 2000},
        ("lease", [[7, 9], 5, 2.0, None], {}),
    ),
    (
        lambda r: r.lease([message(lease=5)], 2.0, "s"),
        {"op": "lease", "ids": [7], "lease": 5, "until_ms": 2000, "session": "s"},
        ("lease", [[7], 5, 2.0, "s"], {}),
    ),
    (
        lambda r: r.ack((7, 9), 0.0),
        {"op": "ack", "ids": [7, 9]},
        ("ack", [[7, 9], 0.0], {}),
    ),
    (
        lambda r: r.ack((7,), 2.0),
        {"op": "ack", "ids": [7], "keep_until_ms": 2000},
        ("ack", [[7], 2.0], {}),
    ),
    (
        lambda r: r.nack(message(failures=2), due=2.0, dead=False, place=3, reason="x\ny"),
        {"op": "nack", "id": 7, "failures": 2, "due_ms": 2000, "place": 3, "reason": "x\ny"},
        (
            "came_back",
            [7],
            CAME_BACK | {"due": 2.0, "place": 3, "reason": "x\ny", "failures": 2},
        ),
    ),
    (
        lambda r: r.lost(message(losses=2), due=0.0, dead=True, place=0, reason="often"),
        {"op": "lost", "id": 7, "losses": 2, "dead": True, "reason": "often"},
        ("came_back", [7], CAME_BACK | {"dead": True, "reason": "often", "losses": 2}),
    ),
    (
        lambda r: r.release(7, due=0.0, place=0),
        {"op": "release", "id": 7},
        ("came_back", [7], CAME_BACK),
    ),
    (
        lambda r: r.release(7, due=2.0, place=1 << 70),
        {"op": "release", "id": 7, "due_ms": 2000, "place": 1 << 70},
        ("came_back", [7], CAME_BACK | {"due": 2.0, "place": 1 << 70}),
    ),
    (
        lambda r: r.done(7, 2.0, b'{"at":1}'),
        {"op": "done", "id": 7, "keep_until_ms": 2000, "result": {"at": 1}},
        ("done", [7, 2.0, b'{"at":1}'], {}),
    ),
    (
        lambda r: r.progress(7, b'{"at":1}'),
        {"op": "progress", "id": 7, "progress": {"at": 1}},
        ("progress", [7, b'{"at":1}'], {}),
    ),
    (
        lambda r: r.touch([7, 9], 2.0),
        {"op": "touch", "ids": [7, 9], "until_ms": 2000},
        ("touch_ids", [[7, 9], 2.0], {}),
    ),
    (
        lambda r: r.touch_session("s", 2.0),
        {"op": "touch_session", "session": "s", "until_ms": 2000},
        ("touch_session", ["s", 2.0], {}),
    ),
    (lambda r: r.due([7]), {"op": "due", "ids": [7]}, ("due", [[7]], {})),
    (lambda r: r.gone([7]), {"op": "gone", "ids": [7]}, ("gone", [[7]], {})),
    (
        lambda r: r.dead(7, "expired"),
        {"op": "dead", "id": 7, "reason": "expired"},
        ("dead", [7, "expired"], {}),
    ),
    (
        lambda r: r.redrive([7, 9], b"q", 0),
        {"op": "redrive", "ids": [7, 9], "queue": "q"},
        ("redrive", [[7, 9], "q", 0], {}),
    ),
    (
        lambda r: r.redrive([7], b"q", 5),
        {"op": "redrive", "ids": [7], "queue": "q", "place": 5},
        ("redrive", [[7], "q", 5], {}),
    ),
    (
        lambda r: r.queue(b"q", {}, paused=False),
        {"op": "queue", "queue": "q"},
        ("queue", ["q", {}], {"paused": False}),
    ),
    (
        lambda r: r.queue(b"q", {"lease": 2.5, "max_losses": 3, "requeue": "back"}, paused=True),
        {
            "op": "queue",
            "queue": "q",
            "settings": {"lease": 2.5, "max_losses": 3, "requeue": "back"},
            "paused": True,
        },
        ("queue", ["q", {"lease": 2.5, "max_losses": 3, "requeue": "back"}], {"paused": True}),
    ),
    (
        lambda r: r.purge(b"q", ["ready", "dead"]),
        {"op": "purge", "queue": "q", "states": ["ready", "dead"]},
        ("purge", ["q", ["ready", "dead"]], {}),
    ),
    (lambda r: r.drop(b"q"), {"op": "drop", "queue": "q"}, ("drop", ["q"], {})),
    (
        lambda r: r.session("s", 2.5),
        {"op": "session", "session": "s", "grace_ms": 2500},
        ("session", ["s", 2.5], {}),
    ),
    (
        lambda r: r.sequence(7, 9),
        {"op": "sequence", "id": 7, "lease": 9},
        ("sequence", [7, 9], {}),
    ),
    (
        lambda r: r.clock("b", 1.0009),
        {"op": "clock", "boot": "b", "offset_ms": 1000},
        ("clock", ["b", 1.0], {}),
    ),
    (lambda r: r.stop(7, 9), {"op": "stop", "id": 7, "lease": 9}, ("stop", [7, 9], {})),
]


class Spy:
    """A restorer that writes down what it is told."""

    def __init__(self) -> None:
        self.segment = 0
        self.told: list[Told] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: self.told.append((name, list(args), kwargs))


@pytest.mark.parametrize(("tell", "line", "told"), FACTS, ids=[line["op"] for _, line, _ in FACTS])
def test_a_fact_is_a_line_of_json_and_the_line_is_that_fact(
    tell: Tell, line: dict[str, Any], told: Told
) -> None:
    lines: list[bytes] = []
    store = MemoryStore()
    recorder = JournalRecorder(MemoryJournal(store))
    recorder.append = lines.append
    tell(recorder)
    (written,) = lines
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert json.loads(written) == line
    assert next(iter(json.loads(written))) == "op"
    store.segments[4] = [written]
    store.open = False
    spy: Any = Spy()
    assert replay(MemoryJournal(store), spy) == 1
    assert spy.told == [told]
    assert spy.segment == 4


def test_every_record_that_can_be_read_is_in_the_table() -> None:
    told = {line["op"] for _, line, _ in FACTS}
    assert told == {tag.__struct_config__.tag for tag in _kinds(_Record)} - {None}


def _kinds(kind: type[_Record]) -> list[type[_Record]]:
    below = [found for sub in kind.__subclasses__() for found in _kinds(sub)]
    return [sub for sub in (kind, *below) if sub.__name__ not in ("_Record", "_CameBack")]

"""The broker beside its model, driven by hypothesis; and its journal read back at every record."""

from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from qserver.broker import index, ready
from tests.model.model import Receipt
from tests.model.rebuilt import check_every_prefix
from tests.model.world import World

QUEUES = st.sampled_from(["a", "b", "c"])
CLIENTS = st.sampled_from(["ada", "bob", "eve"])
SESSIONS = st.sampled_from(["s", "t"])
BODIES = st.sampled_from([b"1", b'"twelve bytes"', b'{"a":  1E5}', b'"' + b"x" * 31 + b'"'])
KEYS = st.sampled_from(["k", "l m"])
REASONS = st.sampled_from(["disk full", "expired", "http 500"])
GLOBS = st.sampled_from(["*", "http*", "disk ful?", "[de]*", ""])
STATES = st.lists(
    st.sampled_from(["ready", "leased", "delayed", "dead", "done"]), unique=True, max_size=3
)
VALUES = st.sampled_from([b"0.5", b'{"at" :  1E0}', b'"' + b"x" * 300 + b'"'])
COUNTS = st.integers(1, 5)
PICKS = st.lists(st.integers(0, 30), min_size=1, max_size=4)
DEAD = st.sampled_from([False, False, True])


def eighths(most: int) -> st.SearchStrategy[float]:
    """Durations that every part can hold exactly, so that deadlines are often met to the tick."""
    return st.integers(1, most).map(lambda n: n / 8)


SHORT = eighths(8)
LONG = st.one_of(eighths(64), st.sampled_from([3600.0, 86_400.0 * 365]))
MAYBE = st.one_of(st.none(), SHORT)

OPTIONS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.builds(dict, priority=st.integers(0, 9)),
    st.fixed_dictionaries(
        {},
        optional={
            "delay": LONG,
            "priority": st.integers(0, 9),
            "ttl": LONG,
            "dedup": KEYS,
            "dedup_window": st.sampled_from([0.0, 0.5, 2.0, 900.0]),
            "key": KEYS,
            "trace": KEYS,
        },
    ),
)
SETTINGS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "lease": SHORT,
        "max_failures": st.integers(0, 3),
        "max_losses": st.integers(0, 3),
        "backoff": st.sampled_from([0.0, 0.5, 1.0]),
        "backoff_factor": st.sampled_from([1.0, 2.0, 100.0]),
        "backoff_max": st.sampled_from([0.0, 1.0, 300.0]),
        "requeue": st.sampled_from(["front", "back"]),
        "dedup_window": st.sampled_from([0.0, 1.0, 300.0]),
        "ttl": st.sampled_from([0.0, 2.0]),
        "expired": st.sampled_from(["drop", "dead"]),
        "retain": st.sampled_from([0.0, 2.0]),
        "max_messages": st.sampled_from([0, 0, 4]),
        "max_bytes": st.sampled_from([0, 0, 40]),
    },
)


@pytest.fixture(autouse=True, scope="module")
def small_parts() -> Iterator[None]:
    """Blocks and thresholds that a short run comes past."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BLOCK", 4)
        patch.setattr(ready, "LEFTOVERS_MIN", 2)
        patch.setattr(ready, "STRETCH", 3)
        yield


class Life(RuleBasedStateMachine):
    """Any verbs at any times, with restarts between them."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.receipts: list[Receipt] = [(1, 1)]

    def picked(self, picks: list[int]) -> list[Receipt]:
        """Receipts of late, live ones or not; the same one twice, perhaps."""
        recent = self.receipts[-31:]
        return [recent[-1 - pick % len(recent)] for pick in picks]

    def leased(self) -> None:
        """Note the receipts of messages that were handed out to those who waited."""
        self.receipts += [
            (m.id, m.lease)
            for m in self.world.model.messages.values()
            if m.lease and (m.id, m.lease) not in self.receipts
        ]

    def over(self, *, ends: bool) -> None:
        self.world.check_told()
        if ends:
            self.world.end_turn()
        self.leased()

    # --- messages -------------------------------------------------------------------------------

    @rule(queue=QUEUES, body=BODIES, options=OPTIONS, times=st.integers(1, 6), ends=st.booleans())
    def put(
        self, queue: str, body: bytes, options: dict[str, Any], times: int, *, ends: bool
    ) -> None:
        for _ in range(times):
            self.world.put(queue, body, options)
        self.over(ends=ends)

    @rule(queue=QUEUES, body=BODIES, ahead=st.integers(-8, 64))
    def put_at(self, queue: str, body: bytes, ahead: int) -> None:
        at = self.world.now + self.world.model.offset + ahead / 8
        self.world.put(queue, body, {"at": at})
        self.over(ends=True)

    @rule(
        client=CLIENTS,
        queues=st.lists(QUEUES, min_size=1, max_size=3, unique=True),
        count=COUNTS,
        lease=MAYBE,
        wait=st.one_of(st.just(0.0), LONG),
    )
    def get(
        self, client: str, queues: list[str], count: int, lease: float | None, wait: float
    ) -> None:
        if self.world.client(client).waiter is None:
            self.world.get(client, queues, count, lease, wait)
        self.over(ends=True)

    @rule(picks=PICKS, ends=st.booleans())
    def ack(self, picks: list[int], *, ends: bool) -> None:
        self.world.ack(self.picked(picks))
        self.over(ends=ends)

    @rule(late=st.integers(0, 3), ends=st.booleans())
    def ack_all(self, late: int, *, ends: bool) -> None:
        """What is leased in all queues, at one stroke; perhaps some that is not any more."""
        held = [(m.id, m.lease) for m in self.world.model.messages.values() if m.state == "leased"]
        self.world.ack([*self.receipts[:late], *held])
        self.over(ends=ends)

    @rule(picks=PICKS, delay=MAYBE, reason=st.one_of(st.none(), REASONS), dead=DEAD)
    def nack(
        self, picks: list[int], delay: float | None, reason: str | None, *, dead: bool
    ) -> None:
        self.world.nack(self.picked(picks), delay, reason, dead=dead)
        self.over(ends=True)

    @rule(picks=PICKS, delay=st.one_of(st.just(0.0), SHORT))
    def release(self, picks: list[int], delay: float) -> None:
        self.world.release(self.picked(picks), delay)
        self.over(ends=True)

    @rule(picks=PICKS, lease=MAYBE)
    def touch(self, picks: list[int], lease: float | None) -> None:
        self.world.touch(self.picked(picks), lease)
        self.over(ends=True)

    @rule(picks=PICKS, value=VALUES)
    def progress(self, picks: list[int], value: bytes) -> None:
        for held in self.picked(picks):
            self.world.progress(held, value)
        self.over(ends=True)

    @rule(pick=st.integers(0, 30), value=VALUES, retain=st.one_of(st.none(), st.just(0.0), LONG))
    def done(self, pick: int, value: bytes, retain: float | None) -> None:
        self.world.done(self.picked([pick])[0], value, retain)
        self.over(ends=True)

    @rule(client=CLIENTS, back=st.integers(0, 6), wait=st.one_of(st.just(0.0), LONG))
    def result(self, client: str, back: int, wait: float) -> None:
        self.world.result(client, max(self.world.model.last_id - back, 1), wait)
        self.over(ends=True)

    # --- sessions -------------------------------------------------------------------------------

    @rule(client=CLIENTS, name=SESSIONS, grace=st.one_of(st.just(0.0), SHORT))
    def hello(self, client: str, name: str, grace: float) -> None:
        if self.world.client(client).waiter is None:
            self.world.hello(client, name, grace)
        self.over(ends=True)

    @rule(client=CLIENTS)
    def hang_up(self, client: str) -> None:
        self.world.hang_up(client)
        self.over(ends=True)

    @rule(client=CLIENTS, lease=MAYBE)
    def touch_session(self, client: str, lease: float | None) -> None:
        self.world.touch_session(client, lease)
        self.over(ends=True)

    @rule(client=CLIENTS, count=COUNTS)
    def leases(self, client: str, count: int) -> None:
        self.world.leases(client, count)

    # --- queues ---------------------------------------------------------------------------------

    @rule(queue=QUEUES, changes=SETTINGS)
    def configure(self, queue: str, changes: dict[str, Any]) -> None:
        self.world.configure(queue, changes)
        self.over(ends=True)

    @rule(queue=QUEUES, paused=st.booleans(), ends=st.booleans())
    def pause(self, queue: str, *, paused: bool, ends: bool) -> None:
        self.world.pause(queue, paused=paused)
        self.over(ends=ends)

    @rule(queue=QUEUES, states=STATES)
    def purge(self, queue: str, states: list[str]) -> None:
        self.world.purge(queue, states)
        self.over(ends=True)

    @rule(queue=QUEUES)
    def drop(self, queue: str) -> None:
        self.world.drop(queue)
        self.over(ends=True)

    @rule(
        queue=QUEUES,
        count=st.one_of(st.none(), COUNTS),
        reason=st.one_of(st.none(), GLOBS),
        to=st.one_of(st.none(), QUEUES),
        dry=DEAD,
    )
    def redrive(
        self, queue: str, count: int | None, reason: str | None, to: str | None, *, dry: bool
    ) -> None:
        self.world.redrive(queue, count, reason, to, dry=dry)
        self.over(ends=True)

    @rule(queue=QUEUES, count=COUNTS, states=STATES, key=st.one_of(st.none(), KEYS))
    def list(self, queue: str, count: int, states: list[str], key: str | None) -> None:
        self.world.list(queue, count, states, key)

    # --- time -----------------------------------------------------------------------------------

    @rule(seconds=LONG)
    def wait(self, seconds: float) -> None:
        self.world.wait_until(self.world.now + seconds)
        self.over(ends=True)

    @precondition(lambda self: self.world.model.next_deadline() < inf)
    @rule(late=st.sampled_from([0.0, 0.0, -0.125, 0.125]))
    def wait_for_what_is_due(self, late: float) -> None:
        then = max(self.world.model.next_deadline() + late, self.world.now)
        self.world.wait_until(then)
        self.over(ends=True)

    @rule(seconds=LONG)
    def stall(self, seconds: float) -> None:
        """What comes due meanwhile is done by the next tick, whatever is asked before."""
        self.world.move(self.world.now + seconds)
        self.over(ends=True)

    @rule()
    def tick(self) -> None:
        self.world.tick()
        self.over(ends=True)

    @rule(moved=st.sampled_from([-86_400.0, -2.0, 1.0, 3600.0, 86_400.0 * 366]))
    def set_clock(self, moved: float) -> None:
        keys = [key for queue in self.world.model.queues.values() for key in queue.keys.values()]
        if any(until <= self.world.now for _, until, _ in keys):
            moved = abs(moved)  # else a key that is over might hold again after a restart, or not
        self.world.set_clock(moved)
        self.over(ends=True)

    @rule(budget=st.integers(1, 2000))
    def compact(self, budget: int) -> None:
        self.world.compact(budget)
        self.over(ends=True)

    @rule(clean=st.booleans())
    def restart(self, *, clean: bool) -> None:
        self.world.restart(clean=clean)
        self.over(ends=True)

    def teardown(self) -> None:
        check_every_prefix(self.world)
        self.world.drain()


class LongLife(Life):
    """The same, for a long time."""


CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]
Life.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, suppress_health_check=CHECKS
)
LongLife.TestCase.settings = settings(
    max_examples=300, stateful_step_count=60, suppress_health_check=CHECKS
)
TestLife = Life.TestCase
TestLongLife = pytest.mark.slow(LongLife.TestCase)

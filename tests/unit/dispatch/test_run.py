"""PUTs done at one stroke: nobody can tell it from PUTs that are done one by one."""

from collections import Counter, deque
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from qserver.broker.broker import MESSAGE_OVERHEAD
from qserver.config import RUN_BYTES_MAX, RUN_LINES, TEXT_BYTES_MAX, Limits
from qserver.dispatch import run
from tests.model.same import check_books
from tests.sim import Sim

BODIES = (
    *(
        b"1",
        b"{}",
        b'{"a":[1,2]}',
        b'"caf\xc3\xa9"',
        b"-0.5e3",
        b"true",
        b"null",
        b"[" * 3 + b"]" * 3,
    ),
    *(b"", b"{", b"1 2", b"[1,", b"2]", b"2] 3", b'"\xff"', b"nan", b"{}{}", b"1,", b"'x'", b"{]"),
    *(b" 1", b"1 ", b"\t1", b"1\t", b"1\r", b" ", b"\t", b"1\r ", b"\xe2\x80\xa8", b"1\x0b"),
    *(
        b"[" * 129 + b"]" * 129,
        b"[" * 128 + b"]" * 128,
        b"[" + b"[]," * 200 + b"1]",
        b"1" + b"0" * 300,
    ),
)
KEYS = (
    *(
        b"k1",
        b"k2",
        b"k3",
        b"k=4",
        b"a\\b",
        b'"k1"',
        b'"k 1"',
        b"",
        b"k\tx",
        b"caf\xc3\xa9",
        b"\xff",
    ),
    *(b'k"', b"k1 priority=5", b"k1 dedup=k2", b"k5 delay=1", b"k1 ", b"x" * TEXT_BYTES_MAX),
    *(b"y" * (TEXT_BYTES_MAX + 1), b"k1\r"),
)
QUEUES = (b"a", b"a", b"a", b"b", b"set", b"-", b"", b" a", b"a\t")
OTHERS = (b"GET a count=3", b"put a 1", b"PUT a", b"PUT", b"PUT ", b"LIST a", b"ACK 1.1", b"#", b"")

plain = st.builds(b"PUT %b %b".__mod__, st.tuples(st.sampled_from(QUEUES), st.sampled_from(BODIES)))
keyed = st.builds(
    b"PUT %b dedup=%b %b".__mod__,
    st.tuples(st.sampled_from(QUEUES), st.sampled_from(KEYS), st.sampled_from(BODIES[:8])),
)
good = st.builds(
    b"PUT %b %b".__mod__,
    st.tuples(st.sampled_from((b"a", b"a", b"b")), st.sampled_from(BODIES[:5])),
)
fresh = st.builds(b"PUT a dedup=%d {}".__mod__, st.integers(0, 10**6))
lines = st.lists(
    st.one_of(good, good, fresh, fresh, plain, keyed, st.sampled_from(OTHERS)), max_size=40
)


def told(sim: Sim, pieces: list[bytes]) -> tuple[bytes, list[bytes]]:
    """What is answered to pieces that come at one time, and the records of it."""
    peer = sim.connect()
    peer.send(b"PUT a 0\nPUT b 0\nQUEUE set max_messages=3\n")
    sim.stores = False
    for piece in pieces:
        peer.hear(piece)
        sim.turn()
    records = b"".join(sim.journal._records).splitlines(keepends=True)
    sim.stores = True
    sim.turn()
    check_books(sim.broker)
    return peer.take(), records


@given(lines)
@example([b"PUT a 1"] * (2 * RUN_LINES + 1))
@example([b"PUT a dedup=k1 1", b"PUT a dedup=k2 2", b"PUT a dedup=k1 3"])
@example([b"PUT a 1", b"PUT a 2", b"PUT b 1", b"PUT b 2"])
@example([b"PUT a [1,", b"PUT a 2] 3"])
@example([b"PUT a 1", b"PUT b 1", b"2", b"3"])
@example([b'PUT a "' + b"x" * (RUN_BYTES_MAX // 3) + b'"'] * 4)
def test_a_run_is_answered_and_recorded_as_its_lines_one_by_one(said: list[bytes]) -> None:
    whole = told(Sim(), [b"".join(line + b"\n" for line in said)])
    assert whole == told(Sim(), [line + b"\n" for line in said])


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(BODIES)), max_size=8))
def test_a_key_as_programs_write_it_is_read_as_any_other_option(
    said: list[tuple[bytes, bytes]],
) -> None:
    usual = told(Sim(), [b"PUT a dedup=%b %b\n" % each for each in said])
    assert usual == told(Sim(), [b"PUT a  dedup=%b %b\n" % each for each in said])


@given(st.integers(0, 20), st.integers(1, 20))
def test_a_run_that_has_no_room_as_a_whole_has_it_as_far_as_it_goes(room: int, count: int) -> None:
    limits = Limits(memory_bytes_max=(room + 2) * (MESSAGE_OVERHEAD + 1))
    answer, records = told(Sim(limits), [b"PUT a 1\n" * count])
    assert answer.count(b"OK") == min(room, count)
    assert answer.count(b"ERR full ") == max(count - room, 0)
    assert len(records) == min(room, count)


@given(st.integers(0, 20), st.integers(1, 20))
def test_so_has_one_to_several_queues(room: int, count: int) -> None:
    limits = Limits(memory_bytes_max=(room + 2) * (MESSAGE_OVERHEAD + 1))
    answer, records = told(Sim(limits), [b"PUT a 1\nPUT b 2\n" * count])
    assert answer.count(b"OK") == len(records) == min(room, 2 * count)
    assert answer.count(b"ERR full ") == max(2 * count - room, 0)


def test_puts_to_several_queues_are_a_run_too() -> None:
    sim = Sim()
    peer, waits = sim.connect(), sim.connect()
    peer.send(b"PUT a 0\nPUT b 0\n")
    waits.send(b"GET a\nGET a wait=9\n")
    waits.take()
    backlog = deque([b"PUT b 1\n", b"PUT a [2]\n", b"PUT b 3\n", b"GET a\n"])
    assert run.put(peer.conversation.client, backlog, sim.now) == (3, b"OK 3\nOK 4\nOK 5\n")
    assert list(backlog) == [b"GET a\n"]
    sim.turn()
    assert waits.take() == b"* 4.2 a [2]\nOK 1\n"


def test_a_run_wakes_who_waits() -> None:
    sim = Sim()
    waits = sim.connect()
    waits.send(b"PUT a 0\nGET a\nGET a count=5 wait=9\n")
    waits.take()
    sim.connect().send(b"PUT a 1\nPUT a 2\n")
    assert waits.take() == b"* 2.2 a 1\n* 3.3 a 2\nOK 2\n"


class Counting:
    """A recorder that counts how often it is told of PUTs, and in which way."""

    def __init__(self, recorder: Any) -> None:
        self._recorder = recorder
        self.told: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.told[name] += name.startswith("put")
        return getattr(self._recorder, name)


def counted(said: bytes) -> dict[str, int]:
    """How the PUTs were told to the recorder."""
    sim = Sim()
    sim.connect().send(b"PUT a 0\n")
    sim.broker.recorder = counting = Counting(sim.broker.recorder)
    sim.connect().send(said)
    return {name: count for name, count in counting.told.items() if count}


def test_lines_sent_ahead_are_done_at_one_stroke() -> None:
    assert counted(b"PUT a 1\n" * (RUN_LINES + 2)) == {"put_run": 2}
    assert counted(b"PUT a dedup=k1 1\nPUT a dedup=k2 2\n") == {"put_run_with": 1}
    assert counted(b"PUT a 1\n" * 3 + b"GET a\n" + b"PUT a 2\n" * 3) == {"put_run": 2}


def test_a_line_that_spoils_a_run_is_looked_for_once() -> None:
    said = b"PUT a 1\n" * 10 + b"PUT a x\n" + b"PUT a 1\n" * (RUN_LINES + 10)
    assert counted(said) == {"put": RUN_LINES - 1, "put_run": 1}

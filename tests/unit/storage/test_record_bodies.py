"""What a record must not change: bodies, and the promise that nothing is early."""

import json
from math import nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qserver.broker.broker import Broker
from qserver.broker.message import STATES
from qserver.broker.restore import Restorer
from qserver.config import Limits
from qserver.errors import NewerFormat
from qserver.storage.memory import MemoryJournal, MemoryStore
from qserver.storage.record import replay
from qserver.storage.recorder import JournalRecorder
from tests.unit.broker.bench import WALL, Bench

BODIES = [
    b"1E5",
    b"-0",
    b"0.1000000000000000000000000000000001",
    b"1" * 400,
    b'{"a" :\t1 ,  "b":[ ]}',
    b'{"a":\r1}',
    b'{"a":1,"a":2}',
    '"äöü €"'.encode(),
    '"\U0001f600"'.encode(),
    b'"\\ud83d\\ude00\\u0000\\/"',
    '"\u2028\u0085"'.encode(),
    json.dumps('"}\\n{"op":"drop","queue":"q"}').encode(),
    b"[" * 128 + b"]" * 128,
    b"true",
    b"null",
]


@pytest.mark.parametrize("options", [{}, {"key": "k"}], ids=["put", "put_with"])
def test_a_body_comes_back_byte_for_byte(options: dict[str, str]) -> None:
    bench = Bench()
    for body in BODIES:
        bench.put(body=body, **options)
    again = bench.rebuilt()
    assert [message.body for message in again.broker.messages.values()] == BODIES
    for body, line in zip(BODIES, bench.lines, strict=True):
        assert json.loads(line)["body"] == json.loads(body)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_any_body_comes_back_byte_for_byte(value: object, ascii_only: bool, indent: None) -> None:  # noqa: FBT001
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).replace("\n", "\r").encode()
    bench = Bench()
    bench.put(body=body)
    assert bench.rebuilt().message(1).body == body


def test_a_body_does_not_keep_its_segment_in_memory() -> None:
    bench = Bench()
    bench.put(body=b'"text"')
    assert type(bench.rebuilt().message(1).body) is bytes


TEXTS = ['"', "\\", "a b", "é\u2028", "\x00\x1f\x7f", "k" * 256]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_back_as_they_were(text: str) -> None:
    bench = Bench()
    bench.put(key=text, trace=text, dedup=text)
    bench.nack(*bench.get(), reason=text, dead=True)
    details = bench.rebuilt().message(1).detail()
    assert (details.key, details.trace, details.dedup, details.reason) == (text,) * 4
    assert all(json.loads(line) for line in bench.lines)


TIMES = st.floats(0, 1e8)
FLOAT_ERROR_S = 1e-6


@given(TIMES, TIMES)
def test_nothing_is_early_after_a_restart_and_a_millisecond_late_at_most(
    now: float, seconds: float
) -> None:
    bench = Bench(now=now, wall=nextafter(WALL, 0))
    bench.configure("kept", retain=max(seconds, 0.001))
    bench.put(delay=seconds)
    bench.put("leased")
    bench.put("kept", ttl=max(seconds, 0.001))
    bench.get("leased", lease=seconds)
    bench.put("kept")
    bench.ack(*bench.get("kept", count=2)[1:])
    again = bench.rebuilt()
    before, after = bench.broker.messages, again.broker.messages
    late = [
        *(after[i].deadline - before[i].deadline for i in (2, 4)),
        after[3].expires_at() - before[3].expires_at(),
    ]
    if bench.state(1) == "delayed":
        late.append(after[1].detail().due_at - before[1].detail().due_at)
    assert all(-FLOAT_ERROR_S <= seconds <= 0.001 + FLOAT_ERROR_S for seconds in late)
    assert before[1].put_at - 0.001 - FLOAT_ERROR_S <= after[1].put_at <= before[1].put_at


@pytest.mark.parametrize(
    "line",
    [
        b'{"op":"merge","id":1}\n',
        b'{"id":1}\n',
        b'{"op":"ack","ids":["1"]}\n',
        b'{"op":"put","id":1,"queue":"q","at_ms":1}\n',
        b'{"op":"queue","queue":"q","settings":{"colour":1}}\n',
        b"[]\n",
    ],
)
def test_what_this_version_doesn_t_know_a_later_one_wrote(line: bytes) -> None:
    store = MemoryStore()
    store.segments[7] = [line]
    journal = MemoryJournal(store)
    broker = Broker(JournalRecorder(journal), Limits(), now=0.0, wall=WALL)
    with pytest.raises(NewerFormat, match="a later version wrote it; start that one"):
        replay(journal, Restorer(broker))


def test_a_batch_that_begins_in_a_new_segment_says_so() -> None:
    journal = MemoryJournal(segment_bytes_max=20)
    list(journal.replay())
    recorder = JournalRecorder(journal)
    assert not recorder.begin_batch()
    recorder.stop(1, 1)
    journal.commit(sync=True)
    assert recorder.segment == 1
    assert recorder.begin_batch()
    assert recorder.segment == 2


def test_the_states_in_a_record_are_those_on_the_wire() -> None:
    bench = Bench()
    bench.put()
    bench.purge()
    assert bench.records("purge") == [{"op": "purge", "queue": "q", "states": list(STATES)}]

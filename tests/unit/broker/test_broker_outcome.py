"""PROGRESS: what a holder says of its work, and how long that stays."""

import pytest

from qserver.broker import outcome
from qserver.broker.broker import MESSAGE_OVERHEAD
from qserver.config import Limits
from qserver.errors import RequestError
from tests.unit.broker.bench import Bench, Receipt


@pytest.fixture
def bench() -> Bench:
    return Bench()


def leased(bench: Bench, count: int = 1) -> list[Receipt]:
    for _ in range(count):
        bench.put()
    return bench.get(count=count, lease=100)


def progress(bench: Bench, held: Receipt, value: bytes) -> bool:
    return outcome.progress(bench.broker, held, value)


def told(bench: Bench, message_id: int) -> bytes:
    details = bench.message(message_id).details
    return b"" if details is None else details.progress


# --- PROGRESS -----------------------------------------------------------------------------------


def test_the_last_progress_is_kept(bench: Bench) -> None:
    (held,) = leased(bench)
    assert told(bench, 1) == b""
    assert progress(bench, held, b"0.25")
    assert progress(bench, held, b'{ "at" : 1E0 }')
    assert told(bench, 1) == b'{ "at" : 1E0 }'


def test_only_the_holder_tells_its_progress(bench: Bench) -> None:
    (held,) = leased(bench)
    assert not progress(bench, (1, 2), b"1")
    assert not progress(bench, (2, 1), b"1")
    bench.release(held)
    assert not progress(bench, held, b"1")
    assert told(bench, 1) == b""
    assert bench.records("progress") == []


def test_progress_does_not_extend_the_lease(bench: Bench) -> None:
    (held,) = leased(bench)
    bench.after(99)
    assert progress(bench, held, b"1")
    bench.after(1)
    assert bench.state(1) == "ready"


def test_progress_stays_when_the_message_comes_back_dies_and_is_redriven(bench: Bench) -> None:
    bench.configure(max_losses=1)
    (held,) = leased(bench)
    progress(bench, held, b"1")
    bench.release(held)
    assert told(bench, 1) == b"1"
    bench.nack(*bench.get(), delay_s=0)
    assert told(bench, 1) == b"1"
    bench.get(lease=1)
    bench.after(1)
    assert (bench.state(1), told(bench, 1)) == ("dead", b"1")
    bench.redrive()
    assert (bench.state(1), told(bench, 1)) == ("ready", b"1")
    assert told(bench.rebuilt(), 1) == b"1"


def test_progress_stays_with_a_done_message_and_goes_with_it(bench: Bench) -> None:
    bench.configure(retain=60)
    (held,) = leased(bench)
    progress(bench, held, b"1")
    bench.ack(held)
    assert told(bench, 1) == b"1"
    bench.after(60)
    assert bench.broker.memory == 0


def test_progress_counts_to_the_memory_in_place_of_the_last_one(bench: Bench) -> None:
    (held,) = leased(bench)
    for size in (7, 100, 3):
        progress(bench, held, b"1" * size)
        assert bench.broker.memory == MESSAGE_OVERHEAD + 1 + size
        assert bench.rebuilt().broker.memory == bench.broker.memory
    assert bench.broker.queues["q"].bytes == 1


@pytest.mark.parametrize("end", ["ack", "drop", "purge ready", "expire ready", "expire delayed"])
def test_what_progress_takes_is_given_back_however_the_message_ends(bench: Bench, end: str) -> None:
    bench.put(ttl=5)
    (held,) = bench.get(lease=100)
    progress(bench, held, b"1" * 50)
    if end == "ack":
        bench.ack(held)
    elif end == "drop":
        bench.drop()
    elif end == "purge ready":
        bench.release(held)
        bench.purge()
    else:
        bench.nack(held, delay_s=0 if end == "expire ready" else 100)
        bench.after(5)
    assert bench.state(1) == "gone"
    assert bench.broker.memory == 0


def test_progress_of_a_ready_message_that_dies_of_its_ttl_stays_with_it(bench: Bench) -> None:
    bench.configure(expired="dead")
    bench.put(ttl=5)
    (held,) = bench.get(lease=100)
    progress(bench, held, b"1")
    bench.release(held)
    bench.after(5)
    assert (bench.state(1), told(bench, 1)) == ("dead", b"1")


def test_progress_is_refused_when_there_is_no_room_for_more() -> None:
    bench = Bench(limits=Limits(memory_bytes_max=MESSAGE_OVERHEAD + 11))
    (held,) = leased(bench)
    assert progress(bench, held, b"1" * 10)
    with pytest.raises(RequestError, match="memory_bytes_max"):
        progress(bench, held, b"1" * 11)
    assert told(bench, 1) == b"1" * 10
    assert len(bench.records("progress")) == 1
    assert not progress(bench, (1, 2), b"1" * 11)


def test_progress_is_refused_when_the_disk_is_full(bench: Bench) -> None:
    (held,) = leased(bench)
    bench.broker.memory_bytes_max = 0
    with pytest.raises(RequestError, match="the disk has no room"):
        progress(bench, held, b"1")

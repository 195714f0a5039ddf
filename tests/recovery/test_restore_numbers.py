"""Ids and lease numbers are given out once, whatever is lost of the journal's end."""

import pytest

from qserver.broker.checkpoint import checkpoint, record_stop
from tests.unit.broker.bench import Bench

RESERVE = 100


def worked(reserve: int = RESERVE, *, turns: int = 20) -> Bench:
    bench = Bench(reserve=reserve)
    work(bench, turns)
    return bench


def work(bench: Bench, turns: int = 20) -> None:
    for _ in range(turns):
        bench.put()
        bench.ack(*bench.get())


def numbers(bench: Bench) -> tuple[int, int]:
    """An id and a lease number as they would be given out next."""
    message_id = bench.put(priority=9)
    ((_, lease),) = bench.get()
    return message_id, lease


@pytest.mark.parametrize("lost", [0, 1, 2, 3, RESERVE // 2 - 1])
def test_no_number_is_given_out_again_though_the_last_records_are_lost(lost: int) -> None:
    bench = worked()
    message_id, lease = numbers(bench.rebuilt(lost=lost))
    assert message_id > bench.broker.last_id
    assert lease > bench.broker.last_lease


@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize("verb", ["put", "get"])
def test_that_holds_where_the_lost_records_are_a_reservation_s_own(verb: str, lost: int) -> None:
    bench = worked(turns=3)
    held = bench.get() if bench.put() else []
    for _ in range(2 * RESERVE):
        if verb == "put":
            bench.put()
        else:
            bench.release(*held)
            held = bench.get()
        again = bench.rebuilt(lost=lost).broker
        assert again.last_id >= bench.broker.last_id
        assert again.last_lease >= bench.broker.last_lease


def test_that_holds_over_crash_after_crash() -> None:
    """What a start reserves first is on the disk before a number of it is answered."""
    bench = Bench(reserve=RESERVE)
    given: set[int] = set()
    for turn in range(1, 80):
        for _ in range(turn):
            message_id = bench.put()
            assert message_id not in given
            given.add(message_id)
        at_risk = [b'"op":"sequence"' in line for line in reversed(bench.lines)].index(True)
        bench = bench.rebuilt(lost=min(at_risk, turn % (RESERVE // 2)))


def test_a_clean_stop_wastes_no_number() -> None:
    bench = worked()
    record_stop(bench.broker)
    assert numbers(bench.rebuilt()) == (21, 21)


def test_a_crash_after_a_clean_stop_and_a_start_wastes_what_was_reserved_then() -> None:
    bench = worked()
    record_stop(bench.broker)
    again = bench.rebuilt()
    work(again)
    message_id, lease = numbers(again.rebuilt(lost=10))
    assert message_id > again.broker.last_id
    assert lease > again.broker.last_lease


def test_where_an_ok_waits_for_the_disk_nothing_is_reserved() -> None:
    bench = worked(reserve=0)
    assert bench.records("sequence") == []
    assert numbers(bench.rebuilt()) == (21, 21)


def test_reservations_are_few() -> None:
    bench = worked(turns=10 * RESERVE)
    assert bench.broker.reservations == len(bench.records("sequence")) <= 21


def test_many_leases_at_once_are_reserved_before_they_are_given_out() -> None:
    bench = Bench(reserve=RESERVE)
    for _ in range(1000):
        bench.put()
    bench.get(count=1000)
    assert bench.broker.reserved_lease >= 1000
    told = [line.partition(b",")[0] for line in bench.lines[-2:]]
    assert told == [b'{"op":"sequence"', b'{"op":"lease"']


@pytest.mark.parametrize("reserve", [0, RESERVE])
def test_a_new_segment_tells_the_numbers_again(reserve: int) -> None:
    """All that was told before may be dropped."""
    bench = worked(reserve)
    bench.lines.clear()
    checkpoint(bench.broker)
    message_id, lease = numbers(bench.rebuilt())
    assert message_id > 20
    assert lease > 20


def test_a_new_segment_tells_what_is_reserved() -> None:
    bench = worked()
    bench.lines.clear()
    checkpoint(bench.broker)
    work(bench)
    again = bench.rebuilt(lost=len(bench.lines) - 1).broker
    assert again.last_id >= bench.broker.last_id
    assert again.last_lease >= bench.broker.last_lease


def test_that_holds_for_a_server_that_has_reserved_nothing_yet() -> None:
    bench = worked().rebuilt()
    bench.lines.clear()
    checkpoint(bench.broker)
    assert min(numbers(bench.rebuilt())) > 20


def test_a_server_that_waits_for_the_disk_goes_on_behind_what_was_reserved() -> None:
    crashed = worked()
    again = Bench(lines=crashed.lines)
    again.put()
    assert numbers(Bench(lines=again.lines))[0] > crashed.broker.last_id + 1

"""REDRIVE and `TOUCH *` of many: what takes more than one step."""

from random import Random

import pytest

from qserver.broker.message import DEAD
from qserver.broker.ongoing import begin
from qserver.broker.purging import begin_drop, begin_purge
from qserver.broker.redriving import Redrive
from qserver.broker.touching import TouchAll
from qserver.config import Limits
from qserver.errors import RequestError
from tests.model.same import check_books, shown
from tests.unit.broker.bench import Bench, BenchClient

SLICE, LOOKS = 10, 25


@pytest.fixture
def bench() -> Bench:
    return Bench()


def redrive(
    bench: Bench,
    *,
    count: int | None = None,
    reason: str | None = None,
    to: str | None = None,
    dry: bool = False,
    client: BenchClient | None = None,
) -> BenchClient:
    """Begin one; who asked."""
    client = client or BenchClient()
    request = Redrive(
        bench.broker,
        client,
        bench.broker.queues["q"],
        count=count,
        reason=reason,
        to=to,
        dry=dry,
        slice_max=SLICE,
        looks_max=LOOKS,
    )
    if begin(bench.broker, request):
        client.counted(request.count)
    return client


def touch_all(bench: Bench, client: BenchClient, lease: float | None = None) -> TouchAll:
    assert client.session is not None
    request = TouchAll(bench.broker, client, client.session, bench.now, lease, SLICE)
    if begin(bench.broker, request):
        client.counted(request.count)
    return request


def kill(bench: Bench, count: int, **options: str) -> None:
    """Put messages that die."""
    for _ in range(count):
        bench.put()
    bench.nack(*bench.get(count=count), dead=True, **options)


def dead(bench: Bench) -> list[int]:
    return sorted(bench.broker.queues["q"].held(DEAD))


def ticks(bench: Bench, client: BenchClient) -> int:
    """How many it takes until it is answered; the journal tells the same after each."""
    count = 0
    while not client.counts:
        bench.tick()
        check_journal(bench)
        count += 1
        assert count < 100
    return count


def check_journal(bench: Bench) -> None:
    check_books(bench.broker)
    again = bench.rebuilt()
    assert {i: shown(m) for i, m in bench.broker.messages.items()} == {
        i: shown(m) for i, m in again.broker.messages.items()
    }


# --- REDRIVE ----------------------------------------------------------------------------------


def test_few_are_redriven_in_one_step(bench: Bench) -> None:
    kill(bench, SLICE)
    assert redrive(bench).counts == [SLICE]
    assert bench.ids() == list(range(1, SLICE + 1))


def test_many_are_redriven_a_slice_in_each_tick_in_order_of_id(bench: Bench) -> None:
    kill(bench, 35)
    client = redrive(bench)
    assert (client.counts, dead(bench)) == ([], list(range(11, 36)))
    bench.tick()
    assert (client.counts, dead(bench)) == ([], list(range(21, 36)))
    assert ticks(bench, client) == 2
    assert client.counts == [35]
    assert [len(record["ids"]) for record in bench.records("redrive")] == [10, 10, 10, 5]
    assert bench.ids() == list(range(1, 36))


@pytest.mark.parametrize(("count", "expected"), [(None, 35), (12, 12), (99, 35)])
def test_all_that_are_dead_are_counted_without_a_look_at_them(
    bench: Bench, count: int | None, expected: int
) -> None:
    kill(bench, 35)
    assert redrive(bench, dry=True, count=count).counts == [expected]
    assert len(dead(bench)) == 35


def test_what_is_counted_only_is_looked_through_in_slices_too(bench: Bench) -> None:
    kill(bench, 15, reason="smtp")
    kill(bench, 35, reason="http")
    client = redrive(bench, dry=True, reason="http")
    assert ticks(bench, client) == 3
    assert client.counts == [35]
    assert len(dead(bench)) == 50


def test_no_step_looks_at_more_than_so_many_messages_though_none_is_meant(bench: Bench) -> None:
    kill(bench, 105)
    client = redrive(bench, reason="none")
    assert ticks(bench, client) == 4
    assert client.counts == [0]
    assert len(dead(bench)) == 105


def test_a_count_takes_the_first_ones(bench: Bench) -> None:
    kill(bench, 35)
    client = redrive(bench, count=25)
    ticks(bench, client)
    assert (client.counts, dead(bench)) == ([25], list(range(26, 36)))


def test_a_count_of_exactly_a_slice_is_answered_at_once(bench: Bench) -> None:
    kill(bench, 35)
    client = redrive(bench, count=SLICE)
    assert (client.counts, len(dead(bench))) == ([SLICE], 25)


def test_they_go_behind_in_their_order_where_the_queue_says_so(bench: Bench) -> None:
    bench.configure("to", requeue="back")
    kill(bench, 35)
    newer = bench.put("to")
    ticks(bench, redrive(bench, to="to"))
    assert bench.ids("to") == [newer, *range(1, 36)]


def test_what_dies_meanwhile_does_not_keep_it_going(bench: Bench) -> None:
    kill(bench, 35)
    client = redrive(bench)
    steps = 0
    while not client.counts:
        bench.tick()
        kill(bench, 20)
        steps += 1
        assert steps < 10
    assert set(dead(bench)) >= set(range(36, 36 + 20))


def test_a_client_that_is_gone_ends_it_where_it_stands(bench: Bench) -> None:
    kill(bench, 35)
    client = BenchClient()
    request = Redrive(
        bench.broker, client, bench.broker.queues["q"],
        count=None, reason=None, to=None, dry=False, slice_max=SLICE, looks_max=LOOKS,
    )  # fmt: skip
    assert not begin(bench.broker, request)
    bench.tick()
    request.forget(bench.broker)
    bench.after(10)
    assert (client.counts, len(dead(bench))) == ([], 15)
    check_journal(bench)


def test_one_that_has_closed_its_side_is_answered(bench: Bench) -> None:
    client = bench.join("s")
    for _ in range(35):
        bench.put()
    bench.get(count=35, client=client)
    request = touch_all(bench, client)
    request.give_up(bench.broker)
    bench.after(1)
    assert client.counts == [35]


@pytest.mark.parametrize("drops", ["q", "to"])
def test_a_queue_that_is_dropped_meanwhile_ends_it_or_comes_into_being_again(
    bench: Bench, drops: str
) -> None:
    kill(bench, 35)
    client = redrive(bench, to="to")
    bench.drop(drops)
    ticks(bench, client)
    expected = (10, 10) if drops == "q" else (35, 25)
    assert (client.counts[0], len(bench.ids("to"))) == expected


def test_no_room_for_the_queue_is_an_error_as_long_as_nothing_is_done() -> None:
    bench = Bench(limits=Limits(queues_max=2))
    kill(bench, 35)
    bench.put("other")
    with pytest.raises(RequestError, match="queues_max"):
        redrive(bench, to="to")
    assert len(dead(bench)) == 35
    bench.drop("other")
    client = redrive(bench, to="to")
    bench.drop("to")
    bench.put("other")
    ticks(bench, client)
    assert (client.counts, len(dead(bench))) == ([10], 25)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_else_is_done_meanwhile_nothing_that_was_dead_is_left(
    bench: Bench, seed: int
) -> None:
    chance = Random(seed)
    kill(bench, 40)
    for _ in range(20):
        bench.put(priority=chance.randrange(10))
    were_dead = set(dead(bench))
    client = redrive(bench)
    while not client.counts:
        for _ in range(chance.randrange(4)):
            what = chance.randrange(5)
            held = bench.get(count=chance.randrange(1, 6))
            if what == 0:
                bench.release(*held)
            elif what == 1:
                bench.ack(*held)
            elif what == 2:
                redrive(bench, count=3)
            else:
                bench.put(priority=chance.randrange(10))
        bench.tick()
        check_journal(bench)
        bench.stall(chance.choice([0.0, 0.0, 20.0]))
    assert not were_dead & set(dead(bench))


# --- TOUCH * ----------------------------------------------------------------------------------


def holding(bench: Bench, count: int) -> BenchClient:
    client = bench.join("s")
    for _ in range(count):
        bench.put()
    bench.get(count=count, lease=5, client=client)
    return client


def until(bench: Bench) -> list[float]:
    """In how many seconds the leases end."""
    leases = bench.broker.sessions["s"].leases.values()
    return sorted(round(message.deadline - bench.now, 3) for message in leases)


@pytest.mark.parametrize("lease", [None, 30.0])
def test_many_leases_are_extended_a_slice_in_each_tick(bench: Bench, lease: float | None) -> None:
    client = holding(bench, 35)
    touch_all(bench, client, lease)
    assert until(bench) == [5.0] * 25 + [30.0] * 10
    bench.tick()
    assert (until(bench), client.counts) == ([5.0] * 15 + [30.0] * 20, [])
    assert ticks(bench, client) == 2
    assert (until(bench), client.counts) == ([30.0] * 35, [35])
    assert [len(record["ids"]) for record in bench.records("touch")] == [10, 10, 10, 5]
    assert bench.records("touch_session") == []


def test_they_run_from_the_beginning_of_the_touch_on(bench: Bench) -> None:
    client = holding(bench, 35)
    touch_all(bench, client)
    bench.stall(1.0)
    ticks(bench, client)
    assert until(bench) == [29.0] * 35


def test_what_is_leased_meanwhile_keeps_its_own_time_and_what_has_ended_is_not_counted(
    bench: Bench,
) -> None:
    client = holding(bench, 35)
    request = touch_all(bench, client, 60.0)
    held = [(message.id, message.lease) for message in request.session.leases.values()]
    bench.release(*held[-3:])
    bench.ack(held[-4])
    assert len(bench.get(count=3, lease=7, client=client)) == 3
    ticks(bench, client)
    assert client.counts == [31]
    assert until(bench) == [7.0] * 3 + [60.0] * 31


def test_what_was_leased_meanwhile_is_not_said_to_be_extended(bench: Bench) -> None:
    client = holding(bench, 15)
    request = touch_all(bench, client, 60.0)
    held = [(message.id, message.lease) for message in request.session.leases.values()]
    bench.ack(*held[:10])
    bench.put()
    assert len(bench.get(lease=7, client=client)) == 1
    ticks(bench, client)
    assert (client.counts, until(bench)) == ([15], [7.0] + [60.0] * 5)
    assert bench.records("touch_session") == []


def test_a_lease_that_ends_before_its_turn_is_lost_and_not_counted(bench: Bench) -> None:
    client = holding(bench, 35)
    touch_all(bench, client)
    bench.stall(6.0)
    ticks(bench, client)
    assert client.counts == [10]
    assert bench.broker.counters.losses == 25


# --- several at once ----------------------------------------------------------------------------


def test_a_tick_does_one_slice_of_one_of_them_and_they_take_turns(bench: Bench) -> None:
    kill(bench, 30)
    for name in ("a", "b"):
        for _ in range(30):
            bench.put(name)
    clients = [BenchClient(), BenchClient()]
    begin_purge(bench.broker, clients[0], "a", [0], SLICE)
    begin_drop(bench.broker, clients[1], "b", SLICE)
    clients.append(redrive(bench))
    left = []
    while not all(client.counts for client in clients):
        bench.tick()
        left.append((len_of(bench, "a"), len_of(bench, "b"), len(dead(bench))))
        assert len(left) < 20
    assert left == [
        *((20, 30, 20), (20, 20, 20), (20, 20, 10)),
        *((10, 20, 10), (10, 10, 10), (10, 10, 0)),
        *((0, 10, 0), (0, 0, 0), (0, 0, 0)),
    ]
    assert [client.counts for client in clients] == [[30], [30], [30]]


def len_of(bench: Bench, name: str) -> int:
    queue = bench.broker.queues.get(name)
    return 0 if queue is None else len(queue)

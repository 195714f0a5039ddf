"""GETs that wait: first come, first served, and nobody in vain."""

import pytest

from qserver.broker import admin, get, timers
from qserver.broker.message import Message
from qserver.broker.waiter import GetWaiter
from qserver.build import BUILD
from qserver.config import Limits
from tests.unit.broker.bench import Bench, BenchClient


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_get_that_waits_is_served_by_the_first_message_that_comes(bench: Bench) -> None:
    client = bench.wait()
    bench.put()
    bench.serve()
    assert client.got == [[(1, 1)]]
    assert not bench.broker.waiters


def test_waiters_are_served_first_come_first_served(bench: Bench) -> None:
    clients = [bench.wait() for _ in range(3)]
    for _ in range(2):
        bench.put()
    bench.serve()
    assert [client.got for client in clients] == [[[(1, 1)]], [[(2, 2)]], []]


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("b", "a")])
def test_that_holds_over_queues_too(bench: Bench, one: str, other: str) -> None:
    first, second = bench.wait(one), bench.wait(one, other)
    bench.put(one)
    bench.put(other)
    bench.serve()
    assert (first.got, second.got) == ([[(1, 1)]], [[(2, 2)]])


def test_many_waiters_of_many_queues_are_served_in_the_order_they_came(bench: Bench) -> None:
    queues = ["a", "b", "c", "d"]
    clients = [bench.wait(*queues[n % 4 :], *queues[: n % 4]) for n in range(40)]
    for n in range(30):
        bench.put(queues[n % 4])
    bench.serve()
    leases = [client.got[0][0][1] for client in clients[:30]]
    assert leases == list(range(1, 31))
    assert all(not client.got for client in clients[30:])


def test_who_waits_for_several_queues_gets_from_the_first_one_first(bench: Bench) -> None:
    client = bench.wait("a", "b", count=3)
    bench.put("b")
    bench.put("a")
    bench.serve()
    assert client.got == [[(2, 1), (1, 2)]]


def test_a_waiter_gets_all_that_came_in_the_turn_up_to_its_count(bench: Bench) -> None:
    client = bench.wait(count=2)
    for _ in range(3):
        bench.put()
    bench.serve()
    assert client.got == [[(1, 1), (2, 2)]]
    assert bench.ids() == [3]


def test_one_message_wakes_one_waiter(bench: Bench) -> None:
    clients = [bench.wait(count=5) for _ in range(100)]
    bench.put()
    bench.serve()
    assert [len(client.got) for client in clients] == [1] + [0] * 99


def test_a_get_that_comes_later_does_not_overtake_one_that_waits(bench: Bench) -> None:
    client = bench.wait()
    bench.put()
    assert bench.get() == []
    assert client.got == [[(1, 1)]]


def test_a_waiter_ends_with_nothing_when_its_time_is_over(bench: Bench) -> None:
    client = bench.wait(seconds=5)
    bench.after(4.99)
    assert client.got == []
    bench.after(0.02)
    assert client.got == [[]]
    bench.put()
    bench.serve()
    assert client.got == [[]]
    assert bench.state(1) == "ready"


def test_a_waiter_that_stops_is_told_nothing_and_hinders_nobody(bench: Bench) -> None:
    bench.wait("a", "b")
    waiter = get.wait(bench.broker, bench.now, first := bench.join("s"), ["a", "b"], 1, None, 60)
    last = bench.wait("b")
    waiter.forget(bench.broker)
    bench.put("a")
    bench.put("b")
    bench.serve()
    assert first.got == []
    assert last.got == [[(2, 2)]]


@pytest.mark.parametrize(
    "event", ["delay", "lost", "nack", "release", "redrive", "session", "resume"]
)
def test_whatever_makes_a_message_ready_serves_who_waits(bench: Bench, event: str) -> None:
    bench.configure(backoff=1)
    holder = bench.join("s", grace=1)
    if event == "delay":
        bench.put(delay=1)
    else:
        bench.put()
    if event == "resume":
        admin.pause(bench.broker, "q", paused=True)
    elif event == "lost":
        bench.get(lease=1)
    elif event != "delay":
        held = bench.get(client=holder)
    client = bench.wait()
    if event == "nack":
        bench.nack(*held)
    elif event == "release":
        bench.release(*held)
    elif event == "redrive":
        bench.nack(*held, dead=True)
        bench.redrive()
    elif event == "session":
        bench.leave(holder)
    else:
        admin.pause(bench.broker, "q", paused=False)
    bench.after(1)
    assert [len(got) for got in client.got] == [1]


def test_a_paused_queue_serves_nobody_until_it_is_resumed(bench: Bench) -> None:
    admin.pause(bench.broker, "q", paused=True)
    client = bench.wait()
    bench.put()
    bench.serve()
    assert client.got == []
    admin.pause(bench.broker, "q", paused=False)
    bench.serve()
    assert client.got == [[(1, 1)]]


def test_who_waits_for_a_paused_queue_and_another_gets_the_other_s(bench: Bench) -> None:
    bench.put("a")
    admin.pause(bench.broker, "a", paused=True)
    client = bench.wait("a", "b")
    bench.put("b")
    bench.serve()
    assert client.got == [[(2, 1)]]


def test_waiting_outlives_the_queue(bench: Bench) -> None:
    client = bench.wait()
    bench.put()
    bench.drop()
    bench.serve()
    assert client.got == []
    bench.put()
    bench.serve()
    assert client.got == [[(2, 1)]]


def test_waiting_outlives_a_queue_that_is_forgotten() -> None:
    bench = Bench(limits=Limits(queues_max=1))
    bench.configure()
    client = bench.wait()
    bench.put("other")
    bench.drop("other")
    bench.put()
    bench.serve()
    assert client.got == [[(2, 1)]]


def test_a_message_that_is_gone_before_the_turn_ends_serves_nobody(bench: Bench) -> None:
    client = bench.wait()
    bench.put()
    bench.purge()
    bench.serve()
    assert client.got == []
    assert list(bench.broker.waiters) == ["q"]


def test_a_waiter_is_leased_to_for_its_session(bench: Bench) -> None:
    client = bench.join("s")
    get.wait(bench.broker, bench.now, client, ["q"], 1, 5.0, 60)
    bench.put()
    bench.serve()
    session = bench.message(1).session
    assert session is not None
    assert session.name == "s"
    assert bench.message(1).deadline == bench.now + 5


class _AsksAgain(BenchClient):
    """A worker that asks for the next message as soon as it has one."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.ids: list[int] = []
        self._bench = bench
        self.wait()

    def wait(self) -> None:
        get.wait(self._bench.broker, self._bench.now, self, ["q"], 1, None, 60.0)

    def delivered(self, messages: list[Message]) -> None:
        self.ids += [message.id for message in messages]
        self.wait()


def test_who_asks_again_stands_behind_those_who_wait(bench: Bench) -> None:
    workers = [_AsksAgain(bench) for _ in range(3)]
    for _ in range(7):
        bench.put()
    bench.serve()
    assert [worker.ids for worker in workers] == [[1, 4, 7], [2, 5], [3, 6]]


def test_all_waits_that_are_over_end_in_a_few_ticks(bench: Bench) -> None:
    clients = [bench.wait(seconds=1) for _ in range(timers.BUDGET + 1)]
    bench.stall(2)
    assert bench.tick()
    assert sum(client.got == [[]] for client in clients) == timers.BUDGET
    assert not bench.tick()
    assert all(client.got == [[]] for client in clients)


@pytest.mark.skipif(BUILD == "compiled", reason="a compiled class can't be watched so")
@pytest.mark.parametrize("step", [1, -1])
def test_who_leaves_is_not_looked_for_among_the_others(
    bench: Bench, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def is_same(one: GetWaiter, other: object) -> bool:
        nonlocal looks
        looks += 1
        return one is other

    monkeypatch.setattr(GetWaiter, "__eq__", is_same)
    monkeypatch.setattr(GetWaiter, "__hash__", object.__hash__)
    waiting = [
        get.wait(bench.broker, bench.now, BenchClient(), ["a", "b"], 1, None, 60.0)
        for _ in range(100)
    ]
    for waiter in waiting[::step]:
        waiter.forget(bench.broker)
    assert (bench.broker.waiters, looks < 100) == ({}, True)


def test_a_crowd_is_served_some_at_a_time_and_whoever_comes_is_behind_it(bench: Bench) -> None:
    crowd = [bench.wait() for _ in range(2 * get.SERVINGS_MAX + 3)]
    admin.pause(bench.broker, "q", paused=True)
    for _ in range(len(crowd) + 1):
        bench.put()
    bench.put("other")
    admin.pause(bench.broker, "q", paused=False)
    bench.serve()
    assert [len(client.got) for client in crowd] == [1] * get.SERVINGS_MAX + [0] * (
        get.SERVINGS_MAX + 3
    )
    assert bench.get("q") == []
    assert get.is_others_turn(bench.broker, ["other", "q"])
    assert not get.is_others_turn(bench.broker, ["other"])
    bench.serve()
    bench.serve()
    assert [client.got[0][0][0] for client in crowd] == list(range(1, len(crowd) + 1))
    assert not bench.broker.hungry
    assert bench.ids("q") == [len(crowd) + 1]


def test_who_comes_behind_a_crowd_gets_nothing_of_a_queue_that_it_named_later(bench: Bench) -> None:
    crowd = [bench.wait() for _ in range(3 * get.SERVINGS_MAX)]
    bench.put("other")
    for _ in range(2 * len(crowd)):
        bench.put()
    bench.serve()
    assert bench.ids("q", "other") == []
    assert bench.ids("other", "q") == [1]
    assert get.is_others_turn(bench.broker, ["other", "q"])


def test_who_asks_for_another_queue_serves_no_crowd(bench: Bench) -> None:
    crowd = [bench.wait() for _ in range(3 * get.SERVINGS_MAX)]
    for _ in crowd:
        bench.put()
    bench.put("other")
    for _ in range(5):
        bench.get("other")
    assert not any(client.got for client in crowd)


def test_what_a_turn_serves_is_bounded_though_many_ask(bench: Bench) -> None:
    crowd = [bench.wait() for _ in range(3 * get.SERVINGS_MAX)]
    bench.serve()
    for _ in crowd:
        bench.put()
    for _ in range(5):
        assert bench.ids() == []
    assert sum(len(client.got) for client in crowd) == get.SERVINGS_MAX


def test_of_those_who_take_many_messages_fewer_are_served_in_a_turn(bench: Bench) -> None:
    count = 10 * get.MESSAGES_PER_SERVING - get.MESSAGES_PER_SERVING
    crowd = [bench.wait(count=count) for _ in range(20)]
    for _ in range(count * len(crowd)):
        bench.put()
    bench.serve()
    assert [len(client.got) for client in crowd] == [1] * 10 + [0] * 10
    bench.serve()
    assert all(len(client.got[0]) == count for client in crowd)


def test_many_queues_are_served_by_who_waits_longest_whatever_came_first(bench: Bench) -> None:
    crowd = [bench.wait(f"q{n % 50}") for n in range(3 * get.SERVINGS_MAX)]
    for n in reversed(range(len(crowd))):
        bench.put(f"q{n % 50}")
    for turns in (1, 2, 3):
        bench.serve()
        served = [len(client.got) for client in crowd]
        assert served == [1] * turns * get.SERVINGS_MAX + [0] * (3 - turns) * get.SERVINGS_MAX
    bench.serve()
    assert not bench.broker.hungry


def test_who_is_being_served_does_not_give_up_meanwhile(bench: Bench) -> None:
    crowd = [bench.wait(seconds=5) for _ in range(3 * get.SERVINGS_MAX)]
    late = bench.wait(seconds=1)
    elsewhere = bench.wait("other", seconds=1)
    for _ in range(len(crowd) + 1):
        bench.put()
    bench.serve()
    bench.stall(1.1)
    bench.tick()
    assert (late.got, elsewhere.got) == ([], [[]])
    bench.serve()
    bench.serve()
    assert late.got == [[(len(crowd) + 1, len(crowd) + 1)]]
    assert bench.broker.waiting == 0


def test_who_waits_in_vain_behind_a_crowd_gives_up_when_that_is_served(bench: Bench) -> None:
    crowd = [bench.wait(seconds=5) for _ in range(3 * get.SERVINGS_MAX)]
    late = bench.wait(seconds=1)
    for _ in crowd:
        bench.put()
    bench.serve()
    bench.stall(1.1)
    bench.tick()
    assert late.got == []
    bench.serve()
    bench.stall(0.1)
    bench.tick()
    assert late.got == [[]]
    assert all(len(client.got[0]) == 1 for client in crowd)


def test_what_is_served_at_once_does_not_count_for_what_comes_later_in_the_turn(
    bench: Bench,
) -> None:
    for _ in range(get.SERVINGS_MAX + 5):
        client = bench.wait()
        bench.put()
        assert bench.get() == []
        assert len(client.got) == 1

"""GETs that wait: what serves them, and whom first."""

import pytest

from qserver.broker.get import SERVINGS_MAX
from tests.sim import Sim


@pytest.fixture
def sim() -> Sim:
    return Sim()


# --- what serves a GET that waits -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "doing", "after_s", "expected"),
    [
        ([], "PUT a 1", 0, b"* 1.1 a 1"),
        (["PUT a delay=2 1"], "", 2.1, b"* 1.1 a 1"),
        (["PUT a at=2027-01-15T08:00:02Z 1"], "", 2.1, b"* 1.1 a 1"),
        (["PUT a 1", "GET a lease=2"], "", 2.1, b"* 1.2 a deliveries=2 losses=1 1"),
        (["PUT a 1", "GET a"], "RELEASE 1.1", 0, b"* 1.2 a deliveries=2 1"),
        (["PUT a 1", "GET a"], "NACK 1.1 delay=0", 0, b"* 1.2 a deliveries=2 failures=1 1"),
        (["PUT a 1", "GET a"], "NACK 1.1", 1.1, b"* 1.2 a deliveries=2 failures=1 1"),
        (["PUT a 1", "PAUSE a"], "RESUME a", 0, b"* 1.1 a 1"),
        (["PUT a 1", "GET a", "NACK 1.1 dead=yes"], "REDRIVE a", 0, b"* 1.2 a deliveries=2 1"),
        (
            ["PUT b 1", "GET b", "NACK 1.1 dead=yes"],
            "REDRIVE b to=a",
            0,
            b"* 1.2 a deliveries=2 1",
        ),
    ],
)
def test_a_get_that_waits_is_served_by_whatever_makes_a_message_ready(
    sim: Sim, before: list[str], doing: str, after_s: float, expected: bytes
) -> None:
    other, waiting = sim.connect(), sim.connect()
    for line in before:
        other.ask(line)
    assert waiting.send(b"GET a wait=60\n") == b""
    other.ask(doing)
    if after_s:
        assert waiting.take() == b""
        sim.pass_time(after_s)
    assert waiting.take() == expected + b"\nOK 1\n"


def test_a_lease_given_back_with_its_session_serves_a_get_that_waits(sim: Sim) -> None:
    holder, waiting = sim.connect(), sim.connect()
    holder.ask("HELLO session=s grace=2")
    holder.ask("PUT a 1")
    holder.ask("GET a lease=1h")
    waiting.send(b"GET a wait=60\n")
    holder.cut()
    sim.pass_time(1.9)
    assert waiting.take() == b""
    sim.pass_time(0.2)
    assert waiting.take() == b"* 1.2 a deliveries=2 losses=1 1\nOK 1\n"


def test_a_get_stops_waiting_at_its_time_and_never_before(sim: Sim) -> None:
    peer = sim.connect()
    peer.send(b"GET a wait=2.5\n")
    sim.pass_time(2.49)
    assert peer.take() == b""
    sim.pass_time(0.03)
    assert peer.take() == b"OK 0\n"


def test_a_put_in_a_paused_queue_serves_nobody(sim: Sim) -> None:
    peer, other = sim.connect(), sim.connect()
    other.ask("PAUSE a")
    peer.send(b"GET a wait=60\n")
    other.ask("PUT a 1")
    assert peer.take() == b""
    assert "paused=yes waiting=1" in other.ask("LIST")[0]


def test_a_get_with_a_lease_of_its_own_keeps_it_while_it_waits(sim: Sim) -> None:
    peer, other = sim.connect(), sim.connect()
    peer.send(b"GET a wait=60 lease=7\n")
    other.ask("PUT a 1")
    assert other.ask("LIST a")[0] == "* 1 leased receipt=1.1 expires_in=7 deliveries=1 1"


def test_a_get_that_waits_takes_all_that_came_in_the_turn_up_to_its_count(sim: Sim) -> None:
    peer, other = sim.connect(), sim.connect()
    peer.send(b"GET a wait=60 count=2\n")
    other.send(b"PUT a 1\nPUT a 2\nPUT a 3\n")
    assert peer.take() == b"* 1.1 a 1\n* 2.2 a 2\nOK 2\n"


# --- fairness ----------------------------------------------------------------------------------


def test_gets_that_wait_are_served_first_come_first_served(sim: Sim) -> None:
    peers = [sim.connect() for _ in range(4)]
    for peer in peers:
        peer.send(b"GET a wait=60\n")
    other = sim.connect()
    for number in range(4):
        other.ask(f"PUT a {number}")
        assert [bool(peer.take()) for peer in peers] == [at == number for at in range(4)]


def test_first_come_holds_over_several_queues(sim: Sim) -> None:
    both, second, first = sim.connect(), sim.connect(), sim.connect()
    both.send(b"GET a,b wait=60\n")
    second.send(b"GET b wait=60\n")
    first.send(b"GET a wait=60\n")
    other = sim.connect()
    other.ask("PUT b 1")
    assert (both.take(), second.take()) == (b"* 1.1 b 1\nOK 1\n", b"")
    other.send(b"PUT a 2\nPUT b 3\n")
    assert {second.take().split(b".")[0], first.take().split(b".")[0]} == {b"* 2", b"* 3"}


def test_a_get_over_several_queues_prefers_its_first_when_both_are_filled(sim: Sim) -> None:
    peer, other = sim.connect(), sim.connect()
    peer.send(b"GET a,b wait=60\n")
    other.send(b"PUT b 1\nPUT a 2\n")
    assert peer.take() == b"* 2.1 a 2\nOK 1\n"
    assert sim.broker.waiters == {}


def test_a_get_that_comes_later_does_not_overtake_one_that_waits(sim: Sim) -> None:
    early, late, other = sim.connect(), sim.connect(), sim.connect()
    early.send(b"GET a wait=60\n")
    other.hear(b"PUT a 1\n")
    late.hear(b"GET a\n")
    sim.turn()
    assert (early.take(), late.take()) == (b"* 1.1 a 1\nOK 1\n", b"OK 0\n")


def test_a_client_that_left_loses_its_place_to_the_next(sim: Sim) -> None:
    first, second = sim.connect(), sim.connect()
    first.send(b"GET a wait=60\n")
    second.send(b"GET a wait=60\n")
    first.cut()
    sim.connect().ask("PUT a 1")
    assert second.take() == b"* 1.1 a 1\nOK 1\n"


def test_one_message_wakes_one_get_and_never_a_crowd(sim: Sim) -> None:
    peers = [sim.connect() for _ in range(50)]
    for peer in peers:
        peer.send(b"GET a wait=60\n")
    sim.connect().ask("PUT a 1")
    assert sum(not peer.conversation.is_waiting for peer in peers) == 1


def test_a_queue_named_twice_is_waited_for_once(sim: Sim) -> None:
    peer = sim.connect()
    peer.send(b"GET a,a,b wait=60\n")
    assert [len(line) for line in sim.broker.waiters.values()] == [1, 1]
    sim.connect().ask("PUT a 1")
    assert peer.take() == b"* 1.1 a 1\nOK 1\n"
    assert sim.broker.waiters == {}


def test_a_get_without_a_wait_is_served_behind_a_crowd_in_its_turn(sim: Sim) -> None:
    crowd = [sim.connect() for _ in range(3 * SERVINGS_MAX)]
    for peer in crowd:
        peer.send(b"GET a wait=60\n")
    other, late, empty = sim.connect(), sim.connect(), sim.connect()
    other.ask("PAUSE a")
    for _ in range(len(crowd) + 1):
        other.ask("PUT a 1")
    assert late.ask("GET a") == ["OK 0"]
    for peer, said in ((other, b"RESUME a\n"), (late, b"GET a\n"), (empty, b"GET a\n")):
        peer.hear(said)
    sim.turn()
    assert all(peer.take().endswith(b"OK 1\n") for peer in crowd)
    sim.pass_time(0.1)
    number = len(crowd) + 1
    assert late.take() == b"* %d.%d a 1\nOK 1\n" % (number, number)
    assert empty.take() == b"OK 0\n"

"""The history accepts what a good server says, and objects to each thing that a bad one could."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.simulation import verdict
from tests.simulation.history import History, Lease, Purge, Put, Session
from tests.simulation.talk import Delivered
from tests.simulation.violation import Violation


class Account:
    """A history that is told by hand; messages are known by their tokens, which are their ids."""

    def __init__(self) -> None:
        self.history = History()
        self.history.sessions["s"] = Session(grace_s=2.0)

    def put(self, token: int, at: float = 1.0, dedup: str | None = None, delay_s: float = 0) -> Put:
        """A PUT that was answered OK 0.1 s later."""
        put = self.ask_put(token, at, dedup, delay_s)
        self.history.put_told(put, token, at + 0.1, duplicate=False)
        return put

    def ask_put(
        self, token: int, at: float = 1.0, dedup: str | None = None, delay_s: float = 0
    ) -> Put:
        body = b"%d" % token
        put = Put(token, body, "a", 4, at, at + delay_s, not delay_s, dedup)
        self.history.puts[token] = put
        return put

    def get(
        self,
        token: int,
        number: int,
        at: float = 2.0,
        lease_s: float = 10.0,
        session: str | None = None,
        **row: int,
    ) -> tuple[Put, Lease]:
        """A GET that was answered 0.1 s later."""
        delivered = Delivered(token, number, "a", b"%d" % token, token, **row)
        return self.history.delivered(delivered, at, at + 0.1, at + lease_s, session)

    def ack(self, held: tuple[Put, Lease], at: float) -> None:
        held[1].settled_at = at
        self.history.acked(*held, at + 0.1)

    def release(self, held: tuple[Put, Lease], at: float, delay_s: float = 0) -> None:
        put, lease = held
        lease.settled_at = at
        self.history.returned(put, lease, at + delay_s)
        put.given_back[lease.number] = at, at + 0.1

    def judge(self, *left: int) -> None:
        """The end, where these were found."""
        verdict.check_nothing_lost(self.history, {n: self.history.puts[n] for n in left})
        verdict.check_order(self.history)
        verdict.check_returned_first(self.history)


@pytest.fixture
def told() -> Account:
    return Account()


def test_what_a_good_server_says_is_accepted_and_what_is_unknown_too(told: Account) -> None:
    told.put(1, dedup="k")
    again = told.ask_put(2, dedup="k")
    told.history.put_told(again, 1, 1.2, duplicate=True)
    told.put(3, delay_s=4)
    told.ask_put(4)
    first = told.get(1, 1, at=2.0, lease_s=1.0)
    told.history.touched(first[1], 3.5)
    told.release(told.get(1, 2, at=3.5, deliveries=2, losses=1), 3.6)
    told.ack(told.get(1, 3, at=3.7, deliveries=3, losses=1), 3.8)
    told.get(3, 4, at=4.95)
    told.get(4, 5, at=5.1)
    told.judge(3)


def test_a_duplicate_of_nothing_or_of_another_key_is_none(told: Account) -> None:
    told.put(1, dedup="k")
    for wrong in (told.ask_put(2), told.ask_put(3, dedup="l")):
        with pytest.raises(Violation, match="is no duplicate of message 1"):
            told.history.put_told(wrong, 1, 1.2, duplicate=True)


def test_a_key_that_was_stored_twice_is_noticed(told: Account) -> None:
    told.put(1, dedup="k")
    with pytest.raises(Violation, match="k was stored twice: 1 and 2"):
        told.put(2, at=2.0, dedup="k")


def test_an_id_that_was_given_out_twice_is_noticed(told: Account) -> None:
    told.put(1)
    with pytest.raises(Violation, match="two messages 1: 2 and 1"):
        told.history.put_told(told.ask_put(2), 1, 1.2, duplicate=False)


@pytest.mark.parametrize(
    "wrong",
    [{"token": 7}, {"body": b"other"}, {"queue": "b"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_nobody_put_is_a_phantom(told: Account, wrong: dict[str, object]) -> None:
    told.put(1)
    row = replace(Delivered(1, 1, "a", b"1", 1), **wrong)  # type: ignore[arg-type]
    with pytest.raises(Violation, match="nobody put what was delivered"):
        told.history.delivered(row, 2.0, 2.1, 9.0, None)


def test_a_put_that_was_refused_must_not_be_there(told: Account) -> None:
    told.ask_put(1).is_refused = True
    with pytest.raises(Violation, match="is there, and its PUT was refused"):
        told.get(1, 1)


def test_a_lease_s_number_that_was_given_out_twice_is_noticed(told: Account) -> None:
    told.put(1)
    told.put(2)
    told.get(1, 5)
    with pytest.raises(Violation, match="lease 5 was given out twice"):
        told.get(2, 5)


def test_a_message_that_comes_again_after_its_ack_is_noticed(told: Account) -> None:
    told.put(1)
    told.ack(told.get(1, 1), 2.5)
    with pytest.raises(Violation, match="again after its ACK was answered OK"):
        told.get(1, 2, at=3.0, deliveries=2)


def test_a_delay_that_ended_early_is_noticed(told: Account) -> None:
    told.put(1, delay_s=4)
    with pytest.raises(Violation, match=r"came 0\.900 s early"):
        told.get(1, 1, at=4.0)


def test_so_is_one_of_a_release(told: Account) -> None:
    told.put(1)
    told.release(told.get(1, 1), 2.5, delay_s=4)
    with pytest.raises(Violation, match=r"came 0\.400 s early"):
        told.get(1, 2, at=6.0, deliveries=2)


def test_delays_follow_the_wall_clock_and_leases_do_not(told: Account) -> None:
    told.put(1, delay_s=4)
    told.put(2)
    told.get(2, 1)
    told.history.clock_set(3.0, 2.0)
    told.get(1, 2, at=2.2)
    with pytest.raises(Violation, match="message 2 has two leases"):
        told.get(2, 3, at=3.0, deliveries=2)


def test_a_delivery_from_a_paused_queue_is_noticed(told: Account) -> None:
    told.put(1)
    told.put(2)
    told.history.pause_told("a", 0, 1.5)
    with pytest.raises(Violation, match="was delivered from a paused queue"):
        told.get(1, 1)
    told.history.resuming("a")
    told.history.pause_told("a", 0, 1.6)  # it may have been carried out before
    told.get(2, 2)


def test_a_delivery_after_a_purge_is_noticed(told: Account) -> None:
    told.put(1)
    told.put(2, at=1.5)
    told.history.purges.append(Purge("a", 1.5, 1.8))
    told.get(2, 1)  # it may have come behind it
    with pytest.raises(Violation, match="was delivered after it was purged"):
        told.get(1, 2)


def test_two_leases_at_a_time_are_noticed(told: Account) -> None:
    told.put(1)
    told.get(1, 1, lease_s=1.5)
    with pytest.raises(Violation, match=r"two leases: 1 for another 0\.400 s, and 2"):
        told.get(1, 2, at=3.0, deliveries=2)


def test_a_touched_lease_lasts_as_long_as_was_said(told: Account) -> None:
    told.put(1)
    told.history.touched(told.get(1, 1, lease_s=0.5)[1], 3.5)
    with pytest.raises(Violation, match=r"two leases: 1 for another 0\.400 s, and 2"):
        told.get(1, 2, at=3.0, deliveries=2)


@pytest.mark.parametrize(("back_at", "is_accepted"), [(3.9, False), (4.1, True)])
def test_a_session_loses_its_leases_only_after_its_grace(
    told: Account, back_at: float, *, is_accepted: bool
) -> None:
    told.put(1)
    told.get(1, 1, session="s")
    told.history.session_broken("s", 2.0)
    told.history.session_joined("s", back_at)
    if is_accepted:
        told.get(1, 2, at=4.2, deliveries=2)
    else:
        with pytest.raises(Violation, match="has two leases"):
            told.get(1, 2, at=4.2, deliveries=2)


@pytest.mark.parametrize("name", ["deliveries", "failures", "losses"])
def test_a_counter_that_went_down_is_noticed(told: Account, name: str) -> None:
    counters = {"deliveries": 4, "failures": 2, "losses": 2}
    told.put(1)
    told.get(1, 1, 2.0, 0.5, None, **counters)
    with pytest.raises(Violation, match="a counter of message 1 went down"):
        told.get(1, 2, 3.0, 9.0, None, **{**counters, "deliveries": 5, name: 1})


def test_an_ack_by_an_old_receipt_is_noticed(told: Account) -> None:
    told.put(1)
    old = told.get(1, 1, lease_s=0.5)
    told.get(1, 2, at=3.0, deliveries=2)
    with pytest.raises(Violation, match=r"lease 1 of message 1 was settled after \[2\]"):
        told.ack(old, 4.0)


@pytest.mark.parametrize(
    ("again", "said"),
    [(Account.ack, "was acked twice"), (Account.release, "was acked, and then settled otherwise")],
)
def test_a_message_that_was_settled_twice_is_noticed(
    told: Account, again: Callable[[Account, tuple[Put, Lease], float], None], said: str
) -> None:
    told.put(1)
    held = told.get(1, 1)
    told.ack(held, 2.5)
    with pytest.raises(Violation, match=said):
        again(told, held, 3.0)


def test_a_stored_message_that_is_not_there_at_the_end_is_missed(told: Account) -> None:
    told.put(1)
    told.ask_put(2)
    with pytest.raises(Violation, match=r"message 1 \(1\) was answered OK, and is lost"):
        told.judge()
    told.judge(1)
    told.history.purges.append(Purge("a", 1.5))
    told.judge()


def test_first_deliveries_out_of_order_are_noticed(told: Account) -> None:
    told.put(1)
    told.put(2)
    told.get(2, 1)
    told.get(1, 2)
    with pytest.raises(Violation, match="message 2 was delivered before 1"):
        told.judge(1, 2)


def test_what_was_given_back_comes_before_what_is_newer(told: Account) -> None:
    told.put(1)
    told.put(2)
    told.release(told.get(1, 1), 2.2)
    told.get(2, 2, at=3.0)
    told.get(1, 3, at=4.0, deliveries=2)
    with pytest.raises(Violation, match="message 1 was given back, and 2 was delivered before it"):
        told.judge(1, 2)


def test_a_power_cut_may_undo_what_was_told_since_the_last_sync_and_nothing_else(
    told: Account,
) -> None:
    told.put(1, at=1.0)
    told.put(2, at=5.0)
    told.ack(told.get(1, 1, at=2.0), 5.5)
    told.history.lost_power(since=4.0, now=6.0)
    told.get(1, 2, at=7.0)  # its ACK is undone, and its counters may be
    told.judge()
    told.put(3, at=8.0)
    told.history.lost_power(since=9.0, now=10.0)
    with pytest.raises(Violation, match=r"message 3 .* is lost"):
        told.judge()


def test_a_power_cut_may_undo_a_lease_so_that_the_one_before_is_settled(told: Account) -> None:
    told.put(1, at=1.0)
    told.put(2, at=1.0)
    first, other = told.get(1, 1, lease_s=1.0), told.get(2, 2, lease_s=1.0)
    told.get(2, 3, at=3.5, deliveries=2, losses=1)
    told.get(1, 4, at=5.0, deliveries=2, losses=1)
    told.history.lost_power(since=4.0, now=6.0)
    told.ack(first, 7.0)
    with pytest.raises(Violation, match=r"lease 2 of message 2 was settled after \[3\]"):
        told.ack(other, 7.0)

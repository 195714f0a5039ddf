"""The ledger accepts what a good queue says, and objects to each thing that a bad one could."""

from dataclasses import replace

import pytest

from tests.e2e.ledger import Delivery, Ledger, Presence, Put, Settling


def good() -> Ledger:
    """Two messages; the first runs out, comes again and is acked; the second is released once."""
    return Ledger(
        puts=[Put("q", b"1", 1.0, 1), Put("q", b"2", 1.1, 2), Put("q", b"3", 1.2)],
        deliveries=[
            Delivery("q", 1, 1, b"1", "s", 2.0, 2.1, 1.0, is_first=True),
            Delivery("q", 1, 2, b"1", "s", 3.0, 3.2, 9.0, is_first=False),
            Delivery("q", 2, 3, b"2", "s", 3.3, 3.4, 9.0, is_first=True),
            Delivery("q", 2, 4, b"2", "t", 3.6, 3.7, 9.0, is_first=False),
        ],
        settlings=[
            Settling("ACK", 1, 1, 3.1, 0, 3.2, is_done=False),
            Settling("ACK", 1, 2, 3.3, 0, 3.4, is_done=True),
            Settling("RELEASE", 2, 3, 3.5, 0, 3.6, is_done=True),
            Settling("ACK", 2, 4, 3.8),
        ],
        presences=[Presence("s", 1.0, 0.5, 9.0), Presence("t", 1.0, 0.5, 9.0)],
    )


def objections(ledger: Ledger) -> str:
    return "; ".join(ledger.objections())


def test_what_a_good_queue_says_is_accepted_and_what_is_unknown_too() -> None:
    assert good().objections() == []


def test_two_accounts_are_judged_together() -> None:
    ledger = Ledger()
    ledger.add(good())
    ledger.add(Ledger(oddities=["ERR"]))
    assert ledger.objections() == ["ERR"]


def test_a_stored_message_that_never_came_is_missed() -> None:
    ledger = good()
    ledger.puts[2].message = 3
    assert "3 was stored, and is lost" in objections(ledger)


def test_a_message_that_was_only_delivered_is_not_settled() -> None:
    ledger = good()
    del ledger.settlings[3]
    assert objections(ledger) == "2 was stored, and is lost: b'2'"


def test_a_body_that_nobody_put_is_a_phantom() -> None:
    ledger = good()
    ledger.deliveries.append(Delivery("q", 4, 5, b"4", "t", 5, 5, 9, is_first=True))
    assert "nobody has put what 4.5 holds" in objections(ledger)


def test_a_body_of_another_queue_is_a_phantom() -> None:
    ledger = good()
    ledger.deliveries.append(Delivery("r", 3, 5, b"3", "t", 5, 5, 9, is_first=True))
    assert "nobody has put what 3.5 holds" in objections(ledger)


def test_a_message_with_the_body_of_another_is_noticed() -> None:
    ledger = good()
    ledger.deliveries[2].body = b"1"
    assert "2.3 has the body of 1" in objections(ledger)


def test_a_body_that_became_two_messages_is_noticed() -> None:
    ledger = good()
    ledger.deliveries.append(Delivery("q", 3, 5, b"3", "t", 5, 5, 9, is_first=True))
    ledger.deliveries.append(Delivery("q", 4, 6, b"3", "t", 5, 5, 9, is_first=True))
    assert objections(ledger) == "4.6 and 3 have the same body"


def test_an_id_that_was_given_out_twice_is_noticed() -> None:
    ledger = good()
    ledger.puts[2].message = 2
    assert "the id 2 was given out twice" in objections(ledger)


def test_a_receipt_that_was_given_out_twice_is_noticed() -> None:
    ledger = good()
    ledger.deliveries[3].number = 3
    assert "the lease number of 2.3 was given out twice" in objections(ledger)


def test_a_first_delivery_out_of_order_is_noticed() -> None:
    ledger = good()
    ledger.deliveries.append(replace(ledger.deliveries[0], message=3, body=b"3", number=0))
    assert "1.1 came first after 3" in objections(ledger)


def test_a_message_that_came_again_after_its_ack_is_noticed() -> None:
    ledger = good()
    ledger.settlings[0].is_done = True
    assert "1.1 was acked, and came again" in objections(ledger)


def test_a_lease_that_ended_too_early_is_noticed() -> None:
    ledger = good()
    ledger.deliveries[0].lease_s = 1.3
    assert "1.2 was leased while 1.1 was held" in objections(ledger)


def test_a_touched_lease_that_ended_too_early_is_noticed() -> None:
    ledger = good()
    ledger.settlings.append(Settling("TOUCH", 1, 1, 2.5, 1.0, 2.6, is_done=True))
    assert "1.2 was leased while 1.1 was held" in objections(ledger)


def test_a_release_that_was_refused_ends_nothing() -> None:
    ledger = good()
    ledger.settlings[2].is_done = False
    found = objections(ledger)
    assert "2.4 was leased while 2.3 was held" in found
    assert "RELEASE of 2.3 was in time, and refused" in found


def test_a_timely_ack_that_was_refused_is_noticed() -> None:
    ledger = good()
    ledger.settlings[3] = Settling("ACK", 2, 4, 3.8, 0, 3.9, is_done=False)
    assert "ACK of 2.4 was in time, and refused" in objections(ledger)


@pytest.mark.parametrize(("back_at", "is_accepted"), [(3.0, False), (3.3, True)])
def test_a_session_loses_its_leases_only_after_its_grace(
    back_at: float, *, is_accepted: bool
) -> None:
    ledger = good()
    ledger.deliveries[0].lease_s = 9.0  # it may have ended before 3.2 only with its session
    ledger.presences[0] = Presence("s", 1.0, 0.5, 2.1)
    ledger.presences.append(Presence("s", 1.0, back_at, 9.0))
    ledger.settlings[0].heard_at = 3.2
    found = objections(ledger)
    assert ("1.2 was leased while 1.1 was held" not in found) == is_accepted

"""NACK, RELEASE and losses: how often, with what pause, and when a message is dead."""

import pytest

from qserver.broker.counters import COUNTED
from qserver.broker.queue import Settings
from tests.unit.broker.bench import Bench, Receipt


@pytest.fixture
def bench() -> Bench:
    return Bench()


def one(bench: Bench) -> Receipt:
    (held,) = bench.get()
    return held


def counts(bench: Bench, message_id: int = 1) -> tuple[int, int, int]:
    message = bench.message(message_id)
    return message.deliveries, message.failures, message.losses


def test_a_release_counts_nothing_and_comes_back_at_once(bench: Bench) -> None:
    bench.configure(max_failures=1, max_losses=1)
    bench.put()
    for _ in range(100):
        assert bench.release(one(bench)) == []
    assert bench.state(1) == "ready"
    assert counts(bench) == (100, 0, 0)


def test_a_release_with_a_delay_counts_nothing_and_comes_back_to_its_place_then(
    bench: Bench,
) -> None:
    bench.configure(max_failures=1, max_losses=1)
    bench.put()
    bench.put()
    assert bench.release(one(bench), delay_s=7.0) == []
    assert (bench.state(1), bench.due_in(1), counts(bench)) == ("delayed", 7, (1, 0, 0))
    assert one(bench)[0] == 2
    bench.after(7)
    assert one(bench)[0] == 1


def test_a_release_with_a_delay_does_not_outlive_the_ttl(bench: Bench) -> None:
    bench.put(ttl=5.0)
    bench.release(one(bench), delay_s=60.0)
    bench.after(5)
    assert 1 not in bench.broker.messages


def test_a_nack_counts_a_failure_and_backs_off(bench: Bench) -> None:
    bench.put()
    pauses = []
    for _ in range(4):
        bench.nack(one(bench))
        pauses.append(bench.due_in(1))
        bench.after(pauses[-1])
    assert pauses == [1, 2, 4, 8]
    assert counts(bench) == (4, 4, 0)


def test_no_backoff_is_longer_than_backoff_max(bench: Bench) -> None:
    bench.configure(backoff=100, backoff_factor=100, backoff_max=150, max_failures=0)
    bench.put()
    for pause in (100, 150, 150):
        bench.nack(one(bench))
        assert bench.due_in(1) == pause
        bench.after(pause)


def test_a_nack_s_own_delay_goes_before_the_backoff(bench: Bench) -> None:
    bench.put()
    bench.nack(one(bench), delay_s=77.0)
    assert bench.due_in(1) == 77


@pytest.mark.parametrize("how", ["delay", "backoff"])
def test_without_a_pause_a_failed_message_is_ready_at_once(bench: Bench, how: str) -> None:
    if how == "backoff":
        bench.configure(backoff=0)
    bench.put()
    bench.nack(one(bench), delay_s=0.0 if how == "delay" else None)
    assert bench.state(1) == "ready"


def test_the_first_loss_comes_back_at_once_and_the_second_backs_off(bench: Bench) -> None:
    bench.configure(lease=1, backoff=4)
    bench.put()
    bench.get()
    bench.after(1)
    assert bench.state(1) == "ready"
    for pause in (4, 8, 16):
        bench.get()
        bench.after(1)
        assert bench.due_in(1) == pause
        bench.after(pause)
    assert counts(bench) == (4, 0, 4)


def test_failures_and_losses_back_off_apart(bench: Bench) -> None:
    bench.put()
    bench.nack(one(bench))
    bench.after(1)
    bench.get(lease=1)
    bench.after(1)
    assert bench.state(1) == "ready"
    assert counts(bench) == (2, 1, 1)


def test_a_poison_message_dies_of_failures_and_says_so(bench: Bench) -> None:
    bench.configure(max_failures=3, backoff=0)
    bench.put()
    for _ in range(3):
        bench.nack(one(bench))
    assert bench.state(1) == "dead"
    assert bench.reason(1) == "failed too often"
    assert counts(bench) == (3, 3, 0)
    bench.after(1e6)
    assert bench.get() == []


def test_a_poison_message_dies_of_losses_and_says_so(bench: Bench) -> None:
    bench.configure(max_losses=2, lease=1)
    bench.put()
    for _ in range(2):
        bench.get()
        bench.after(1)
    assert bench.state(1) == "dead"
    assert bench.reason(1) == "lost too often"
    assert counts(bench) == (2, 0, 2)


def test_the_limit_of_one_counter_takes_no_heed_of_the_other(bench: Bench) -> None:
    bench.configure(max_failures=2, max_losses=2, backoff=0)
    bench.put()
    bench.nack(one(bench))
    bench.get(lease=1)
    bench.after(1)
    assert bench.state(1) == "ready"


def test_0_is_no_limit(bench: Bench) -> None:
    bench.configure(max_failures=0, max_losses=0, backoff=0)
    bench.put()
    for _ in range(50):
        bench.nack(one(bench))
        bench.get(lease=1)
        bench.after(1)
    assert bench.state(1) == "ready"


def test_dead_yes_gives_a_message_up_at_once(bench: Bench) -> None:
    bench.put()
    bench.nack(one(bench), dead=True, delay_s=5.0)
    assert bench.state(1) == "dead"
    assert bench.reason(1) is None
    assert counts(bench) == (1, 1, 0)


def test_the_reason_stays_with_the_message(bench: Bench) -> None:
    bench.put()
    bench.nack(one(bench), reason="disk full", delay_s=0.0)
    assert bench.reason(1) == "disk full"
    bench.release(one(bench))
    assert bench.reason(1) == "disk full"
    bench.nack(one(bench), reason="no such mailbox", dead=True)
    assert bench.reason(1) == "no such mailbox"


def test_the_client_s_reason_goes_before_the_server_s(bench: Bench) -> None:
    bench.configure(max_failures=1)
    bench.put()
    bench.nack(one(bench), reason="disk full")
    assert (bench.state(1), bench.reason(1)) == ("dead", "disk full")


def test_one_message_s_reason_is_not_the_next_one_s(bench: Bench) -> None:
    bench.configure("strict", max_failures=1)
    bench.put("strict")
    bench.put("lenient")
    bench.nack(*bench.get("strict", "lenient", count=2))
    assert [bench.reason(i) for i in (1, 2)] == ["failed too often", None]


def test_changed_limits_count_from_the_next_end_of_a_lease(bench: Bench) -> None:
    bench.configure(backoff=0)
    bench.put()
    bench.nack(one(bench))
    bench.configure(max_failures=1)
    assert bench.state(1) == "ready"
    bench.nack(one(bench))
    assert bench.state(1) == "dead"


def test_the_figures_count_what_happened(bench: Bench) -> None:
    bench.configure(max_failures=2, backoff=0)
    for _ in range(4):
        bench.put()
    held = bench.get(count=4, lease=1)
    bench.ack(held[0])
    bench.nack(held[1])
    bench.release(held[2])
    bench.after(1)
    bench.nack(*bench.get(count=2))
    counters = bench.broker.counters
    assert {name: getattr(counters, name) for name in COUNTED} == {
        "puts": 4,
        "duplicates": 0,
        "leases": 6,
        "acks": 1,
        "nacks": 3,
        "releases": 1,
        "losses": 1,
        "expiries": 0,
        "deads": 1,
    }


def test_the_backoff_grows_as_the_formula_says_for_ever() -> None:
    slowly = Settings(backoff=1.0, backoff_factor=1.01, backoff_max=300.0)
    assert slowly.backoff_s(301) == pytest.approx(1.01**300)
    assert slowly.backoff_s(10**9) == 300


def test_a_backoff_past_all_numbers_is_the_longest_one() -> None:
    assert Settings(backoff_factor=100.0, backoff_max=1e9).backoff_s(10**6) == 1e9
    assert Settings(backoff_factor=100.0, backoff=0.0).backoff_s(10**6) == 0
    assert Settings(backoff_factor=1.0).backoff_s(10**6) == 1
    assert Settings().backoff_s(0) == 0

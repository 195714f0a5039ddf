"""The verbs of a message's life, as they are asked and answered."""

import pytest

from tests.sim import Peer, Sim


@pytest.fixture
def sim() -> Sim:
    return Sim()


@pytest.fixture
def peer(sim: Sim) -> Peer:
    return sim.connect()


def leased(peer: Peer, count: int, options: str = "") -> None:
    """Let the queue `a` have so many messages, all leased by this client."""
    for number in range(1, count + 1):
        peer.ask(f"PUT a {options} {number}")
    peer.ask(f"GET a count={count}")


# --- PUT ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    ["1", "-0", '"x"', "{}", "[]", "true", "false", "null", '{"a": 1.50, "b":\t[1E5]}', '"ä"'],
)
@pytest.mark.parametrize("options", ["", "key=k ", "priority=4 "])
def test_a_body_comes_back_byte_for_byte(peer: Peer, body: str, options: str) -> None:
    assert peer.ask(f"PUT a {options}{body}") == ["OK 1"]
    key = "key=k " if "key" in options else ""
    assert peer.ask("GET a") == [f"* 1.1 a {key}{body}", "OK 1"]


@pytest.mark.parametrize("options", ["", "key=k "])
@pytest.mark.parametrize("body", ["1 ", "{} \t ", '"x "\r\t', "\r[ 1 ]", "true ", " 1"])
def test_blanks_around_a_body_are_no_part_of_it_before_and_after_a_restart(
    sim: Sim, peer: Peer, options: str, body: str
) -> None:
    assert peer.ask(f"PUT a {options}{body}") == ["OK 1"]
    expected = [f"* 1 ready {options}{body.strip()}", "OK 1"]
    assert peer.ask("LIST a") == expected
    sim.restart()
    assert sim.connect().ask("LIST a") == expected


def test_a_body_may_look_like_an_option_within_a_string(peer: Peer) -> None:
    assert peer.ask('PUT a "key=x"') == ["OK 1"]
    assert peer.ask('PUT a key="delay=9 {}" "key=x"') == ["OK 2"]
    assert peer.ask("LIST a") == ['* 1 ready "key=x"', '* 2 ready key="delay=9 {}" "key=x"', "OK 2"]


def test_all_options_of_a_put_are_kept(sim: Sim, peer: Peer) -> None:
    asked = 'PUT a delay=5 priority=9 ttl=60 dedup=d key="a b" trace=t {}'
    assert peer.ask(asked) == ["OK 1"]
    shown = "queue=a due_in=5 put_at=2027-01-15T08:00:00.000Z age=0 priority=9 deliveries=0"
    rest = 'failures=0 losses=0 ttl_left=60 key="a b" dedup=d trace=t {}'
    assert peer.ask("PEEK 1") == [f"* 1 delayed {shown} {rest}", "OK 1"]
    sim.pass_time(6)
    assert peer.ask("GET a")[0] == '* 1.1 a priority=9 key="a b" trace=t {}'


def test_a_second_put_with_the_key_answers_with_the_first_ones_id(peer: Peer) -> None:
    assert peer.ask("PUT a dedup=d 1") == ["OK 1"]
    assert peer.ask("PUT a dedup=d 2") == ["OK 1 duplicate"]
    assert peer.ask("PUT b dedup=d 3") == ["OK 2"]


@pytest.mark.parametrize("at", ["1799999999", "2027-01-15T07:59:59Z", "1969-01-01T00:00:00Z", "0"])
def test_at_in_the_past_is_now(peer: Peer, at: str) -> None:
    peer.ask(f"PUT a at={at} 1")
    assert peer.ask("GET a") == ["* 1.1 a 1", "OK 1"]


def test_at_may_be_100_years_ahead_and_no_second_more(peer: Peer) -> None:
    latest = 1_800_000_000 + 100 * 365 * 86_400
    assert peer.ask(f"PUT a at={latest} 1") == ["OK 1"]
    assert peer.ask(f"PUT a at={latest + 1} 1") == [
        "ERR limit at=2126-12-22T08:00:01.000Z, and the limit is 100 years ahead"
    ]
    assert peer.ask("LIST a") == [f"* 1 delayed due_in={100 * 365 * 86_400} 1", "OK 1"]


def test_a_put_that_is_refused_stores_nothing(peer: Peer) -> None:
    for options in ("delay=x", "delay=1 at=1", "priority=10", "at=2500-01-01T00:00:00Z"):
        assert peer.ask(f"PUT a {options} 1")[0].startswith("ERR ")
    assert peer.ask("LIST") == ["OK 0"]
    assert peer.ask("PUT a 1") == ["OK 1"]


# --- GET ----------------------------------------------------------------------------------------


def test_a_get_takes_from_its_queues_in_turn(peer: Peer) -> None:
    peer.send(b"PUT b 1\nPUT a 2\nPUT b 3\n")
    assert peer.ask("GET a,b count=9") == ["* 2.1 a 2", "* 1.2 b 1", "* 3.3 b 3", "OK 3"]


def test_a_get_of_a_queue_that_is_not_there_creates_none(peer: Peer) -> None:
    assert peer.ask("GET a,b") == ["OK 0"]
    assert peer.ask("LIST") == ["OK 0"]


def test_a_lease_is_as_long_as_asked_or_as_the_queue_says(peer: Peer) -> None:
    peer.send(b"QUEUE a lease=45\nPUT a 1\nPUT a 2\nGET a\nGET a lease=1.5m\n")
    lines = peer.ask("LIST a")
    assert [line.split()[4] for line in lines[:2]] == ["expires_in=45", "expires_in=90"]


def test_a_delivery_says_only_what_is_unusual(sim: Sim, peer: Peer) -> None:
    peer.ask("PUT a priority=4 1")
    assert peer.ask("GET a lease=1")[0] == "* 1.1 a 1"
    sim.pass_time(2)
    assert peer.ask("GET a")[0] == "* 1.2 a deliveries=2 losses=1 1"
    peer.ask("NACK 1.2 delay=0 reason=shy")
    assert peer.ask("GET a")[0] == "* 1.3 a deliveries=3 failures=1 losses=1 1"


# --- settling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["ACK", "NACK", "RELEASE", "TOUCH"])
def test_each_receipt_that_settles_nothing_is_named(peer: Peer, verb: str) -> None:
    leased(peer, 2)
    assert peer.ask(f"{verb} 1.1 2.9 7.7 2.2 1.2") == [
        "* 2.9 not-leased",
        "* 7.7 not-leased",
        "* 1.2 not-leased",
        "OK 2",
    ]


@pytest.mark.parametrize("verb", ["ACK", "NACK", "RELEASE"])
def test_a_receipt_settles_once_even_in_one_line(peer: Peer, verb: str) -> None:
    leased(peer, 1)
    assert peer.ask(f"{verb} 1.1 1.1") == ["* 1.1 not-leased", "OK 1"]


@pytest.mark.parametrize("verb", ["ACK", "NACK", "RELEASE", "TOUCH"])
def test_a_line_with_one_bad_receipt_settles_none(peer: Peer, verb: str) -> None:
    leased(peer, 2)
    assert peer.ask(f"{verb} 1.1 02.2")[0].startswith("ERR bad-receipt ")
    assert peer.ask("LIST a state=leased")[-1] == "OK 2"


@pytest.mark.parametrize("verb", ["ACK", "NACK", "RELEASE", "TOUCH"])
def test_no_receipt_settles_a_message_that_is_not_leased(peer: Peer, verb: str) -> None:
    peer.ask("PUT a 1")
    assert peer.ask(f"{verb} 1.1") == ["* 1.1 not-leased", "OK 0"]


def test_a_nack_takes_its_options_and_its_text_may_hold_an_equals_sign(peer: Peer) -> None:
    leased(peer, 1)
    assert peer.ask('NACK 1.1 delay=90s reason="code=7 of 9"') == ["OK 1"]
    assert peer.ask("LIST a") == [
        '* 1 delayed due_in=90 deliveries=1 failures=1 reason="code=7 of 9" 1',
        "OK 1",
    ]


def test_dead_yes_gives_up_at_once_and_dead_no_does_not(peer: Peer) -> None:
    leased(peer, 2)
    peer.ask("NACK 1.1 dead=yes")
    peer.ask("NACK 2.2 dead=no delay=5")
    assert peer.ask("LIST a") == [
        "* 1 dead deliveries=1 failures=1 1",
        "* 2 delayed due_in=5 deliveries=1 failures=1 2",
        "OK 2",
    ]


def test_the_reason_of_one_message_does_not_stick_to_the_next(sim: Sim, peer: Peer) -> None:
    peer.ask("QUEUE a max_failures=2 backoff=0")
    leased(peer, 1)
    peer.ask("NACK 1.1")
    peer.ask("PUT a 2")
    peer.ask("GET a count=2")
    assert peer.ask("NACK 1.2 2.3 delay=5") == ["OK 2"]
    expected = [
        '* 1 dead deliveries=2 failures=2 reason="failed too often" 1',
        "* 2 delayed due_in=5 deliveries=1 failures=1 2",
        "OK 2",
    ]
    assert peer.ask("LIST a") == expected
    sim.restart()
    assert sim.connect().ask("LIST a") == expected


def test_a_touch_makes_a_lease_longer_and_never_shorter(sim: Sim, peer: Peer) -> None:
    leased(peer, 1)
    assert peer.ask("TOUCH 1.1 lease=1s") == ["OK 1"]
    assert "expires_in=30" in peer.ask("LIST a")[0]
    sim.pass_time(10)
    assert peer.ask("TOUCH 1.1") == ["OK 1"]
    assert "expires_in=30" in peer.ask("LIST a")[0]


# --- PEEK ---------------------------------------------------------------------------------------


def test_peek_tells_everything_in_every_state(sim: Sim, peer: Peer) -> None:
    peer.ask("QUEUE a retain=1h")
    peer.ask("PUT a 1")
    rest = "put_at=2027-01-15T08:00:00.000Z age={} priority=4 deliveries={} failures={} losses=0"
    assert peer.ask("PEEK 1")[0] == f"* 1 ready queue=a {rest.format(0, 0, 0)} 1"
    peer.ask("GET a")
    sim.pass_time(2.5)
    asked = peer.ask("PEEK 1")[0]
    assert asked == f"* 1 leased queue=a receipt=1.1 expires_in=27.5 {rest.format(2.5, 1, 0)} 1"
    peer.ask("NACK 1.1 delay=0 reason=r")
    peer.ask("GET a")
    peer.ask("ACK 1.2")
    asked = peer.ask("PEEK 1")[0]
    assert asked == f"* 1 done queue=a kept_for=3600 {rest.format(2.5, 2, 1)} reason=r 1"


def test_peek_of_a_message_that_is_gone_says_so(peer: Peer) -> None:
    leased(peer, 1)
    peer.ask("ACK 1.1")
    assert peer.ask("PEEK 1") == ["ERR not-found there is no message 1"]


def test_leases_that_run_out_together_come_back_in_the_order_of_their_ids(
    sim: Sim, peer: Peer
) -> None:
    peer.ask("QUEUE a requeue=back")
    leased(peer, 50)
    sim.pass_time(31)
    rows = peer.ask("GET a count=50")
    assert [int(row.split()[-1]) for row in rows[:-1]] == list(range(1, 51))

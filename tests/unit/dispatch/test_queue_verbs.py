"""The verbs of whole queues, as they are asked and answered."""

import pytest

from qserver.config import Limits
from tests.sim import Peer, Sim

SETTINGS = (
    "lease=30 max_failures=10 max_losses=10 backoff=1 backoff_factor=2 backoff_max=300"
    " requeue=front dedup_window=300 ttl=0 expired=drop retain=0 max_messages=0 max_bytes=0"
)


@pytest.fixture
def sim() -> Sim:
    return Sim()


@pytest.fixture
def peer(sim: Sim) -> Peer:
    return sim.connect()


def every_state(peer: Peer) -> None:
    """Let the queue `a` have 1 dead, 2 done, 3 leased, 4 ready and 5 delayed."""
    peer.send(
        b"QUEUE a retain=1m\n"
        + b"".join(b"PUT a %d\n" % number for number in range(1, 5))
        + b"PUT a delay=1m key=k 5\n"
        + b"GET a count=3\nNACK 1.1 dead=yes\nACK 2.2\n"
    )


# --- LIST ---------------------------------------------------------------------------------------


def test_list_tells_how_many_messages_are_in_each_state(sim: Sim, peer: Peer) -> None:
    every_state(peer)
    sim.pass_time(2.5)
    peer.ask("PAUSE b")
    sim.connect().send(b"GET b wait=5\n")
    assert peer.ask("LIST") == [
        "* a ready=1 leased=1 delayed=1 dead=1 done=1 bytes=5 oldest=2.5",
        "* b ready=0 leased=0 delayed=0 dead=0 done=0 bytes=0 oldest=0 paused=yes waiting=1",
        "OK 2",
    ]


def test_list_tells_what_a_state_has_of_its_own(peer: Peer) -> None:
    every_state(peer)
    assert peer.ask("LIST a") == [
        "* 1 dead deliveries=1 failures=1 1",
        "* 2 done kept_for=60 deliveries=1 2",
        "* 3 leased receipt=3.3 expires_in=30 deliveries=1 3",
        "* 4 ready 4",
        "* 5 delayed due_in=60 key=k 5",
        "OK 5",
    ]


@pytest.mark.parametrize(
    ("state", "ids"),
    [
        ("ready", [4]),
        ("leased", [3]),
        ("delayed", [5]),
        ("dead", [1]),
        ("done", [2]),
        ("done,dead", [1, 2]),
        ("ready,leased,delayed,dead,done", [1, 2, 3, 4, 5]),
        ("dead,dead", [1]),
    ],
)
def test_list_and_purge_take_one_state_or_several(peer: Peer, state: str, ids: list[int]) -> None:
    every_state(peer)
    rows = peer.ask(f"LIST a state={state}")
    assert [int(row.split()[1]) for row in rows[:-1]] == ids
    assert peer.ask(f"PURGE a state={state}") == [f"OK {len(ids)}"]
    assert peer.ask("LIST a")[-1] == f"OK {5 - len(ids)}"


def test_list_finds_by_key(peer: Peer) -> None:
    every_state(peer)
    assert peer.ask("LIST a key=k") == ["* 5 delayed due_in=60 key=k 5", "OK 1"]
    assert peer.ask('LIST a key="k"') == ["* 5 delayed due_in=60 key=k 5", "OK 1"]
    assert peer.ask("LIST a key=x") == ["OK 0"]


def test_list_goes_page_by_page_over_messages(peer: Peer) -> None:
    for number in range(1, 6):
        peer.ask(f"PUT a {number}")
    assert peer.ask("LIST a count=2") == ["* 1 ready 1", "* 2 ready 2", "OK 2 next=2"]
    assert peer.ask("LIST a count=2 after=2") == ["* 3 ready 3", "* 4 ready 4", "OK 2 next=4"]
    assert peer.ask("LIST a count=2 after=4") == ["* 5 ready 5", "OK 1"]
    assert peer.ask("LIST a after=9999999999999999999") == ["OK 0"]


def test_list_goes_page_by_page_over_queues(peer: Peer) -> None:
    for name in "cab":
        peer.ask(f"PAUSE {name}")
    assert [row.split()[:3] for row in peer.ask("LIST count=2")] == [
        ["*", "a", "ready=0"],
        ["*", "b", "ready=0"],
        ["OK", "2", "next=b"],
    ]
    assert [row.split()[1] for row in peer.ask("list after=b count=2")] == ["c", "1"]


def test_list_without_a_count_shows_100(peer: Peer) -> None:
    peer.send(b"PUT a 1\n" * 101)
    assert peer.ask("LIST a")[-1] == "OK 100 next=100"


def test_list_without_a_count_keeps_to_a_count_max_below_that() -> None:
    peer = Sim(Limits(count_max=2)).connect()
    peer.send(b"PUT a 1\nPUT a 1\nPUT a 1\n")
    assert peer.ask("LIST a")[-1] == "OK 2 next=2"
    peer.send(b"PAUSE b\nPAUSE c\n")
    assert peer.ask("LIST")[-1] == "OK 2 next=b"


def test_a_page_may_be_empty_and_still_say_next() -> None:
    peer = Sim(Limits(list_scan_max=3)).connect()
    peer.send(b"PUT a 1\n" * 4 + b"PUT a key=k 5\n")
    assert peer.ask("LIST a key=k") == ["OK 0 next=3"]
    assert peer.ask("LIST a key=k after=3") == ["* 5 ready key=k 5", "OK 1"]


def test_a_reply_of_large_bodies_is_cut_but_never_to_nothing() -> None:
    peer = Sim(Limits(reply_bytes_max=10)).connect()
    for body in (b"1" * 30, b"2" * 4, b"3" * 4, b"4" * 4):
        peer.send(b"PUT a %b\n" % body)
    assert peer.ask("LIST a")[-1] == "OK 1 next=1"
    assert peer.ask("LIST a after=1")[-1] == "OK 3"
    assert peer.ask("GET a count=4")[-1] == "OK 1"
    assert peer.ask("GET a count=4")[-1] == "OK 3"


# --- QUEUE, PAUSE, RESUME ---------------------------------------------------------------------


def test_queue_creates_and_shows_the_defaults(peer: Peer) -> None:
    assert peer.ask("QUEUE a") == [f"* a {SETTINGS}", "OK 1"]
    assert peer.ask("LIST")[-1] == "OK 1"


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("lease=1m", "lease=60"),
        ("max_failures=0", "max_failures=0"),
        ("max_losses=3", "max_losses=3"),
        ("backoff=500ms", "backoff=0.5"),
        ("backoff_factor=1.5", "backoff_factor=1.5"),
        ("backoff_max=1h", "backoff_max=3600"),
        ("requeue=back", "requeue=back"),
        ("dedup_window=1d", "dedup_window=86400"),
        ("ttl=1h", "ttl=3600"),
        ("expired=dead", "expired=dead"),
        ("retain=2h", "retain=7200"),
        ("max_messages=1000000000000000", "max_messages=1000000000000000"),
        ("max_bytes=5", "max_bytes=5"),
    ],
)
def test_a_setting_is_changed_alone_and_stays(
    sim: Sim, peer: Peer, setting: str, shown: str
) -> None:
    name = shown.partition("=")[0]
    words = [shown if word.startswith(f"{name}=") else word for word in SETTINGS.split()]
    assert peer.ask(f"QUEUE a {setting}") == [f"* a {' '.join(words)}", "OK 1"]
    sim.restart()
    assert sim.connect().ask("QUEUE a") == [f"* a {' '.join(words)}", "OK 1"]


def test_a_queue_line_with_one_wrong_setting_changes_nothing(peer: Peer) -> None:
    assert peer.ask("QUEUE a lease=60 max_messages=-1")[0].startswith("ERR bad-request ")
    assert peer.ask("LIST") == ["OK 0"]


def test_pause_and_resume_say_whether_they_changed_anything(peer: Peer) -> None:
    asked = ("RESUME a", "PAUSE a", "PAUSE a", "RESUME a", "RESUME a")
    assert [peer.ask(line) for line in asked] == [["OK 0"], ["OK 1"], ["OK 0"], ["OK 1"], ["OK 0"]]


def test_what_is_leased_can_be_settled_in_a_paused_queue(peer: Peer) -> None:
    peer.send(b"PUT a 1\nGET a\nPAUSE a\n")
    assert peer.ask("PUT a 2") == ["OK 2"]
    assert peer.ask("GET a") == ["OK 0"]
    assert peer.ask("ACK 1.1") == ["OK 1"]


# --- PURGE, DROP, REDRIVE -----------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["PURGE a", "DROP a"])
def test_purge_and_drop_remove_all_and_void_the_receipts(peer: Peer, asked: str) -> None:
    every_state(peer)
    assert peer.ask(asked) == ["OK 5"]
    assert peer.ask("ACK 3.3") == ["* 3.3 not-leased", "OK 0"]
    assert peer.ask("LIST a") == ["OK 0"]


def test_purge_keeps_the_queue_and_drop_does_not(peer: Peer) -> None:
    peer.ask("QUEUE a lease=60")
    peer.ask("PUT a dedup=d 1")
    peer.ask("PURGE a")
    assert "lease=60" in peer.ask("QUEUE a")[0]
    assert peer.ask("PUT a dedup=d 1") == ["OK 1 duplicate"]
    peer.ask("DROP a")
    assert peer.ask("PUT a dedup=d 1") == ["OK 2"]
    assert "lease=30" in peer.ask("QUEUE a")[0]


@pytest.mark.parametrize("asked", ["PURGE x", "DROP x", "REDRIVE x", "PURGE x state=dead"])
def test_a_queue_that_is_not_there_is_an_empty_one(peer: Peer, asked: str) -> None:
    assert peer.ask(asked) == ["OK 0"]
    assert peer.ask("LIST") == ["OK 0"]


@pytest.mark.parametrize(
    ("options", "count", "queue"),
    [
        ("", 3, "a"),
        ("count=2", 2, "a"),
        ("reason=smtp*", 2, "a"),
        ('reason="smtp: 5??"', 1, "a"),
        ("reason=smtp", 0, "a"),
        ("reason=SMTP*", 0, "a"),
        ("reason=*[k-m]", 1, "a"),
        ("to=b", 3, "b"),
    ],
)
def test_redrive_takes_the_dead_by_reason_and_count(
    peer: Peer, options: str, count: int, queue: str
) -> None:
    for number, reason in enumerate(("smtp: 550", "smtp: refused", "disk full"), 1):
        peer.ask(f"PUT a {number}")
        peer.ask("GET a")
        peer.ask(f'NACK {number}.{number} dead=yes reason="{reason}"')
    assert peer.ask(f"REDRIVE a dry=yes {options}") == [f"OK {count}"]
    assert peer.ask("LIST a state=dead")[-1] == "OK 3"
    assert peer.ask(f"REDRIVE a dry=no {options}") == [f"OK {count}"]
    assert peer.ask(f"LIST {queue} state=ready")[-1] == f"OK {count}"


# --- HELP and STATS -----------------------------------------------------------------------------


def test_help_lists_every_verb_and_tells_of_one_in_any_case(peer: Peer) -> None:
    rows = peer.ask("HELP")
    assert rows[-1] == f"OK {len(rows) - 1}" == "OK 24"
    assert peer.ask("help ping") == ["* PING -- OK", "OK 1"]


def test_stats_counts_what_there_is_and_what_was_done(peer: Peer) -> None:
    every_state(peer)
    rows = peer.ask("STATS")
    figures = dict(row.removeprefix("* ").split("=") for row in rows[:-1])
    assert rows[-1] == f"OK {len(figures)}"
    expected = {"queues": "1", "messages": "5", "ready": "1", "dead": "1", "puts_total": "5"}
    assert {name: figures[name] for name in expected} == expected
    assert figures["sync"] == "always"

"""Garbage in: a documented answer out, no other exception, the same however it is split."""

import re
from collections.abc import Iterator

import pytest

from qserver.config import Limits
from tests.conformance.specification import error_codes
from tests.fuzz.garbage import noise, pieces, talk
from tests.sim import Peer, Sim

CODES = "|".join(error_codes())
REPLY = re.compile(rf"(?:\* [^\n]+\n)*(?:OK(?: [^ \n]+)*|ERR (?:{CODES}) [^\n]+)\n")
AGES = re.compile(r" (?:age|due_in|expires_in|ttl_left|kept_for|oldest)=[0-9.]+")

QUICK, SLOW = range(60), range(1000, 6000)

# A test of its own for each seed would take longer to be run by pytest than to play.
TENS = pytest.mark.parametrize("ten", [range(at, at + 10) for at in QUICK[::10]], ids=str)


def replies(answer: bytes) -> Iterator[str]:
    """The replies in an answer, each checked to be grammatical."""
    text, at = answer.decode(), 0
    while at < len(text):
        match = REPLY.match(text, at)
        assert match is not None, text[at:]
        yield match[0]
        at = match.end()


def check_talk(seed: int, lines: int) -> None:
    """One reply to each line, in a conversation that changes what is there, while time passes."""
    sim = Sim()
    peer = sim.connect()
    for number, line in enumerate(talk(seed, lines)):
        if peer.is_closed:
            peer = sim.connect()
        answer = peer.send(line + b"\n")
        if peer.conversation.is_waiting:
            sim.pass_time(5)
            answer += peer.take()
            while peer.conversation.is_waiting:  # a ruined wait may be long
                sim.pass_time(3600)
                answer += peer.take()
        came = list(replies(answer))
        assert len(came) <= 1, line
        if not came:
            assert not line.strip(b" \t\r") or line.startswith(b"#"), line
        sim.pass_time(number % 3 * 0.4)
    check_restart(sim)


def check_restart(sim: Sim) -> None:
    """What is there is there again after a crash."""
    before = everything(sim.connect(), list(sim.broker.names), list(sim.broker.messages))
    names, ids = list(sim.broker.names), list(sim.broker.messages)
    sim.restart()
    assert everything(sim.connect(), names, ids) == before


def everything(peer: Peer, names: list[str], ids: list[int]) -> list[str]:
    asked = [f"PEEK {number}" for number in ids] + [f"LIST {name} count=1000" for name in names]
    return [AGES.sub("", line) for one in asked for line in peer.ask(one)]


def check_split(seed: int, data: bytes) -> None:
    """However the bytes come, the answer is the same."""
    expected = heard_out([data])
    assert heard_out(pieces(seed, data)) == expected
    assert list(replies(expected))


def heard_out(data: list[bytes]) -> bytes:
    """All that is answered to these pieces, which come at one time."""
    peer = Sim(Limits(line_bytes_max=500)).connect()
    answer = b"".join([peer.send(piece) for piece in data])
    while peer.conversation.is_waiting:
        peer.sim.pass_time(60)
        answer += peer.take()
    return answer + peer.end_input()


@TENS
def test_a_ruined_talk_gets_one_documented_reply_to_each_line(ten: range) -> None:
    for seed in ten:
        check_talk(seed, 60)


@TENS
def test_a_talk_gets_the_same_replies_however_it_is_split(ten: range) -> None:
    for seed in ten:
        check_split(seed, b"".join(line + b"\n" for line in talk(seed, 40)))


@TENS
def test_noise_gets_documented_replies_however_it_is_split(ten: range) -> None:
    for seed in ten:
        check_split(seed, noise(seed, 2000) + b"\n")


@TENS
def test_noise_ahead_of_a_request_does_not_change_what_it_does(ten: range) -> None:
    for seed in ten:
        check_request_behind_noise(seed)


def check_request_behind_noise(seed: int) -> None:
    peer = Sim().connect()
    for line in noise(seed, 1000).split(b"\n"):
        list(replies(peer.send(line + b"\n")))
        peer = peer.sim.connect() if peer.is_closed else peer
    peer.ask("DROP fresh")
    assert peer.ask("PUT fresh 1")[0].startswith("OK ")
    assert peer.ask("GET fresh")[-1] == "OK 1"


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(SLOW.start, SLOW.stop, 100))
def test_long_ruined_talks_and_noise(hundred: int) -> None:
    for seed in range(hundred, hundred + 100):
        check_talk(seed, 100)
        check_split(seed, b"".join(line + b"\n" for line in talk(seed, 100)))
        check_split(seed, noise(seed, 5000) + b"\n")

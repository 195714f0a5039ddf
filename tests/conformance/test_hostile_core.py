"""The hostile table against the core: one documented answer, nothing done, and it goes on."""

import re

import pytest

from tests.conformance.hostile import CASES, LINE_MAX, Case
from tests.conformance.specification import error_codes
from tests.sim import Sim

ANSWER = re.compile(r"ERR ([a-z-]+) (\S.*)")
CODES = error_codes()

refused = [case for case in CASES if case.code != "OK"]
accepted = [case for case in CASES if case.code == "OK"]


def test_the_cases_have_names_of_their_own() -> None:
    names = [case.sent for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", refused, ids=lambda case: case.name)
def test_what_is_wrong_is_refused_with_one_documented_line(case: Case) -> None:
    sim = Sim()
    peer = sim.connect()
    answer = peer.send(case.sent).decode()
    assert answer.endswith("\n")
    assert len(answer.encode()) < 512
    match = ANSWER.fullmatch(answer[:-1])
    assert match is not None, answer
    assert match[1] == case.code, answer
    assert [word for word in case.says if word not in match[2]] == [], answer
    assert answer[:-1].isprintable()
    assert peer.is_closed is case.closes
    assert case.closes is ("*closes*" in CODES[case.code])
    assert (len(sim.broker.messages), sim.broker.sessions) == (0, {})
    assert sim.store.position == 1
    assert peer.send(b"PING\n") == (b"" if case.closes else b"OK\n")


@pytest.mark.parametrize("case", accepted, ids=lambda case: case.name)
def test_what_is_unusual_but_right_is_done(case: Case) -> None:
    peer = Sim().connect()
    answer = peer.send(case.sent).decode().splitlines()
    assert answer[-1].split()[0] == "OK", answer
    assert len(answer) <= 2
    assert peer.send(b"PING\n") == b"OK\n"


@pytest.mark.parametrize("piece_bytes", [1 << 16, LINE_MAX, LINE_MAX + 1])
def test_100_mb_without_an_end_are_not_kept(piece_bytes: int) -> None:
    peer = Sim().connect()
    piece = b"x" * piece_bytes
    answers = [peer.send(piece) for _ in range(100_000_000 // piece_bytes)]
    assert b"".join(answers).startswith(b"ERR too-long ")
    assert b"".join(answers).count(b"\n") == 1
    assert peer.is_closed
    assert peer.conversation._reader.held_bytes <= LINE_MAX + 2

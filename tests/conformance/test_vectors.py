"""The vectors, against the core; `vectors/README.md` says what stands in them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from qserver.errors import RequestError
from qserver.wire.words import read_text, text
from tests.conformance.transcripts import matches
from tests.sim import Sim

FOLDER = Path(__file__).parent / "vectors"
TALKS = ("lines", "bodies", "options", "names_and_receipts", "order", "outcomes")

DELIVERY = re.compile(
    r'\* (?P<receipt>\S+) (?P<queue>\S+)(?P<options>(?: [a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^ "]*))*)'
    r" (?P<json>.*)"
)
OPTION = re.compile(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]*)')


def load(name: str) -> dict[str, Any]:
    vectors: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return vectors


CASES = [
    pytest.param(case, id=f"{name}: {case['name']}")
    for name in TALKS
    for case in load(name)["cases"]
]


def sent(step: dict[str, Any]) -> bytes:
    return bytes.fromhex(step["send_hex"]) if "send_hex" in step else step["send"].encode()


def check(expected: list[str], answer: bytes) -> None:
    lines = answer.decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(expected), lines
    for pattern, line in zip(expected, lines, strict=True):
        assert matches(pattern, line), f"not {pattern!r} but {line!r}"


@pytest.mark.parametrize("case", CASES)
def test_the_core_answers_as_the_vectors_say(case: dict[str, Any]) -> None:
    peer = Sim().connect()
    for step in case["talk"]:
        check(step["receive"], peer.send(sent(step)))
    assert peer.is_closed is case.get("closes", False)


@pytest.mark.parametrize("case", CASES)
def test_a_byte_at_a_time_is_answered_the_same(case: dict[str, Any]) -> None:
    peer = Sim().connect()
    for step in case["talk"]:
        data = sent(step)
        answer = b"".join([peer.send(data[at : at + 1]) for at in range(len(data))])
        check(step["receive"], answer)


def test_a_case_is_named_once_in_its_file() -> None:
    for name in TALKS:
        names = [case["name"] for case in load(name)["cases"]]
        assert len(set(names)) == len(names), name


def test_every_file_of_the_folder_is_played() -> None:
    found = {path.stem for path in FOLDER.glob("*.json")}
    assert found == {*TALKS, "words", "deliveries"}


@pytest.mark.parametrize("pair", load("words")["written"])
def test_a_text_is_written_and_read_as_the_vectors_say(pair: dict[str, str]) -> None:
    assert text(pair["text"]).decode() == pair["word"]
    assert read_text("key", pair["word"].encode()) == pair["text"]


@pytest.mark.parametrize("pair", load("words")["read"])
def test_a_word_is_read_as_the_vectors_say(pair: dict[str, str]) -> None:
    assert read_text("key", pair["word"].encode()) == pair["text"]


@pytest.mark.parametrize("word", load("words")["refused"])
def test_a_word_that_is_no_text_is_refused(word: str) -> None:
    with pytest.raises(RequestError, match="is no text"):
        read_text("key", word.encode())


@pytest.mark.parametrize("delivery", load("deliveries")["deliveries"], ids=lambda d: d["line"])
def test_a_delivery_is_taken_apart_as_the_vectors_say(delivery: dict[str, Any]) -> None:
    match = DELIVERY.fullmatch(delivery["line"])
    assert match is not None
    options = {
        name: read_text(name, word.encode()) for name, word in OPTION.findall(match["options"])
    }
    assert (match["receipt"], match["queue"], options, match["json"]) == (
        delivery["receipt"],
        delivery["queue"],
        delivery["options"],
        delivery["json"],
    )

"""protocol.md's tables beside the code's: nothing may stand in one of them only."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import qserver
from qserver.broker.message import STATES
from qserver.broker.queue import DEFAULTS, Settings
from qserver.config import (
    DURATION_S_MAX,
    GRACE_S_DEFAULT,
    GRACE_S_MAX,
    LEASE_S_MIN,
    NESTING_MAX,
    PRIORITY_DEFAULT,
    PRIORITY_MAX,
    PROGRESS_BYTES_MAX,
    QUEUES_PER_GET_MAX,
    REASON_BYTES_MAX,
    STRANGER_LINE_BYTES_MAX,
    STRANGER_REQUESTS_MAX,
    STRANGER_S_MAX,
    STRANGERS_MAX,
    TEXT_BYTES_MAX,
    TRACE_BYTES_MAX,
    YEAR_S,
    Config,
    Limits,
)
from qserver.dispatch.grammar import Grammar
from qserver.dispatch.verbs import VERBS
from qserver.wire.words import number
from tests.conformance.specification import error_codes, section, table, verbs
from tests.sim import Sim

LIMITS = Limits()


def code_words() -> Iterator[str]:
    """The word of every error that the package raises or writes."""
    for path in Path(qserver.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("RequestError", "FramingError")
            ):
                yield ast.literal_eval(node.args[0])
            elif isinstance(node, ast.Constant) and isinstance(node.value, bytes):
                found = re.match(rb"ERR ([a-z-]+) .", node.value)
                if found:
                    yield found[1].decode()


def test_every_error_that_can_be_raised_is_documented_and_the_reverse() -> None:
    assert sorted(set(code_words())) == sorted(error_codes())


def test_every_verb_is_documented_and_the_reverse_in_the_same_order() -> None:
    assert list(verbs()) == [name.decode() for name in VERBS]


@pytest.mark.parametrize("name", verbs())
def test_help_and_protocol_md_write_a_verb_in_the_same_form(name: str) -> None:
    forms = re.findall(rf"`({name}[^`]*)`", verbs()[name])
    written = [re.sub(r"\s+", " ", form.replace("…", "...")) for form in forms]
    for form in VERBS[name.encode()].form.split(" | "):
        assert form in written, f"{form!r} is not in {written}"


@pytest.mark.parametrize(
    ("form", "options"),
    [
        (form, options)
        for form, options in (
            ("PUT <queue>", Grammar(LIMITS).put),
            ("GET <queue>", Grammar(LIMITS).get),
            ("DONE <receipt>", Grammar(LIMITS).done),
            ("NACK <receipt>", Grammar(LIMITS).nack),
            ("RELEASE <receipt>", Grammar(LIMITS).release),
            ("TOUCH <receipt>", Grammar(LIMITS).touch),
            ("TOUCH *", Grammar(LIMITS).touch),
            ("RESULT <id>", Grammar(LIMITS).result),
            ("LEASES [", Grammar(LIMITS).leases),
            ("LIST [", Grammar(LIMITS).list_queues),
            ("LIST <queue>", Grammar(LIMITS).list_messages),
            ("PURGE <queue>", Grammar(LIMITS).purge),
            ("REDRIVE <queue>", Grammar(LIMITS).redrive),
            ("CLIENTS [", Grammar(LIMITS).clients),
            ("HELLO", Grammar(LIMITS).hello),
        )
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_verb_takes_the_options_of_its_documented_form(
    form: str, options: dict[bytes, object]
) -> None:
    name = form.split(maxsplit=1)[0]
    written = re.search(rf"`({re.escape(form)}[^`]*)`", verbs()[name])
    assert written is not None
    assert sorted(re.findall(r"\[([a-z_]+)=", written[1])) == sorted(o.decode() for o in options)


def test_the_options_of_a_put_are_explained() -> None:
    explained = [row[0].strip("`") for row in table("PUT")]
    assert explained == [name.decode() for name in Grammar(LIMITS).put]


def test_every_queue_setting_is_documented_with_its_default() -> None:
    written = [(row[0].strip("`"), row[1].strip("`")) for row in table("Queue settings")]
    assert written == [
        (field.name, value if isinstance(value, str) else number(value))
        for field in fields(Settings)
        for value in [getattr(DEFAULTS, field.name)]
    ]


def test_every_setting_is_in_the_grammar_and_shown_by_queue() -> None:
    shown = Sim().connect().ask("QUEUE jobs")[0]
    names = [field.name for field in fields(Settings)]
    assert [name.decode() for name in Grammar(LIMITS).queue] == names
    assert re.findall(r"([a-z_]+)=", shown) == names


def test_every_limit_is_documented_with_its_default() -> None:
    assert LIMITS.wait_s_max == 3600
    assert LIMITS.lease_s_max == 12 * 3600
    assert (LEASE_S_MIN, GRACE_S_MAX) == (0.05, 3600)
    assert DURATION_S_MAX == 100 * YEAR_S
    assert [(default, setting) for _, default, setting in table("Limits")] == [
        (f"{LIMITS.line_bytes_max:,}", "`line_bytes_max`"),
        (f"{NESTING_MAX}", ""),
        (f"{LIMITS.count_max:,}", "`count_max`"),
        (f"{LIMITS.reply_bytes_max:,}", "`reply_bytes_max`"),
        ("1 h", "`wait_max`"),
        ("50 ms to 12 h", "`lease_max`"),
        ("0 to 1 h", ""),
        ("100 years", ""),
        (f"{TEXT_BYTES_MAX} bytes", ""),
        (f"{TRACE_BYTES_MAX:,} bytes", ""),
        (f"{REASON_BYTES_MAX:,} bytes", ""),
        (f"{PROGRESS_BYTES_MAX:,} bytes", ""),
        (f"{QUEUES_PER_GET_MAX}", ""),
        (f"{LIMITS.queues_max:,}", "`queues_max`"),
        (f"{Config().connections_max:,}, and below the limit on open files", "`connections_max`"),
        ("half of the machine's", "`memory_bytes_max`"),
    ]


def test_the_defaults_in_the_text_are_those_of_the_code() -> None:
    assert f"0 to {PRIORITY_MAX} | default {PRIORITY_DEFAULT};" in section("PUT")
    assert f"[grace={number(GRACE_S_DEFAULT)}s]" in section("HELLO")


def test_what_a_stranger_may_use_up_is_documented() -> None:
    said = section("Tokens")
    kib = STRANGER_LINE_BYTES_MAX >> 10
    for words in (
        f"{STRANGER_S_MAX:g} s and {STRANGER_REQUESTS_MAX} requests",
        f"{kib} KiB for a line",
        f"Past {STRANGERS_MAX} such connections",
    ):
        assert words in said


def test_every_state_is_documented() -> None:
    written = [row[0].strip("`") for row in table("The life of a message")]
    assert sorted(written) == sorted(STATES)


def test_a_reply_s_options_are_named_in_the_verb_s_section() -> None:
    sim = Sim()
    peer = sim.connect()
    peer.ask("HELLO session=s")
    peer.ask("QUEUE jobs retain=1h max_failures=1")
    for options in ("key=k dedup=d trace=t ttl=1h priority=9", "delay=1h", "", "", "key=k"):
        peer.ask(f"PUT jobs {options} 1")
    peer.ask("GET jobs count=4")
    peer.ask("PROGRESS 1.1 0.5")
    peer.ask("NACK 1.1 reason=r")
    peer.ask("ACK 3.2")
    peer.ask("PAUSE jobs")
    sim.connect().ask("GET jobs wait=1")
    sim.connect().ask("RESULT 2 wait=1")
    for verb, asked in (
        ("LIST", "LIST"),
        ("LIST", "LIST jobs"),
        ("LEASES", "LEASES"),
        ("CLIENTS", "CLIENTS"),
        ("RESULT", "RESULT 1"),
        ("HELLO", "HELLO"),
        ("PEEK", "PEEK 1"),
        ("GET", "RESUME jobs\nGET jobs count=9"),
    ):
        named = section(verb) + (section("LIST") if verb == "PEEK" else "")
        for line in peer.send(f"{asked}\n".encode()).decode().splitlines():
            for name in re.findall(r" ([a-z_]+)=", line.split(" {")[0]):
                assert f"{name}=" in named or f"`{name}`" in named, f"{verb}: {name} in {line}"

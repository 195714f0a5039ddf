"""The requests of protocol.md's transcripts, written again by the client's encoders."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from qclient import queues, verbs
from qclient.message import Delivery
from qclient.replies import Request

PROTOCOL = Path(__file__).parents[2] / "protocol.md"
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
DURATIONS = {"delay", "ttl", "wait", "lease", "grace", "backoff", "retain", "dedup_window"}
COUNTS = {"count", "priority", "max_failures", "max_messages"}

Exchange = tuple[str, list[str]]


def transcripts() -> list[list[Exchange]]:
    """Each block as its requests with the lines that answered them, in the order of sending."""
    blocks = re.findall(r"```transcript.*?\n(.*?)```", PROTOCOL.read_text(), re.DOTALL)
    return [list(exchanges(block)) for block in blocks]


def exchanges(block: str) -> Iterator[Exchange]:
    """A reply may come after other things happened: each connection keeps its own order."""
    waiting: dict[str, list[Exchange]] = {"": [], "2": []}
    for line in filter(None, block.splitlines()):
        mark, _, text = line.partition(":")
        text = text.removeprefix(" ")
        who = mark[1:]
        if mark[0] == "C" and text and not text.startswith("#"):
            waiting[who].append((text, []))
        elif mark[0] == "S":
            exchange = waiting[who][0]
            exchange[1].append(text)
            if not text.startswith("* "):
                yield waiting[who].pop(0)
    assert not any(waiting.values()), f"requests without a reply in {block!r}"


EXCHANGES = [each for block in transcripts() for each in block]


def parsed(line: str) -> tuple[str, list[str], dict[str, str], str]:
    """Verb, arguments, options and JSON of a request, by a reading of the grammar of its own."""
    verb, _, rest = line.partition(" ")
    words: list[str] = []
    options: dict[str, str] = {}
    while rest:
        option = re.match(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)', rest)
        json_begins = verb.upper() in ("PUT", "DONE", "PROGRESS") and words and not option
        if json_begins:
            break
        if option:
            value = option[2]
            options[option[1]] = (
                msgspec.json.decode(value, type=str) if value.startswith('"') else value
            )
            rest = rest[option.end() :]
        else:
            word, _, rest = rest.partition(" ")
            words.append(word)
    return verb.upper(), words, options, rest


def meaning(line: str) -> tuple[str, list[str], dict[str, object], str]:
    """What a request says, however its durations are written."""
    verb, words, options, body = parsed(line)
    return verb, words, {name: typed(name, value) for name, value in options.items()}, body


def typed(name: str, value: str) -> object:
    """An option's value as a caller would give it."""
    match = re.fullmatch(r"([0-9.]+)(ms|s|m|h|d)?", value)
    if name in DURATIONS and match:
        return timedelta(seconds=float(match[1]) * UNITS[match[2] or "s"])
    if name in COUNTS:
        return int(value)
    return {"yes": True}.get(value, value)


def delivery(
    receipt: str, queue: str, raw: bytes, metadata: dict[str, Any] | None
) -> Delivery[Any]:
    return Delivery(receipt, queue, raw, **(metadata or {}))


def request(line: str) -> Request[Any]:
    """The same request by the client's encoders."""
    verb, words, options, body = meaning(line)
    given: dict[str, Any] = dict(options)
    if verb == "PUT":
        dedup = given.pop("dedup", None)
        raw = msgspec.Raw(body.encode())
        return verbs.put(verbs.put_head(words[0], **given), raw, dedup)
    if verb == "PROGRESS":
        return verbs.progress(words[0], msgspec.Raw(body.encode()))
    if verb == "DONE":
        return verbs.done(words[0], msgspec.Raw(body.encode()), **given)
    if verb == "GET":
        return verbs.get(words[0].split(","), delivery, **given)
    if verb == "TOUCH" and words == ["*"]:
        return verbs.touch_all(**given)
    if verb == "LIST":
        if words:
            return queues.messages(words[0], Any, **given)
        return queues.queues(**given)
    if verb == "QUEUE":
        return queues.queue(words[0], given)
    of_receipts: dict[str, Callable[..., Request[Any]]] = {
        "ACK": verbs.ack,
        "NACK": verbs.nack,
        "RELEASE": verbs.release,
        "TOUCH": verbs.touch,
    }
    if verb in of_receipts:
        return of_receipts[verb](words, **given)
    others: dict[str, Callable[..., Request[Any]]] = {
        "LEASES": queues.leases,
        "CLIENTS": queues.clients,
        "RESULT": lambda number, **more: verbs.result(int(number), Any, **more),
        "PEEK": lambda number: verbs.peek(int(number), Any),
        "PAUSE": queues.pause,
        "RESUME": queues.resume,
        "PURGE": queues.purge,
        "DROP": queues.drop,
        "REDRIVE": queues.redrive,
        "HELLO": queues.hello,
        "STATS": queues.stats,
        "PING": queues.ping,
        "HELP": queues.help_,
    }
    return others[verb](*words, **given)

"""What may stand in a request: the options of each verb, under one server's limits."""

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from qserver.broker.queue import Settings
from qserver.config import (
    DURATION_S_MAX,
    GRACE_S_MAX,
    LEASE_S_MIN,
    PRIORITY_MAX,
    REASON_BYTES_MAX,
    TEXT_BYTES_MAX,
    TRACE_BYTES_MAX,
    Limits,
)
from qserver.errors import RequestError
from qserver.wire.words import (
    check_json,
    choice_reader,
    count_reader,
    duration_reader,
    number_reader,
    read_id,
    read_name,
    shown,
    text_reader,
    time_reader,
)

Readers = dict[bytes, Callable[[bytes], Any]]

_NAMES_KEPT: Final = 100_000
_FLAG: Final = ("yes", "no")
_COUNT_MAX: Final = 10**15


class Grammar:
    """The readers of every verb's options; and of queues' names, which are remembered."""

    def __init__(self, limits: Limits) -> None:
        duration = duration_reader
        lease = {b"lease": duration("lease", LEASE_S_MIN, limits.lease_s_max)}
        delay = {b"delay": duration("delay", 0.0, DURATION_S_MAX)}
        count = {b"count": count_reader("count", limits.count_max)}
        key = {b"key": text_reader("key", TEXT_BYTES_MAX)}
        reason = {b"reason": text_reader("reason", REASON_BYTES_MAX)}
        self.count_max = limits.count_max
        self.put: Readers = {
            **delay,
            b"at": time_reader("at"),
            b"priority": count_reader("priority", PRIORITY_MAX, 0),
            b"ttl": duration("ttl", 0.0, DURATION_S_MAX),
            b"dedup": text_reader("dedup", TEXT_BYTES_MAX),
            b"dedup_window": duration("dedup_window", 0.0, DURATION_S_MAX),
            **key,
            b"trace": text_reader("trace", TRACE_BYTES_MAX),
        }
        wait = {b"wait": duration("wait", 0.0, limits.wait_s_max)}
        self.get: Readers = {**count, **wait, **lease}
        self.done: Readers = {b"retain": duration("retain", 0.0, DURATION_S_MAX)}
        self.result: Readers = wait
        self.nack: Readers = {**delay, **reason, b"dead": choice_reader("dead", _FLAG)}
        self.release: Readers = delay
        self.touch: Readers = lease
        self.leases: Readers = {**count, b"after": read_id}
        self.clients: Readers = {**count, b"after": count_reader("after", _COUNT_MAX, 0)}
        self.list_queues: Readers = {**count, b"after": read_name}
        self.list_messages: Readers = {**count, b"after": read_id, b"state": bytes, **key}
        self.purge: Readers = {b"state": bytes}
        self.redrive: Readers = {
            b"count": count_reader("count", _COUNT_MAX),
            **reason,
            b"to": read_name,
            b"dry": choice_reader("dry", _FLAG),
        }
        self.hello: Readers = {
            b"client": text_reader("client", TEXT_BYTES_MAX),
            b"session": read_name,
            b"grace": duration("grace", 0.0, GRACE_S_MAX),
            b"token": text_reader("token", TEXT_BYTES_MAX),
        }
        self.queue: Readers = _setting_readers(limits)
        self._names: dict[bytes, str] = {}

    def queue_name(self, word: bytes) -> str:
        """A queue's name; one that was checked once is not checked again.

        Raises:
            RequestError: `bad-name`.
        """
        name = self._names.get(word)
        if name is None:
            name = read_name(word)
            if len(self._names) >= _NAMES_KEPT:
                self._names.clear()
            self._names[word] = name
        return name


def _setting_readers(limits: Limits) -> Readers:
    readers: Readers = {
        b"lease": duration_reader("lease", LEASE_S_MIN, limits.lease_s_max),
        b"max_failures": count_reader("max_failures", _COUNT_MAX, 0),
        b"max_losses": count_reader("max_losses", _COUNT_MAX, 0),
        b"backoff_factor": number_reader("backoff_factor", 1.0, 100.0),
        b"requeue": choice_reader("requeue", ("front", "back")),
        b"expired": choice_reader("expired", ("drop", "dead")),
        b"max_messages": count_reader("max_messages", _COUNT_MAX, 0),
        b"max_bytes": count_reader("max_bytes", _COUNT_MAX, 0),
    }
    for name in ("backoff", "backoff_max", "dedup_window", "ttl", "retain"):
        readers[name.encode()] = duration_reader(name, 0.0, DURATION_S_MAX)
    return {field.name.encode(): readers[field.name.encode()] for field in fields(Settings)}


BLANKS: Final = b" \t"
"""What parts words: no other white space does."""

JSON_BLANKS: Final = b" \t\r"
"""What may stand around a JSON value in a line, and is no part of it."""

JSON_STARTS: Final = frozenset(b'{["-0123456789')
"""Where a JSON value begins so that no option can: `true`, `false`, `null` look like names."""

_WORD: Final = re.compile(rb"[ \t]*([^ \t]*)[ \t]*")


def split_word(rest: bytes) -> tuple[bytes, bytes]:
    """The first word, and what stands behind it and its blanks."""
    if rest.find(b" ") < 0 and rest.find(b"\t") < 0:
        return rest, b""
    match = _WORD.match(rest)
    assert match is not None
    return match[1], rest[match.end() :]


def split_receipts(rest: bytes) -> tuple[bytes, bytes]:
    """The words before the first option, and the options."""
    equals = rest.find(b"=")
    if equals < 0:
        return rest, b""
    start = max(rest.rfind(b" ", 0, equals), rest.rfind(b"\t", 0, equals)) + 1
    return rest[:start], rest[start:]


def refuse_rest(left: bytes) -> None:
    """Let nothing stand behind the options."""
    if left.strip(BLANKS):
        refuse_option(left)
        raise RequestError("bad-request", f"nothing more can stand at '{shown(left)}'")


def read_json(left: bytes, form: str) -> bytes:
    """The JSON that ends a line, whose other words have been read.

    Raises:
        RequestError: `bad-request`, `bad-json`.
    """
    value = left.strip(JSON_BLANKS)
    if not value:
        raise RequestError("bad-request", f"the JSON is missing: {form}")
    refuse_option(value)
    check_json(value)
    return value


def refuse_option(words: bytes) -> None:
    """Let an option that can't be read not be taken for anything else."""
    name, equals, _ = words.partition(b"=")
    if equals and name.replace(b"_", b"").isalpha():
        raise RequestError(
            "bad-request",
            f"'{shown(words)}' is no option: name=value, the name in lower case, "
            'the value a bare word or a JSON string ("…")',
        )

"""LIST, QUEUE, PAUSE, RESUME, PURGE, DROP, REDRIVE: the verbs of whole queues."""

from typing import Any

from qserver.broker import admin, purging, view
from qserver.broker.message import STATES
from qserver.broker.redriving import Redrive
from qserver.config import LIST_COUNT_DEFAULT
from qserver.dispatch import lines
from qserver.dispatch.client import Client
from qserver.dispatch.grammar import BLANKS, Readers, refuse_rest, split_word
from qserver.errors import RequestError
from qserver.wire.words import read_options, shown


def list_(client: Client, rest: bytes, now: float) -> bytes:
    """LIST, of queues or of a queue's messages."""
    word, _ = split_word(rest)
    if not word or b"=" in word:
        return _list_queues(client, rest, now)
    return _list_messages(client, rest, now)


def _list_queues(client: Client, rest: bytes, now: float) -> bytes:
    values, left = read_options(rest.lstrip(BLANKS), client.grammar.list_queues)
    refuse_rest(left)
    broker = client.broker
    count = values.get(b"count", min(LIST_COUNT_DEFAULT, client.grammar.count_max))
    page = view.list_queues(broker, count, values.get(b"after", ""))
    wall = broker.wall(now)
    rows = [
        lines.queue_listed(queue, wall, len(broker.waiters.get(queue.name, ())))
        for queue in page.rows
    ]
    more = () if page.more_after is None else (b"next=" + page.more_after.encode(),)
    return b"".join(rows) + lines.ok(len(rows), *more)


def _list_messages(client: Client, rest: bytes, now: float) -> bytes:
    name, values = _queue_and_options(client, rest, client.grammar.list_messages)
    broker = client.broker
    page = view.list_messages(
        broker,
        name,
        states=_read_states(values),
        key=values.get(b"key"),
        count=values.get(b"count", min(LIST_COUNT_DEFAULT, client.grammar.count_max)),
        after=values.get(b"after", 0),
    )
    wall = broker.wall(now)
    rows = [lines.listed(message, now, wall) for message in page.rows]
    more = () if page.more_after is None else (b"next=%d" % page.more_after,)
    return b"".join(rows) + lines.ok(len(rows), *more)


def queue(client: Client, rest: bytes, now: float) -> bytes:  # noqa: ARG001 - a verb's signature
    """QUEUE <name> [setting=value…]."""
    name, values = _queue_and_options(client, rest, client.grammar.queue)
    client.wrote = True
    changes = {setting.decode(): value for setting, value in values.items()}
    settings = admin.configure(client.broker, name, changes)
    return lines.settings_listed(name, settings) + lines.ok(1)


def pause(client: Client, rest: bytes, now: float) -> bytes:  # noqa: ARG001
    """PAUSE <queue>."""
    return _pause(client, rest, paused=True)


def resume(client: Client, rest: bytes, now: float) -> bytes:  # noqa: ARG001
    """RESUME <queue>."""
    return _pause(client, rest, paused=False)


def _pause(client: Client, rest: bytes, *, paused: bool) -> bytes:
    name, _ = _queue_and_options(client, rest, {})
    client.wrote = True
    return lines.ok(admin.pause(client.broker, name, paused=paused))


def purge(client: Client, rest: bytes, now: float) -> bytes | None:  # noqa: ARG001
    """PURGE <queue> [state=]; None when there is much to remove."""
    name, values = _queue_and_options(client, rest, client.grammar.purge)
    client.wrote = True
    states = _read_states(values)
    if states is None:
        states = list(range(len(STATES)))
    client.waiter = purging.begin_purge(client.broker, client, name, states)
    if client.waiter is not None:
        return None
    return lines.ok(admin.purge(client.broker, name, states))


def drop(client: Client, rest: bytes, now: float) -> bytes | None:  # noqa: ARG001
    """DROP <queue>; None when there is much to remove."""
    name, _ = _queue_and_options(client, rest, {})
    client.wrote = True
    client.waiter = purging.begin_drop(client.broker, client, name)
    if client.waiter is not None:
        return None
    return lines.ok(admin.drop(client.broker, name))


def redrive(client: Client, rest: bytes, now: float) -> bytes | None:  # noqa: ARG001
    """REDRIVE <queue> [count=] [reason=] [to=] [dry=yes]; None when there is much to do."""
    name, values = _queue_and_options(client, rest, client.grammar.redrive)
    client.wrote = True
    broker = client.broker
    chosen = broker.queues.get(name)
    if chosen is None:
        return lines.NOTHING
    return client.begin(
        Redrive(
            broker,
            client,
            chosen,
            count=values.get(b"count"),
            reason=values.get(b"reason"),
            to=values.get(b"to"),
            dry=values.get(b"dry") == "yes",
        )
    )


def _queue_and_options(
    client: Client, rest: bytes, readers: Readers
) -> tuple[str, dict[bytes, Any]]:
    word, rest = split_word(rest)
    if not word:
        raise RequestError("bad-request", "a queue's name is missing")
    name = client.grammar.queue_name(word)
    values, left = read_options(rest, readers)
    refuse_rest(left)
    return name, values


def _read_states(values: dict[bytes, Any]) -> list[int] | None:
    words: bytes | None = values.get(b"state")
    if words is None:
        return None
    states = []
    for word in words.split(b","):
        name = word.decode("ascii", "replace")
        if name not in STATES:
            raise RequestError(
                "bad-request", f"state={shown(word)} is not one of: {', '.join(STATES)}"
            )
        states.append(STATES.index(name))
    return list(dict.fromkeys(states))

"""HELLO, CLIENTS, STATS, PING, QUIT: the verbs between a client and the server itself."""

from qserver import __version__
from qserver.broker import get as getting
from qserver.broker import view
from qserver.config import GRACE_S_DEFAULT, LIST_COUNT_DEFAULT
from qserver.dispatch import lines
from qserver.dispatch.client import Client
from qserver.dispatch.grammar import BLANKS, refuse_rest
from qserver.errors import RequestError
from qserver.wire.words import number, read_options

PROTOCOL = 1


def hello(client: Client, rest: bytes, now: float) -> bytes:
    """HELLO [client=] [session=] [grace=] [token=]."""
    values, left = read_options(rest.lstrip(BLANKS), client.grammar.hello)
    refuse_rest(left)
    client.identify(values.get(b"token"))
    if b"grace" in values and b"session" not in values:
        raise RequestError("bad-request", "grace is a session's: HELLO session=<name> grace=10s")
    client.name = values.get(b"client", client.name)
    if b"session" in values:
        client.wrote = True
        grace_s = values.get(b"grace", GRACE_S_DEFAULT)
        getting.join(client.broker, now, client, values[b"session"], grace_s)
    return _greeting(client)


def _greeting(client: Client) -> bytes:
    limits = client.broker.limits
    words = f"OK server=qserver/{__version__} protocol={PROTOCOL} sync={client.about.sync}"
    session = client.session
    if session is not None:
        words += f" session={session.name} grace={number(session.grace_s)}"
        words += f" leases={len(session.leases)}"
    words += f" line_bytes_max={limits.line_bytes_max} count_max={limits.count_max}"
    words += f" wait_max={number(limits.wait_s_max)} lease_max={number(limits.lease_s_max)}\n"
    return words.encode()


def clients(client: Client, rest: bytes, now: float) -> bytes:
    """CLIENTS [count=] [after=]."""
    values, left = read_options(rest.lstrip(BLANKS), client.grammar.clients)
    refuse_rest(left)
    count = values.get(b"count", min(LIST_COUNT_DEFAULT, client.grammar.count_max))
    last = values.get(b"after", 0)
    size = client.broker.limits.reply_bytes_max
    rows: list[bytes] = []
    for seen in client.about.seen(last):
        if len(rows) == count or size <= 0:
            return b"".join(rows) + lines.ok(len(rows), b"next=%d" % last)
        rows.append(lines.connection_listed(seen, now))
        size -= len(rows[-1])
        last = seen.number
    return b"".join(rows) + lines.ok(len(rows))


def stats(client: Client, rest: bytes, now: float) -> bytes:  # noqa: ARG001 - a verb's signature
    """STATS."""
    refuse_rest(rest)
    figures = {**client.about.figures(), **view.stats(client.broker)}
    return lines.figures(figures) + lines.ok(len(figures))


def ping(client: Client, rest: bytes, now: float) -> bytes:  # noqa: ARG001
    """PING."""
    refuse_rest(rest)
    return lines.OK


def quit_(client: Client, rest: bytes, now: float) -> bytes:  # noqa: ARG001
    """QUIT."""
    refuse_rest(rest)
    client.is_leaving = True
    return lines.OK

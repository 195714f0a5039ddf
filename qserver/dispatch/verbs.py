"""The table of verbs: how each is written, and who carries it out."""

from collections.abc import Callable
from typing import Final, NamedTuple

from qserver.dispatch import lines, message_verbs, outcome_verbs, queue_verbs, server_verbs
from qserver.dispatch.client import Client
from qserver.dispatch.grammar import refuse_rest, split_word
from qserver.errors import RequestError
from qserver.wire.words import shown

Handler = Callable[[Client, bytes, float], bytes | None]
"""Takes the client, what stands behind the verb, and the time; answers the reply, or None when
the client waits for it."""


class Verb(NamedTuple):
    """One verb."""

    form: str
    tells: str
    handler: Handler


def help_(client: Client, rest: bytes, now: float) -> bytes:  # noqa: ARG001 - a verb's signature
    """HELP [<verb>]."""
    word, rest = split_word(rest)
    refuse_rest(rest)
    name = word.upper()
    if word and name not in VERBS:
        raise RequestError("unknown-verb", f"there is no verb {shown(word)}; HELP lists them")
    chosen = [VERBS[name]] if word else list(VERBS.values())
    rows = [f"* {verb.form} -- {verb.tells}\n".encode() for verb in chosen]
    return b"".join(rows) + lines.ok(len(rows))


VERBS: Final[dict[bytes, Verb]] = {
    b"PUT": Verb(
        "PUT <queue> [delay=] [at=] [priority=] [ttl=] [dedup=] [dedup_window=] [key=] [trace=] "
        "<json>",
        "store a message; OK <id>",
        message_verbs.put,
    ),
    b"GET": Verb(
        "GET <queue>[,<queue>...] [count=1] [wait=0] [lease=]",
        "lease messages; a line '* <receipt> <queue> <json>' for each",
        message_verbs.get,
    ),
    b"ACK": Verb("ACK <receipt>...", "the work is done: remove the messages", message_verbs.ack),
    b"DONE": Verb(
        "DONE <receipt> [retain=] <json>",
        "the work is done, with a result that is kept for a while",
        outcome_verbs.done,
    ),
    b"NACK": Verb(
        "NACK <receipt>... [delay=] [reason=] [dead=yes]",
        "the work failed: again after a delay, or dead",
        message_verbs.nack,
    ),
    b"RELEASE": Verb(
        "RELEASE <receipt>... [delay=]",
        "give messages back, nothing counted",
        message_verbs.release,
    ),
    b"TOUCH": Verb(
        "TOUCH <receipt>... [lease=] | TOUCH * [lease=]", "extend leases", message_verbs.touch
    ),
    b"PROGRESS": Verb(
        "PROGRESS <receipt> <json>", "say how far the work has got", outcome_verbs.progress
    ),
    b"LEASES": Verb(
        "LEASES [count=100] [after=<id>]", "what the session holds", message_verbs.leases
    ),
    b"PEEK": Verb("PEEK <id>", "one message with all its metadata", message_verbs.peek),
    b"RESULT": Verb(
        "RESULT <id> [wait=0]", "what came of a message, once it has ended", outcome_verbs.result
    ),
    b"LIST": Verb(
        "LIST [count=100] [after=<queue>] | LIST <queue> [state=] [key=] [count=100] [after=<id>]",
        "the queues, or a queue's messages",
        queue_verbs.list_,
    ),
    b"QUEUE": Verb(
        "QUEUE <name> [setting=value...]", "create or change a queue", queue_verbs.queue
    ),
    b"PAUSE": Verb("PAUSE <queue>", "let GETs find nothing", queue_verbs.pause),
    b"RESUME": Verb("RESUME <queue>", "let GETs find messages again", queue_verbs.resume),
    b"PURGE": Verb(
        "PURGE <queue> [state=]", "remove a queue's messages, or those of a state",
        queue_verbs.purge,
    ),
    b"DROP": Verb("DROP <queue>", "remove a queue with all it has", queue_verbs.drop),
    b"REDRIVE": Verb(
        "REDRIVE <queue> [count=] [reason=<glob>] [to=<queue>] [dry=yes]",
        "make dead messages ready again",
        queue_verbs.redrive,
    ),
    b"HELLO": Verb(
        "HELLO [client=] [session=] [grace=10s] [token=]",
        "say who is there; learn the server's version and limits",
        server_verbs.hello,
    ),
    b"CLIENTS": Verb(
        "CLIENTS [count=100] [after=<number>]", "who is connected", server_verbs.clients
    ),
    b"STATS": Verb("STATS", "figures of the whole server", server_verbs.stats),
    b"PING": Verb("PING", "OK", server_verbs.ping),
    b"HELP": Verb("HELP [<verb>]", "this list", help_),
    b"QUIT": Verb("QUIT", "close the connection", server_verbs.quit_),
}  # fmt: skip

"""One client's lines, in order.

A conversation takes bytes and gives replies; it touches no socket and asks no clock. Replies come
in the order of the requests: one that waits holds up the lines behind it (they stay in the
backlog), and so does a slice that has used up its turn.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from qserver.broker import get as getting
from qserver.broker.broker import Broker
from qserver.config import LONG_LINE_BYTES, STRANGER_LINE_BYTES_MAX, STRANGER_REQUESTS_MAX
from qserver.dispatch import lines, run
from qserver.dispatch.client import STRANGERS_TOLD, About, Client
from qserver.dispatch.grammar import Grammar, split_word
from qserver.dispatch.verbs import VERBS
from qserver.errors import FramingError, RequestError
from qserver.wire.framing import LineReader, without_end
from qserver.wire.words import shown

_HANDLERS: Final = {name: verb.handler for name, verb in VERBS.items()} | {
    name.lower(): verb.handler for name, verb in VERBS.items()
}
_QUICK: Final = {
    *(b"PUT", b"GET", b"ACK", b"DONE", b"NACK", b"RELEASE", b"PROGRESS", b"PEEK", b"RESULT"),
    *(b"PING", b"#"),
}
"""How lines begin that take a time in proportion to themselves and their reply.

One that begins with a blank is not among them: any verb may stand behind it.
"""

_COMMENT: Final = ord("#")

_FOR_STRANGERS: Final = {name: _HANDLERS[name] for name in (b"HELLO", b"PING", b"HELP", b"QUIT")}
"""For a client that owes its token: what tells nothing of the queues."""


class Conversation:
    """What one client says and is answered.

    Attributes:
        backlog: the lines that are heard and not answered, with their ends, besides a request that
            waits.
        backlog_bytes: bytes heard since everything was last answered.

    Args:
        woken: called when a request that waited is answered, from within a broker call: `go_on` is
            then to be called, but not from there.
    """

    __slots__ = (
        "_heard",
        "_lost_framing",
        "_reader",
        "_singly",
        "backlog",
        "backlog_bytes",
        "client",
    )

    def __init__(
        self, broker: Broker, grammar: Grammar, about: About, woken: Callable[[], None]
    ) -> None:
        self.client = Client(broker, grammar, about, woken)
        self._reader = LineReader(broker.limits.line_bytes_max)
        self.backlog: deque[bytes] = deque()
        self._lost_framing: FramingError | None = None
        self.backlog_bytes = 0
        self._heard = 0
        self._singly = 0

    @property
    def requests(self) -> int:
        """How many requests have been taken up: answered, or waiting."""
        return self._heard - len(self.backlog)

    @property
    def is_waiting(self) -> bool:
        """Whether a request waits."""
        return self.client.waiter is not None

    @property
    def is_over(self) -> bool:
        """Whether everything is answered that ever will be: the connection is to be closed."""
        client = self.client
        return client.is_leaving or (
            client.is_gone and not self.backlog and client.waiter is None and not client.late
        )

    def hear(self, data: bytes) -> None:
        """Take what the client sent; `go_on` answers it."""
        if self._lost_framing is None and not self.client.is_leaving:
            self.backlog_bytes += len(data)
            heard, self._lost_framing = self._reader.feed(data)
            self.backlog += heard
            self._heard += len(heard)

    def go_on(self, now: float, budget: int) -> bytes:
        """Answer up to `budget` lines, as far as none waits; fewer if they may take their time."""
        client = self.client
        backlog = self.backlog
        out: list[bytes] = []
        if client.late:
            out.append(client.late)
            client.late = b""
        if client.is_stranger:
            self._meet(now, out)
        handlers = _HANDLERS
        while backlog and budget > 0 and client.waiter is None and not client.is_leaving:
            if len(backlog) > 1 and backlog[0].startswith(b"PUT "):
                done = self._go_on_with_run(now, out)
                if done:
                    budget -= done
                    continue
            line = without_end(backlog.popleft())
            verb, _, rest = line.partition(b" ")
            budget = budget - 1 if verb in _QUICK else 0
            handler = handlers.get(verb)
            try:
                reply = handler(client, rest, now) if handler else self._unusual(line, now)
            except RequestError as failure:
                reply = self._refuse(line, failure)
            if reply is not None:
                out.append(reply)
                budget -= (len(line) + len(reply)) // LONG_LINE_BYTES
        if client.is_leaving or not backlog:
            backlog.clear()
            self.backlog_bytes = 0
        if self._lost_framing is not None and not backlog and client.waiter is None:
            out.append(self._part())
        return b"".join(out)

    def _go_on_with_run(self, now: float, out: list[bytes]) -> int:
        """Do the PUTs that the backlog begins with, if they can be done together; how many."""
        if self._singly:
            self._singly -= 1
            return 0
        count, reply = run.put(self.client, self.backlog, now)
        if reply:
            out.append(reply)
            return count
        self._singly = max(count - 1, 0)
        return 0

    def _meet(self, now: float, out: list[bytes]) -> None:
        """Answer a client until it has said its token. It can't use up much before that."""
        client, backlog = self.client, self.backlog
        looked = 0  # at empty lines too, of which a piece can hold 100,000
        while backlog and client.is_stranger and not client.is_leaving:
            looked += 1
            line = without_end(backlog.popleft())
            try:
                reply = self._unusual(line, now)
            except RequestError as failure:
                reply = self._refuse(line, failure)
            out.append(reply or b"")
            if client.is_stranger and max(looked, self.requests) >= STRANGER_REQUESTS_MAX:
                text = f"{STRANGER_REQUESTS_MAX} requests and no token yet"
                self._show_out(out, RequestError("unauthorized", text))
        if client.is_stranger and self._reader.held_bytes > STRANGER_LINE_BYTES_MAX:
            most = f"a line may have {STRANGER_LINE_BYTES_MAX} bytes before the token is said"
            self._show_out(out, RequestError("too-long", most))

    def _show_out(self, out: list[bytes], why: RequestError) -> None:
        """A stranger is waited for no longer."""
        if not self.client.is_leaving:
            self.client.is_leaving = True
            out.append(lines.error(why))

    def _part(self) -> bytes:
        """The framing is lost: what is said then, once."""
        assert self._lost_framing is not None
        said = b"" if self.client.is_leaving else lines.error(self._lost_framing)
        self.client.is_leaving = True
        return said

    def _unusual(self, line: bytes, now: float) -> bytes | None:
        """A line that does not begin with a verb and a space."""
        verb, rest = split_word(line)
        if not verb or line[0] == _COMMENT:
            self._heard -= 1
            return None
        handlers = _FOR_STRANGERS if self.client.is_stranger else _HANDLERS
        handler = handlers.get(verb.upper())
        if handler is None and self.client.is_stranger:
            raise RequestError("unauthorized", STRANGERS_TOLD)
        if handler is None:
            raise RequestError("unknown-verb", f"there is no verb '{shown(verb)}'; HELP lists them")
        return handler(self.client, rest, now)

    def _refuse(self, line: bytes, failure: RequestError) -> bytes:
        if _looks_like_http(line):
            self.client.is_leaving = True
            return b"ERR http this is no web server; qserver's own protocol is spoken here\n"
        return lines.error(failure)

    def stop_hearing(self) -> None:
        """The client has closed its side, or the server stops.

        What was heard is answered; a request that waits, as things stand.
        """
        client = self.client
        client.is_gone = True
        if client.waiter is not None:
            client.waiter.give_up(client.broker)

    def end(self, now: float) -> None:
        """The connection is gone."""
        client = self.client
        self.backlog.clear()
        client.is_leaving = True
        if client.waiter is not None:
            client.waiter.forget(client.broker)
            client.waiter = None
        getting.leave(client.broker, now, client)
        client.forget_waker()


def _looks_like_http(line: bytes) -> bool:
    """Whether a web page may have sent this.

    GET and PUT are HTTP's verbs too. None of its lines can be carried out, since no queue's name
    has a slash and no JSON ends in HTTP/1.1: so only lines that were refused are looked at.
    """
    return line[:5].upper() in (b"HOST:", b"POST ") or b" HTTP/" in line[-12:].upper()

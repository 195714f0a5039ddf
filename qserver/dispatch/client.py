"""What the server knows of one client, and what the client's verbs may change of it."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from qserver.broker import outcome
from qserver.broker.broker import Broker
from qserver.broker.message import Message
from qserver.broker.ongoing import Ongoing, begin
from qserver.broker.session import Session
from qserver.broker.waiter import Waiter
from qserver.dispatch import lines
from qserver.dispatch.grammar import Grammar
from qserver.dispatch.tokens import Tokens
from qserver.errors import RequestError

STRANGERS_TOLD: Final = "this server wants a token first: HELLO token=<token>"


class Seen(NamedTuple):
    """A connection, as the server sees it.

    Attributes:
        number: who connected later has the higher one.
        connected_at: monotonic second.
        heard_at: monotonic second of its last bytes.
        requests: how many of it were taken up.
    """

    number: int
    client: "Client"
    connected_at: float
    heard_at: float
    requests: int


class About(Protocol):
    """The server, as HELLO, STATS and CLIENTS tell of it."""

    @property
    def sync(self) -> str:
        """The sync policy: `always`, `never` or an interval."""
        ...

    @property
    def tokens(self) -> Tokens:
        """Who says one of them is let in."""
        ...

    def figures(self) -> dict[str, int | float | str]:
        """What STATS says besides the broker's own figures."""
        ...

    def seen(self, after: int) -> Iterator[Seen]:
        """All connections with a higher number than that, in order."""
        ...


class Client:
    """One connection's side of the talk.

    Attributes:
        wrote: whether a reply tells of a change since this was last set to False, so that the
            replies must wait until that is stored.
        is_gone: the client has closed its side, or the server stops: nothing is leased any more.
        is_leaving: it said QUIT, or lost the framing: nothing more is heard.
        is_stranger: it owes a token: nothing is done for it yet.
        is_impostor: it said a wrong one.
        waiter: the request that waits, if one does.
        late: the reply of a request that waited.
    """

    __slots__ = (
        "_woken",
        "about",
        "broker",
        "grammar",
        "is_gone",
        "is_impostor",
        "is_leaving",
        "is_stranger",
        "late",
        "name",
        "session",
        "waiter",
        "wrote",
    )

    def __init__(
        self, broker: Broker, grammar: Grammar, about: About, woken: Callable[[], None]
    ) -> None:
        self.broker = broker
        self.grammar = grammar
        self.about = about
        self._woken = woken
        self.name = ""
        self.session: Session | None = None
        self.waiter: Waiter | None = None
        self.late = b""
        self.wrote = False
        self.is_gone = False
        self.is_leaving = False
        self.is_stranger = bool(about.tokens)
        self.is_impostor = False

    def identify(self, token: str | None) -> None:
        """Take the token that its HELLO has said, if it has.

        Raises:
            RequestError: `unauthorized`: none, where one is wanted; or a wrong one, and then the
                client is leaving.
        """
        if token is None:
            if self.is_stranger:
                raise RequestError("unauthorized", STRANGERS_TOLD)
        elif token in self.about.tokens or not self.about.tokens:
            self.is_stranger = False
        else:
            self.is_leaving = self.is_impostor = True
            raise RequestError("unauthorized", "that is not this server's token")

    def delivered(self, messages: list[Message]) -> None:
        """The GET that waited is answered; the requests behind it may go on."""
        self._answer(lines.delivery(messages), reports_change=bool(messages))

    def told(self, message: Message) -> None:
        """The RESULT that waited is answered; the requests behind it may go on."""
        self._answer(lines.outcome(message), reports_change=message.state in outcome.ENDS)

    def begin(self, request: Ongoing) -> bytes | None:
        """Do the first slice of it; the reply if that was all, else None: it goes on by itself.

        Raises:
            RequestError: nothing was done.
        """
        if begin(self.broker, request):
            return lines.ok(request.count)
        self.waiter = request
        return None

    def counted(self, count: int) -> None:
        """The request that went on by itself is answered."""
        self._answer(lines.ok(count), reports_change=True)

    def _answer(self, reply: bytes, *, reports_change: bool) -> None:
        self.waiter = None
        self.late = reply
        self.wrote |= reports_change
        self._woken()

    def forget_waker(self) -> None:
        """Let go of who is to be woken: it is gone, and would stay alive in a cycle."""
        self._woken = _nobody


def _nobody() -> None:
    """Is woken in place of a connection that is gone."""

"""Every failure with a name. Each has a stable `code` and says whether trying again can help.

    qclient.Error
    ├── ReplyError          the server said no: `ERR <code> <text>`; also a code unknown here
    │   ├── UnknownVerb     unknown-verb   fix the program
    │   ├── BadRequest      bad-request    fix the program
    │   ├── BadJson         bad-json       fix the body
    │   ├── BadName         bad-name       fix the name of the queue or session
    │   ├── BadReceipt      bad-receipt    fix the program
    │   ├── OverLimit       limit          ask for less
    │   ├── NotFound        not-found      take the message as gone
    │   ├── NoSession       no-session     connect with `session=`
    │   ├── Unauthorized    unauthorized   connect with the server's token
    │   ├── Full            full           retryable: nothing was stored
    │   ├── StorageFailed   storage        retryable: unknown whether it was done
    │   ├── Busy            busy           retryable: too many connections
    │   ├── TooLong         too-long       send less
    │   └── NotSpoken       http           the line looks like HTTP
    ├── ConnectionLost      retryable: no connection came back in time
    │   ├── CannotConnect   there was none to begin with
    │   └── TimedOut        the server was silent for too long
    ├── ProtocolError       what answered doesn't speak this protocol
    ├── BadBody             a body is not of the type that was asked for
    ├── BatchError          some messages of a `put_many` were refused
    ├── Closed              the client was closed
    ├── PortTaken           a port of a worker's, or of the page, can't be listened at
    └── in `qclient.tasks`
        ├── JobFailed       a job is dead
        └── JobNotEnded     retryable, and a TimeoutError: a job was not waited for any longer

Mistakes that can be seen without the server (a queue's name with a space in it) raise the class
that the server's answer would have had, before anything is sent.
"""

from collections.abc import Sequence
from typing import ClassVar, Final


class Error(Exception):
    """The root of what this package raises on purpose.

    Attributes:
        code: stable word for programs; the text is for people.
        is_retryable: whether the same call can succeed later with nothing changed by the caller.
    """

    code: str = "error"
    is_retryable: ClassVar[bool] = False


class ReplyError(Error):
    """The server refused a request. `code` is the protocol's; the connection goes on."""

    code = "unknown"

    def __init__(self, text: str, *, code: str | None = None) -> None:
        super().__init__(text)
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.args[0]} [{self.code}]"


class UnknownVerb(ReplyError):
    """This server has no such verb: it may be older than this client."""

    code = "unknown-verb"


class BadRequest(ReplyError):
    """An argument or option is missing, left over, unknown, or can't be read."""

    code = "bad-request"


class BadJson(ReplyError):
    """The body is not exactly one JSON value, or is nested too deep."""

    code = "bad-json"


class BadName(ReplyError):
    """Not a name of a queue or session: 1 to 128 of `A-Z a-z 0-9 _ . : -`, no `.` or `-` first."""

    code = "bad-name"


class BadReceipt(ReplyError):
    """Not of a receipt's form, `<message id>.<lease number>`; nothing was done."""

    code = "bad-receipt"


class OverLimit(ReplyError):
    """A value is past one of the server's limits: the text names both."""

    code = "limit"


class NotFound(ReplyError):
    """No such message: it was acked, purged or dropped, or never was."""

    code = "not-found"


class NoSession(ReplyError):
    """`touch_all` or `leases` on a client that was connected without `session=`."""

    code = "no-session"


class Unauthorized(ReplyError):
    """The server wants a token that this client has not said, or has said another."""

    code = "unauthorized"


class Full(ReplyError):
    """The queue or the server has no room: nothing was stored."""

    code = "full"
    is_retryable = True


class StorageFailed(ReplyError):
    """The journal could not be written: whether the request was carried out is unknown."""

    code = "storage"
    is_retryable = True


class Busy(ReplyError):
    """The server has as many connections as it takes."""

    code = "busy"
    is_retryable = True


class TooLong(ReplyError):
    """A request is longer than the server's `line_bytes_max`."""

    code = "too-long"


class NotSpoken(ReplyError):
    """The server took the line for HTTP and closed the connection."""

    code = "http"


class ConnectionLost(Error):
    """No connection came back within `retry_for`, or the request can't be repeated.

    Attributes:
        maybe_done: whether the request may have been carried out although no reply was read.
    """

    code = "connection-lost"
    is_retryable = True

    def __init__(self, text: str, *, maybe_done: bool = False) -> None:
        super().__init__(text)
        self.maybe_done: Final = maybe_done


class CannotConnect(ConnectionLost):
    """Nothing answered where the server should be."""

    code = "cannot-connect"


class TimedOut(ConnectionLost):
    """The server took the request and was silent for longer than `timeout`."""

    code = "timed-out"


class ProtocolError(Error):
    """What answered does not speak this protocol: a wrong port, or a fault of one of the two."""

    code = "protocol"


class BadBody(Error):
    """A message's body is not of the type that was asked for. Its bytes are in `message.raw`."""

    code = "bad-body"


class Closed(Error):
    """The client was closed before the reply came; the request may have been carried out."""

    code = "closed"


class PortTaken(Error):
    """A port can't be listened at: of a worker's health or metrics, or of the page."""


class BatchError(Error):
    """Some messages of a `put_many` were refused; the others are stored.

    Attributes:
        outcomes: for each message in order, its id or the error it was refused with.
        first: index of the first refused one; `code` is its error's.
    """

    def __init__(self, outcomes: Sequence["int | ReplyError"]) -> None:
        refused = [(i, item) for i, item in enumerate(outcomes) if isinstance(item, ReplyError)]
        self.outcomes: Final = list(outcomes)
        self.first: Final = refused[0][0]
        self.cause: Final = refused[0][1]
        self.code = self.cause.code
        super().__init__(
            f"{len(refused)} of {len(outcomes)} messages were refused; "
            f"the first is number {self.first + 1}: {self.cause}"
        )


BY_CODE: Final[dict[str, type[ReplyError]]] = {
    each.code: each
    for each in (
        UnknownVerb,
        BadRequest,
        BadJson,
        BadName,
        BadReceipt,
        OverLimit,
        NotFound,
        NoSession,
        Unauthorized,
        Full,
        StorageFailed,
        Busy,
        TooLong,
        NotSpoken,
    )
}


def from_reply(code: str, text: str) -> ReplyError:
    """The error of a closing line `ERR <code> <text>`."""
    found = BY_CODE.get(code)
    return ReplyError(text, code=code) if found is None else found(text)

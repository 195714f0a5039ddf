"""What a client adds to every PUT: a key of its own, and the server's limit. No I/O here.

The asynchronous and the synchronous client make their PUTs through it. A key is 8 random
characters and a counter, given from the first attempt on: a PUT whose reply was lost can then be
sent again and lands once.
"""

import itertools
import secrets
from collections.abc import Iterable, Sequence

from qclient import verbs
from qclient.errors import BatchError, Error, ReplyError, TooLong
from qclient.replies import Request
from qclient.reports import Put
from qclient.words import body


class Puts:
    """Makes PUTs for one client; for any number of threads.

    Args:
        dedup: whether PUTs get keys.
        line_bytes_max: the server's limit, the line's LF not counted.

    Attributes:
        is_repeatable: what it makes can be sent again, since it has keys.
    """

    def __init__(self, *, dedup: bool, line_bytes_max: int) -> None:
        self.is_repeatable = dedup
        self._line_bytes_max = line_bytes_max + 1
        self.renew()

    def renew(self) -> None:
        """Begin a new series of keys, as a forked process must: its parent goes on with the old."""
        self._prefix = secrets.token_urlsafe(6).encode()
        self._number = itertools.count(1).__next__

    def request(self, head: bytes, item: object, dedup: str | None = None) -> Request[Put]:
        """A PUT with what `verbs.put_head` made; `dedup` is the caller's own key.

        Raises:
            TooLong: it is over the server's limit.
        """
        if dedup is None and self.is_repeatable:
            line = b"%bdedup=%b%d %b\n" % (head, self._prefix, self._number(), body(item))
            request = verbs.put_once(line)
        else:
            request = verbs.put(head, item, dedup)
        if len(request.line) > self._line_bytes_max:
            raise TooLong(self.too_long(request.line) or "")
        return request

    def line(self, head: bytes, item: object) -> bytes:
        """The line of a PUT, with a key where this client gives them, however long it is."""
        if self.is_repeatable:
            return b"%bdedup=%b%d %b\n" % (head, self._prefix, self._number(), body(item))
        return b"%b%b\n" % (head, body(item))

    def lines(self, head: bytes, bodies: Iterable[object], failed: list[Error]) -> Iterable[bytes]:
        """A line for each body, up to the first that can't be sent: its error goes to `failed`."""
        written = self.line
        line_bytes_max = self._line_bytes_max
        try:
            for item in bodies:
                line = written(head, item)
                if len(line) > line_bytes_max:
                    raise TooLong(self.too_long(line) or "")
                yield line
        except Error as error:
            failed.append(error)

    def too_long(self, line: bytes) -> str | None:
        """What is wrong with a line that is over the server's limit, or None.

        Sent, it would close the connection under every other request.
        """
        if len(line) <= self._line_bytes_max:
            return None
        limit = self._line_bytes_max - 1
        return f"a request of {len(line) - 1:,} bytes is over the server's limit of {limit:,}"


def ids(outcomes: Sequence[int | ReplyError], failed: Sequence[Error]) -> list[int]:
    """The result of many PUTs, from what became of each that was sent.

    Raises:
        BatchError: some were refused.
        Error: the one of `failed`: a body could not be sent, nor what came behind it.
    """
    for error in failed:
        error.add_note(f"{len(outcomes)} messages before it were sent")
        raise error
    stored = [outcome for outcome in outcomes if isinstance(outcome, int)]
    if len(stored) < len(outcomes):
        raise BatchError(outcomes)
    return stored

"""A leased message that settles itself through the synchronous client."""

import logging
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from qclient.errors import Error
from qclient.message import Delivery
from qclient.reports import Settled
from qclient.words import Duration

logger = logging.getLogger("qclient")

T = TypeVar("T")


class Settler(Protocol):
    """What a message settles itself with: the client."""

    def ack(self, *receipts: str) -> Settled:
        """The work is done."""
        ...

    def nack(
        self,
        *receipts: str,
        delay: Duration | None = None,
        reason: str | BaseException | None = None,
        dead: bool = False,
    ) -> Settled:
        """The work failed."""
        ...

    def release(self, *receipts: str, delay: Duration = 0) -> Settled:
        """The work was not begun."""
        ...

    def touch(self, *receipts: str, lease: Duration | None = None) -> Settled:
        """More time."""
        ...


class Message(Delivery[T]):
    """A message that is leased to this client.

    As a context it is acked when the block ends well, nacked with the exception as its reason when
    it raises, and released on Ctrl-C and SystemExit; a message settled inside is left alone.
    Leaving the block waits for the server's answer. An ack that can't be delivered raises; a nack
    or release that can't is logged, so that the block's own exception goes on.

    Attributes:
        is_settled: it was acked, nacked or released here.
    """

    _settler: Any = None
    is_settled: bool = False

    def ack(self) -> bool:
        """The work is done; the message is gone.

        Returns:
            False when the lease had ended: the message was or will be delivered again. (After a
            lost connection it can also mean that the first attempt of this very ack arrived.)
        """
        self.is_settled = True
        return self._own(self._settler.ack(self.receipt))

    def nack(
        self,
        *,
        delay: Duration | None = None,
        reason: str | BaseException | None = None,
        dead: bool = False,
    ) -> bool:
        """The work failed; it is delivered again after `delay` or the queue's backoff.

        Args:
            delay: seconds or timedelta, instead of the queue's backoff.
            reason: kept with the message; of an exception its type and text.
            dead: give up: the message becomes dead at once.

        Returns:
            False when the lease had ended.
        """
        self.is_settled = True
        settled = self._settler.nack(self.receipt, delay=delay, reason=reason, dead=dead)
        return self._own(settled)

    def release(self, *, delay: Duration = 0) -> bool:
        """Give it back untouched, with nothing counted.

        Args:
            delay: seconds or timedelta until it is delivered again.

        Returns:
            False when the lease had ended.
        """
        self.is_settled = True
        return self._own(self._settler.release(self.receipt, delay=delay))

    def touch(self, lease: Duration | None = None) -> bool:
        """Ask for more time, from now on. False when the lease had ended."""
        return self._own(self._settler.touch(self.receipt, lease=lease))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.is_settled:
            return
        if error is None:
            self._tell_late("ack", is_in_time=self.ack())
            return
        verb = "nack" if isinstance(error, Exception) else "release"  # Ctrl-C is not its fault
        try:
            is_in_time = self.nack(reason=error) if verb == "nack" else self.release()
        except Error as failure:
            text = "%s of %s was not confirmed: it may come again only when its lease ends: %s"
            logger.warning(text, verb, self.receipt, failure)
        else:
            self._tell_late(verb, is_in_time=is_in_time)

    def _tell_late(self, verb: str, *, is_in_time: bool) -> None:
        if not is_in_time:
            text = (
                "%s of %s came after its lease had ended: "
                "the message was or will be delivered again"
            )
            logger.warning(text, verb, self.receipt)

    @staticmethod
    def _own(settled: Settled) -> bool:
        return settled.count > 0

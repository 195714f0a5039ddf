"""Messages as a client holds them.

    Delivery    what a GET handed out: a lease, its receipt, the body. No I/O.
    Message     a Delivery that can settle itself through the asynchronous client
    Stored      a message as LIST and PEEK show it, in whatever state

The body stays the bytes that came (`raw`) until `body` is asked for; then it is decoded into the
type that was asked for, once. A Delivery that is only counted or passed on costs no decoding.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import msgspec

from qclient.errors import BadBody
from qclient.words import Duration, shorten

T = TypeVar("T")

REASON_BYTES_MAX = 4096


@lru_cache(maxsize=1024)
def decoder(wanted: object) -> Callable[[bytes], Any]:
    """Decodes a body into `wanted`: dict, a Struct, a dataclass … Cached for each type."""
    return msgspec.json.Decoder(wanted).decode


anything: Callable[[bytes], Any] = msgspec.json.Decoder().decode


def decode_body(decode: Callable[[bytes], T], raw: bytes, whose: str) -> T:
    """A body of the type that was asked for.

    Raises:
        BadBody: it is not of that type.
    """
    try:
        return decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadBody(f"the body of message {whose} can't be read: {error}") from error


class Delivery(msgspec.Struct, Generic[T], eq=False):
    """A message that is leased to this client.

    Attributes:
        receipt: proof of the lease, needed to settle it.
        queue: where it was taken from.
        raw: the body's bytes, as they were put.
        deliveries: how often it was leased, this time counted.
        failures: how often it was nacked.
        losses: how often its lease ran out or its session vanished.
        priority: 0 to 9, higher first.
        key: what the producer gave, or None.
        trace: what the producer gave, or None.
    """

    receipt: str
    queue: str
    raw: bytes
    _decode: Callable[[bytes], T] = anything
    deliveries: int = 1
    failures: int = 0
    losses: int = 0
    priority: int = 4
    key: str | None = None
    trace: str | None = None
    _body: T | msgspec.UnsetType = msgspec.UNSET

    @property
    def id(self) -> int:
        """The message's number, the same in every delivery."""
        return int(self.receipt.partition(".")[0])

    @property
    def body(self) -> T:
        """The body, decoded when it is first asked for.

        Raises:
            BadBody: it is not of the type that was asked for; `raw` has its bytes.
        """
        if self._body is msgspec.UNSET:
            self._body = decode_body(self._decode, self.raw, self.receipt)
        return self._body

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"<{kind} {self.receipt} of {self.queue}: {shorten(self.raw)}>"


def receipts_of(given: Iterable[str | Delivery[Any]]) -> list[str]:
    """Receipts, of messages too."""
    return [each if isinstance(each, str) else each.receipt for each in given]


class Settler(Protocol):
    """What ends or extends leases for a Message: the client, or the consumer that holds it.

    `waiter` is told whether the lease was still held; with None nobody waits, and a settlement
    that fails is logged.
    """

    def ack(self, message: "Message[Any]", waiter: asyncio.Future[bool] | None) -> None:
        """The work is done."""

    def release(
        self,
        message: "Message[Any]",
        waiter: asyncio.Future[bool] | None,
        *,
        delay: Duration = 0,
    ) -> None:
        """The work was not begun."""

    def nack(
        self,
        message: "Message[Any]",
        waiter: asyncio.Future[bool] | None,
        *,
        delay: Duration | None,
        reason: str | None,
        dead: bool,
    ) -> None:
        """The work failed."""

    async def touch(self, message: "Message[Any]", lease: Duration | None) -> bool:
        """More time."""
        ...


class Message(Delivery[T]):
    """A leased message that settles itself.

    As a context it is acked when the block ends well, nacked with the exception as its reason when
    it raises, and released when it is cancelled; a message settled inside is left alone. Leaving
    the block doesn't wait for the server: delivery is at least once in any case, and closing the
    consumer or client waits for what is on its way. To know that an ack arrived, `await` it.

    Attributes:
        is_settled: it was acked, nacked or released here.
        is_lost: the consumer found that its lease had ended: someone else has or will have it.
    """

    _settler: Any = None
    is_settled: bool = False
    is_lost: bool = False

    async def ack(self) -> bool:
        """The work is done; the message is gone.

        Returns:
            False when the lease had ended: the message was or will be delivered again. (After a
            lost connection it can also mean that the first attempt of this very ack arrived.)
        """
        waiter = self._settle()
        self._settler.ack(self, waiter)
        return await waiter

    async def nack(
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
        waiter = self._settle()
        self._settler.nack(self, waiter, delay=delay, reason=reason_text(reason), dead=dead)
        return await waiter

    async def release(self, *, delay: Duration = 0) -> bool:
        """Give it back untouched, with nothing counted.

        Args:
            delay: seconds or timedelta until it is delivered again.

        Returns:
            False when the lease had ended.
        """
        waiter = self._settle()
        self._settler.release(self, waiter, delay=delay)
        return await waiter

    async def touch(self, lease: Duration | None = None) -> bool:
        """Ask for more time, from now on. False when the lease had ended."""
        return await self._settler.touch(self, lease)  # type: ignore[no-any-return]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.is_settled:
            return
        self.is_settled = True
        if error is None:
            self._settler.ack(self, None)
        elif isinstance(error, Exception):
            reason = reason_text(error)
            self._settler.nack(self, None, delay=None, reason=reason, dead=False)
        else:  # cancelled, Ctrl-C, SystemExit: the message is not to blame
            self._settler.release(self, None)

    def _settle(self) -> asyncio.Future[bool]:
        self.is_settled = True
        return asyncio.get_running_loop().create_future()


def reason_text(reason: str | BaseException | None) -> str | None:
    """A reason as the server keeps it: at most 4,096 bytes, cut between characters, or none."""
    if reason is None or reason == "":
        return None
    if isinstance(reason, BaseException):
        said = str(reason)
        kind = type(reason).__name__
        reason = f"{kind}: {said}" if said else kind
    raw = reason.encode("utf-8", "replace")
    if len(raw) <= REASON_BYTES_MAX:
        return raw.decode()
    return raw[: REASON_BYTES_MAX - 3].decode("utf-8", "ignore") + "…"


class Stored(msgspec.Struct, Generic[T], eq=False):
    """A message as LIST and PEEK show it.

    Attributes:
        id: its number.
        state: ready, delayed, leased, dead or done.
        raw: the body's bytes.
        queue: where it is.
        receipt: of the lease, when it is leased.
        info: everything else the server said, by name: `expires_in`, `due_in`, `reason` …
    """

    id: int
    state: str
    queue: str
    raw: bytes
    info: dict[str, str]
    _decode: Callable[[bytes], T] = anything

    @property
    def body(self) -> T:
        """The body, decoded at each call.

        Raises:
            BadBody: it is not of the type that was asked for.
        """
        return decode_body(self._decode, self.raw, str(self.id))

    @property
    def receipt(self) -> str | None:
        """The receipt of a leased message: who has it can settle it."""
        return self.info.get("receipt")

    @property
    def deliveries(self) -> int:
        """How often it was leased."""
        return int(self.info.get("deliveries", 0))

    @property
    def failures(self) -> int:
        """How often it was nacked."""
        return int(self.info.get("failures", 0))

    @property
    def losses(self) -> int:
        """How often its lease ran out or its session vanished."""
        return int(self.info.get("losses", 0))

    @property
    def priority(self) -> int:
        """0 to 9, higher first."""
        return int(self.info.get("priority", 4))

    @property
    def key(self) -> str | None:
        """What the producer gave."""
        return self.info.get("key")

    @property
    def trace(self) -> str | None:
        """What the producer gave."""
        return self.info.get("trace")

    @property
    def reason(self) -> str | None:
        """Why it last failed or became dead."""
        return self.info.get("reason")

    @property
    def progress(self) -> Any:
        """What a holder left last, decoded; None if none did."""
        said = self.info.get("progress")
        return None if said is None else decode_body(anything, said.encode(), str(self.id))

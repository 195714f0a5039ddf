"""Messages by their ids, in pages of a few thousand: all, or those of a queue, or of a session.

One dict would do, but for its growth: with a million messages each step of it takes 50 ms, with ten
million 500, and nobody is answered meanwhile. A page is small, so neither growth nor anything else
takes longer than a page does, and a page in which little is left is made anew at that size.

A page holds the ids that begin with the same bits, so a message is found by two look-ups.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

from qserver.broker.message import Message

PAGE_BITS: Final = 12

STEPS: Final = (0, 4, 16, 64, 256, 1024)
SPARSE: Final = frozenset(STEPS)
"""When so few are left in a page, it is made anew, or dropped: a dict keeps its size otherwise."""


class Table:
    """A mapping from ids to messages. Iterates in the order of pages.

    Attributes:
        pages: by the bits that the ids in them share; none is empty.
        count: how many messages there are.
    """

    __slots__ = ("count", "pages")

    def __init__(self) -> None:
        self.pages: dict[int, dict[int, Message]] = {}
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        for page in self.pages.values():
            yield from page

    def __contains__(self, message_id: int) -> bool:
        page = self.pages.get(message_id >> PAGE_BITS)
        return page is not None and message_id in page

    def __getitem__(self, message_id: int) -> Message:
        return self.pages[message_id >> PAGE_BITS][message_id]

    def __setitem__(self, message_id: int, message: Message) -> None:
        page = self.pages.get(message_id >> PAGE_BITS)
        if page is None:
            page = self.pages[message_id >> PAGE_BITS] = {}
        self.count += message_id not in page
        page[message_id] = message

    def __delitem__(self, message_id: int) -> None:
        page = self.pages[message_id >> PAGE_BITS]
        del page[message_id]
        self.count -= 1
        if len(page) in SPARSE:
            self.thin_out(message_id >> PAGE_BITS)

    def get(self, message_id: int) -> Message | None:
        """The message, if there is one with that id."""
        page = self.pages.get(message_id >> PAGE_BITS)
        return None if page is None else page.get(message_id)

    def add(self, message: Message) -> None:
        """Enter a message with a new id."""
        message_id = message.id
        page = self.pages.get(message_id >> PAGE_BITS)
        if page is None:
            page = self.pages[message_id >> PAGE_BITS] = {}
        page[message_id] = message
        self.count += 1

    def add_run(self, first: int, messages: list[Message]) -> None:
        """Enter messages with new and consecutive ids."""
        at = 0
        while at < len(messages):
            number = first + at >> PAGE_BITS
            part = messages[at : at + ((number + 1) << PAGE_BITS) - (first + at)]
            page = self.pages.get(number)
            if page is None:
                page = self.pages[number] = {}
            page.update(zip(range(first + at, first + at + len(part)), part, strict=True))
            at += len(part)
        self.count += len(messages)

    def add_all(self, messages: list[Message]) -> None:
        """Enter messages that are not there yet."""
        if len(messages) == 1:  # as a GET mostly brings
            self.add(messages[0])
            return
        ids = [message.id for message in messages]
        number = _page_of_all(ids)
        if number < 0:
            for message in messages:
                self.add(message)
            return
        page = self.pages.get(number)
        if page is None:
            page = self.pages[number] = {}
        page.update(zip(ids, messages, strict=True))
        self.count += len(ids)

    def get_all(self, ids: list[int]) -> list[Message]:
        """Those that there are, in the order of the ids."""
        number = _page_of_all(ids)
        get = self.get if number < 0 else self.pages.get(number, {}).get
        return [message for message in map(get, ids) if message is not None]

    def remove_all(self, ids: list[int]) -> None:
        """Remove messages, all of which are there."""
        number = _page_of_all(ids)
        if number < 0:
            for message_id in ids:
                del self[message_id]
            return
        page = self.pages[number]
        before = len(page)
        for message_id in ids:
            del page[message_id]
        self.count -= len(ids)
        self._popped(number, before)

    def pop_known(self, ids: Iterable[int]) -> list[Message]:
        """Remove those that there are, and answer them."""
        popped: list[Message] = []
        number, before = -1, 0
        page: dict[int, Message] = {}
        for message_id in ids:
            if message_id >> PAGE_BITS != number:
                self._popped(number, before)
                number = message_id >> PAGE_BITS
                page = self.pages.get(number, {})
                before = len(page)
            message = page.pop(message_id, None)
            if message is not None:
                popped.append(message)
        self._popped(number, before)
        self.count -= len(popped)
        return popped

    def _popped(self, number: int, before: int) -> None:
        """Some were removed from a page that had so many before."""
        page = self.pages.get(number)
        if page is not None and bisect_left(STEPS, len(page)) < bisect_left(STEPS, before):
            self.thin_out(number)

    def after(self, message_id: int) -> Iterator[int]:
        """Ids above that one, in order. Nothing may be entered or removed meanwhile."""
        first = message_id >> PAGE_BITS
        for number in sorted([number for number in self.pages if number >= first]):
            yield from sorted([each for each in self.pages[number] if each > message_id])

    def values(self) -> Iterator[Message]:
        """The messages. Nothing may be entered or removed meanwhile."""
        for page in self.pages.values():
            yield from page.values()

    def items(self) -> Iterator[tuple[int, Message]]:
        """The messages by their ids; as `values`."""
        for page in self.pages.values():
            yield from page.items()

    def thin_out(self, number: int) -> None:
        """Make a page anew, of which a `SPARSE` number of messages is left."""
        page = self.pages[number]
        if page:
            self.pages[number] = page.copy()  # which is made at the size of what is in it
        else:
            del self.pages[number]


def _page_of_all(ids: list[int]) -> int:
    """The number of the page that all of these ids are in; -1 if that are several, or none."""
    if not ids:
        return -1
    number = min(ids) >> PAGE_BITS
    return number if max(ids) >> PAGE_BITS == number else -1

"""Connections, as the broker sees them."""

from qserver.broker.message import Message
from qserver.broker.session import Session, Waiter
from tests.model.model import Delivered, Receipt


def receipts(messages: list[Message]) -> list[Receipt]:
    return [(message.id, message.lease) for message in messages]


class FakeClient:
    """One connection."""

    def __init__(self, name: str, delivered: list[Delivered]) -> None:
        self.name = name
        self.session: Session | None = None
        self.waiter: Waiter | None = None
        self._delivered = delivered

    def delivered(self, messages: list[Message]) -> None:
        self.waiter = None
        self._delivered.append((self.name, receipts(messages)))

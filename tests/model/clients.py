"""Connections, as the broker sees them."""

from qserver.broker.message import GONE, STATES, Message
from qserver.broker.session import Session
from qserver.broker.waiter import Waiter
from tests.model.model import Delivered, Receipt, Told


def receipts(messages: list[Message]) -> list[Receipt]:
    return [(message.id, message.lease) for message in messages]


def outcome(client: str, message: Message) -> Told:
    state = "gone" if message.state == GONE else STATES[message.state]
    details = message.details
    result = b"" if state == "gone" or details is None else details.result
    return client, message.id, state, result


class FakeClient:
    """One connection."""

    def __init__(self, name: str, delivered: list[Delivered], told: list[Told]) -> None:
        self.name = name
        self.session: Session | None = None
        self.waiter: Waiter | None = None
        self._delivered = delivered
        self._told = told

    def delivered(self, messages: list[Message]) -> None:
        self.waiter = None
        self._delivered.append((self.name, receipts(messages)))

    def counted(self, count: int) -> None:
        raise AssertionError(f"nothing goes on by itself here, to {count} messages")

    def told(self, message: Message) -> None:
        self.waiter = None
        self._told.append(outcome(self.name, message))

"""PROGRESS: what a holder says of its work while it goes on."""

from qserver.broker.broker import Broker
from qserver.broker.put import refuse_full


def progress(broker: Broker, receipt: tuple[int, int], value: bytes) -> bool:
    """Leave a JSON value with a leased message, in place of the last one.

    It stays when the message comes back: it tells how far the last attempt got.

    Returns:
        Whether the receipt is that of a lease.

    Raises:
        RequestError: `full`.
    """
    message = broker.messages.get(receipt[0])
    if message is None or message.lease != receipt[1]:
        return False
    grown = len(value) - (0 if message.details is None else len(message.details.progress))
    if broker.memory + grown > broker.memory_bytes_max:
        refuse_full(broker)
    broker.memory += grown
    message.detail().progress = value
    broker.recorder.progress(message.id, value)
    return True

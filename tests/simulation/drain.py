"""The end of a run: everything that is left is taken out, and the server must be empty."""

from tests.simulation.clients import QUEUES, SETTINGS
from tests.simulation.history import History, Put
from tests.simulation.loop import SimLoop
from tests.simulation.network import Network
from tests.simulation.talk import Reply, Talk, read_delivered
from tests.simulation.violation import Violation


async def drain(loop: SimLoop, network: Network, history: History, wait_s: float) -> dict[int, Put]:
    """Take everything out of every queue; answers the messages by token.

    Args:
        wait_s: how long it takes until nothing is leased or delayed any more.

    Raises:
        Violation: something is stuck, or comes twice, or was settled before.
    """
    talk = Talk(loop, network)
    for queue in QUEUES:
        reply = await _ask(talk, f"QUEUE {queue}")
        if SETTINGS not in reply.rows[0].decode():
            raise Violation(f"queue {queue} has lost its settings: {reply.rows}")
        await _ask(talk, f"RESUME {queue}")
        history.resuming(queue)
    await loop.pause(wait_s)
    left: dict[int, Put] = {}
    for queue in QUEUES:
        await _drain_queue(loop, talk, history, queue, left)
    reply = await _ask(talk, "LIST")
    for row in reply.rows:
        if b"ready=0 leased=0 delayed=0 dead=0 done=0 bytes=0" not in row:
            raise Violation(f"a queue is not empty after a drain: {row!r}")
    talk.cut()
    return left


async def _drain_queue(
    loop: SimLoop, talk: Talk, history: History, queue: str, left: dict[int, Put]
) -> None:
    while True:
        asked_at = loop.time()
        reply = await _ask(talk, f"GET {queue} count=100 wait=1")
        if not reply.rows:
            return
        receipts = []
        for row in reply.rows:
            now = reply.at
            put, lease = history.delivered(read_delivered(row), asked_at, now, now, None)
            if put.token in left:
                raise Violation(f"message {put.id} came twice")
            left[put.token] = put
            receipts.append(f"{put.id}.{lease.number}")
        acked = await _ask(talk, "ACK " + " ".join(receipts))
        if acked.count != len(receipts):
            raise Violation(f"an ACK in time was refused: {acked}")


async def _ask(talk: Talk, line: str) -> Reply:
    reply = await talk.ask(line.encode(), wait_s=1.0)
    if reply is None or not reply.is_ok:
        raise Violation(f"a healthy server answers {line[:80]!r} with {reply}")
    return reply

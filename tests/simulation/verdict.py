"""What can be judged only when all is over: what was lost, and in what order things came."""

from itertools import pairwise

from tests.simulation.history import History, Lease, Put
from tests.simulation.violation import Violation


def check_nothing_lost(history: History, left: dict[int, Put]) -> None:
    """Each message that was promised was settled, or is found at the end.

    Args:
        left: what was found by draining every queue, by token.
    """
    for put in history.puts.values():
        if put.told_at == float("inf") or put.is_final or put.may_be_gone or put.token in left:
            continue
        if any(p.queue == put.queue and p.told_at >= put.sent_at for p in history.purges):
            continue
        raise Violation(f"message {put.id} ({put.token}) was answered OK, and is lost")


def check_order(history: History) -> None:
    """First deliveries of a queue come in the order of their PUTs, within a priority."""
    lanes: dict[tuple[str, int], list[Put]] = {}
    for put in history.puts.values():
        first = min(put.leases, key=_number, default=None)
        if first is None or first.told_at > history.first_undone_at:
            continue  # an earlier delivery may have been undone
        if put.is_plain and first.deliveries == 1:
            lanes.setdefault((put.queue, put.priority), []).append(put)
    for lane in lanes.values():
        lane.sort(key=lambda put: min(lease.number for lease in put.leases))
        for earlier, later in pairwise(lane):
            if earlier.id > later.id:
                raise Violation(f"message {earlier.id} was delivered before {later.id}")


def check_returned_first(history: History) -> None:
    """A message that was given back is delivered before newer ones that nobody had yet."""
    for put in history.puts.values():
        for lease in put.leases:
            _check_returned(history, put, lease.number)


def _check_returned(history: History, put: Put, number: int) -> None:
    if number not in put.given_back:
        return
    sent_at, ready_at = put.given_back[number]
    again = min((other.number for other in put.leases if other.number > number), default=None)
    if again is None:
        return
    for other in history.puts.values():
        if (other.queue, other.priority) != (put.queue, put.priority) or other.id < put.id:
            continue
        first = min(other.leases, key=_number, default=None)
        if not first or not other.is_plain or put.has_new_counters:
            continue
        if (
            ready_at < first.asked_at
            and first.number < again
            and not any(
                asked_at < first.told_at and gone_at > sent_at
                for asked_at, gone_at in history.lost_gets
            )
        ):
            raise Violation(
                f"message {put.id} was given back, and {other.id} was delivered before it"
            )


def _number(lease: Lease) -> int:
    return lease.number

"""`TOUCH *`: every lease of a session is extended; many of them a slice at a time.

From its beginning on they run for as long as it says. Those that the session held then are
extended, but for one that ends before its turn has come: that is not counted.
"""

from itertools import islice
from typing import Final

from qserver.broker.broker import Broker
from qserver.broker.ongoing import Ongoing
from qserver.broker.session import Client, Session

SLICE: Final = 4000
"""Leases that are extended at once, in about 2 ms."""


class TouchAll(Ongoing):
    """A `TOUCH *`.

    Attributes:
        began: monotonic second from which on the leases run.
        lease_s: how long; None takes each queue's setting.
        last_lease: later ones were not there when it began.
    """

    __slots__ = ("_after", "began", "last_lease", "lease_s", "session", "slice_max")

    def __init__(
        self,
        broker: Broker,
        client: Client,
        session: Session,
        began: float,
        lease_s: float | None,
        slice_max: int = SLICE,
    ) -> None:
        super().__init__(client)
        self.session = session
        self.began = began
        self.lease_s = lease_s
        self.last_lease = broker.last_lease
        self.slice_max = slice_max
        self._after = 0

    def step(self, broker: Broker) -> bool:
        """Extend some more; where all get the same length at once, that is one short record."""
        leases = self.session.leases
        ids = list(islice(leases.after(self._after), self.slice_max))
        is_all = not self._after and len(ids) == len(leases)
        extended = self._extend(ids)
        if is_all and self.lease_s is not None and ids:
            broker.recorder.touch_session(self.session.name, broker.wall(self.began + self.lease_s))
        else:
            for deadline, those in extended.items():
                broker.recorder.touch(those, broker.wall(deadline))
        if ids:
            self._after = ids[-1]
        return is_all or next(leases.after(self._after), None) is None

    def _extend(self, ids: list[int]) -> dict[float, list[int]]:
        """Extend these leases; answers which got a new deadline, by that."""
        extended: dict[float, list[int]] = {}
        leases, began, lease_s = self.session.leases, self.began, self.lease_s
        for message_id in ids:
            message = leases[message_id]
            if message.lease > self.last_lease:
                continue
            self.count += 1
            deadline = began + (message.queue.settings.lease if lease_s is None else lease_s)
            if message.deadline < deadline:
                message.deadline = deadline  # the wheel deals it again when its old slot comes up
                extended.setdefault(deadline, []).append(message_id)
        return extended

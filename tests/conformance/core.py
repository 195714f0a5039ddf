"""The simulated core as something that transcripts and vectors can be played against."""

from collections import deque

from tests.sim import Sim


class CoreLine:
    """A `transcripts.Line` into the core."""

    def __init__(self, sim: Sim) -> None:
        self._peer = sim.connect()
        self._came: deque[str] = deque()

    def send(self, data: bytes) -> None:
        self._peer.hear(data)
        self._peer.sim.turn()

    def receive(self) -> str:
        self._take()
        return self._came.popleft() if self._came else ""

    def unread(self) -> str:
        self._take()
        return "\n".join(self._came)

    def _take(self) -> None:
        whole = self._peer.take().decode()
        assert not whole or whole.endswith("\n")
        self._came += whole.split("\n")[:-1]

r"""The server's core without its sockets: time is a number, the journal is in memory.

    sim = Sim()
    peer = sim.connect()
    peer.ask('PUT jobs 1')             ['OK 1']: the lines that it is answered
    peer.send(b'GET jobs wait=5\n')    the bytes that came out, b'' while it waits
    sim.pass_time(5)                   time passes, and what it brings about happens
    peer.take()                        b'OK 0\n': what came out since

A turn is that of `server/server.py`: conversations go on, GETs that wait are served, what was
recorded is committed, and then the replies that were held for it are given out. With
`sim.stores = False` the journal is busy: nothing is committed until `sim.commit()`.

`sim.restart()` ends the server as `kill -9` would, and starts another on the same journal.
"""

from collections.abc import Iterable, Iterator

from qserver.broker import timers
from qserver.broker.broker import Broker
from qserver.broker.checkpoint import checkpoint
from qserver.broker.get import serve
from qserver.broker.restore import Restorer
from qserver.config import LINES_PER_TURN, Limits
from qserver.dispatch.client import Seen
from qserver.dispatch.conversation import Conversation
from qserver.dispatch.grammar import Grammar
from qserver.dispatch.tokens import Tokens
from qserver.storage.memory import MemoryJournal, MemoryStore
from qserver.storage.record import replay
from qserver.storage.recorder import JournalRecorder

START_S = 5_000.0
"""The monotonic clock at the beginning."""

START_WALL_S = 1_800_000_000.0
"""The wall clock at the beginning: 2027-01-15T08:00:00Z."""


class Peer:
    """A client of the simulated server.

    Attributes:
        is_closed: whether the server has closed the connection.
    """

    def __init__(self, sim: "Sim") -> None:
        self.sim = sim
        self.conversation = Conversation(sim.broker, sim.grammar, sim, self.wake)
        self.is_closed = False
        self.connected_at = self.heard_at = sim.now
        self._out: list[bytes] = []
        self._held = 0

    def wake(self) -> None:
        """Let it go on in this turn."""
        self.sim.awake[self] = None

    def hear(self, data: bytes) -> None:
        """Give the server bytes, and leave it to `sim.turn` to answer them."""
        if not self.is_closed:
            self.heard_at = self.sim.now
            self.conversation.hear(data)
            self.wake()

    def send(self, data: bytes) -> bytes:
        """Give the server bytes; what it answers in this turn."""
        self.hear(data)
        self.sim.turn()
        return self.take()

    def ask(self, line: str) -> list[str]:
        """Send one line; the lines of the answer."""
        return self.send(line.encode() + b"\n").decode().splitlines()

    def take(self) -> bytes:
        """What was answered since this was last asked."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def end_input(self) -> bytes:
        """Close this side; what is answered then."""
        self.conversation.stop_hearing()
        self.wake()
        self.sim.turn()
        return self.take()

    def cut(self) -> None:
        """The connection is lost."""
        self.is_closed = True
        self.conversation.end(self.sim.now)
        self.sim.awake.pop(self, None)
        self.sim.turn()

    def go_on(self, now: float) -> None:
        """As `Connection.go_on`, without its flow control."""
        if self.is_closed:
            return
        conversation = self.conversation
        reply = conversation.go_on(now, self.sim.lines_per_turn)
        if reply and (conversation.client.wrote or self._held):
            self._held += 1
            self.sim.held.append((self, reply))
        elif reply:
            self._out.append(reply)
        conversation.client.wrote = False
        if conversation.backlog and not conversation.is_waiting and not conversation.is_over:
            self.wake()
        self.is_closed = conversation.is_over and not self._held

    def release(self, reply: bytes) -> None:
        """What the reply tells of is stored."""
        self._held -= 1
        self._out.append(reply)
        self.is_closed = self.conversation.is_over and not self._held


class Sim:
    """A broker with its journal, and clients.

    Attributes:
        now: monotonic seconds.
        stores: whether each turn ends with a commit.
        held: replies that wait for the commit.
        tokens: one of which a client must say, if there are any.
        lines_per_turn: how many lines of one client are answered in a row.
    """

    sync = "always"

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        store: MemoryStore | None = None,
        now: float = START_S,
        wall: float = START_WALL_S,
        tokens: Iterable[str] = (),
    ) -> None:
        self.tokens = Tokens(tokens)
        self.limits = limits or Limits()
        self.store = store or MemoryStore()
        self.now = now
        self.stores = True
        self.lines_per_turn = LINES_PER_TURN
        self.peers: list[Peer] = []
        self.awake: dict[Peer, None] = {}
        self.held: list[tuple[Peer, bytes]] = []
        self.grammar = Grammar(self.limits)
        self._start(wall)

    def _start(self, wall: float) -> None:
        self.journal = MemoryJournal(self.store)
        recorder = self._recorder = JournalRecorder(self.journal)
        self.broker = Broker(recorder, self.limits, now=self.now, wall=wall)
        restorer = Restorer(self.broker)
        replay(self.journal, restorer)
        restorer.finish(self.now)
        recorder.begin_batch()

    def figures(self) -> dict[str, int | float | str]:
        """What STATS says besides the broker's own figures."""
        return {"sync": self.sync}

    def connect(self) -> Peer:
        """A new client."""
        self.peers.append(Peer(self))
        return self.peers[-1]

    def seen(self, after: int) -> Iterator[Seen]:
        """What CLIENTS tells of."""
        return (
            Seen(
                number,
                peer.conversation.client,
                peer.connected_at,
                peer.heard_at,
                peer.conversation.requests,
            )
            for number, peer in enumerate(self.peers, 1)
            if number > after and not peer.is_closed
        )

    def turn(self) -> None:
        """Let everyone who has something to say or to hear have it."""
        while True:
            awake, self.awake = self.awake, {}
            for peer in awake:
                peer.go_on(self.now)
            serve(self.broker, self.now)
            if self.stores:
                self.commit()
            if not self.awake:
                return

    def commit(self) -> None:
        """Store what was recorded, and give out the replies that were held for it."""
        if self.journal.pending:
            self.journal.commit(sync=True)
            if self._recorder.begin_batch():
                checkpoint(self.broker)
        held, self.held = self.held, []
        for peer, reply in held:
            peer.release(reply)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, from one deadline to the next."""
        end = self.now + seconds
        while (due := timers.next_deadline(self.broker)) is not None and due <= end:
            self.now = max(self.now, due)
            timers.tick(self.broker, self.now)
            self.turn()
        self.now = end
        self.turn()

    def restart(self) -> None:
        """Forget everything that was not committed, and the clients, and start again."""
        self.journal.close()
        self.peers.clear()
        self.awake.clear()
        self.held.clear()
        self._start(self.broker.wall(self.now))

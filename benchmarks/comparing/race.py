"""All runs: the servers in turn within each round, so that whatever else happens hits them all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparing.contestants import Contestant
from benchmarks.comparing.driving import Figures, drive
from benchmarks.comparing.plan import OPS, Cell, messages
from benchmarks.comparing.serving import FailedError, Running, serving

Tell = Callable[[str], None]

WARM_UP = Cell(4, 50)
EMPTYING = Cell(4, 100)


@dataclass(frozen=True, order=True)
class Key:
    """What a row of figures is of."""

    durability: str
    body_bytes: int
    op: str
    cell: Cell
    server: str


Results = dict[Key, list[Figures]]
"""The figures of each round."""

Medians = dict[Key, Figures]
"""Of the rounds."""


@dataclass(frozen=True)
class Race:
    """What is asked for; `share` is of the messages that a run has otherwise."""

    generator: Path
    contestants: Sequence[Contestant]
    classes: Sequence[str]
    cells: Sequence[Cell]
    ops: Sequence[str]
    bodies: Sequence[int]
    rounds: int
    share: float

    def run(self, tell: Tell) -> Results:
        """The figures of every round. A server that fails is told of and left out of its class."""
        results: Results = {}
        for durability in self.classes:
            with ExitStack() as stack:
                racing: list[Running] = []
                for contestant in self.contestants:
                    if not contestant.stores and durability != "none":
                        continue
                    with _or_out(contestant, tell):
                        running = stack.enter_context(serving(contestant, durability))
                        self._warm_up(running)
                        racing.append(running)
                for number in range(self.rounds):
                    racing = self._round(racing, number, results, tell)
        return results

    def _round(
        self, racing: list[Running], number: int, results: Results, tell: Tell
    ) -> list[Running]:
        """Every cell; another server begins in each, and in each cell with each round."""
        rows = [(size, cell) for size in self.bodies for cell in self.cells]
        for row, (size, cell) in enumerate(rows, number):
            left: list[Running] = []
            for place in range(len(racing)):
                running = racing[(row + place) % len(racing)]
                if not left:
                    tell(f"{running.durability}, round {number + 1}, {size} B, {cell}")
                with _or_out(running.contestant, tell):
                    self._cell(running, size, cell, results)
                    left.append(running)
            racing = [running for running in racing if running in left]
        return racing

    def _warm_up(self, running: Running) -> None:
        count = messages(WARM_UP, running.durability, self._share(running) * 0.1)
        drive(self.generator, running, "cycle", WARM_UP, count, self.bodies[0])

    def _cell(self, running: Running, size: int, cell: Cell, results: Results) -> None:
        """Put, drain, cycle; what is not asked for is done all the same where it is needed."""
        name, durability = running.contestant.name, running.durability
        count = messages(cell, durability, self._share(running))
        for op in OPS:
            asked = op in self.ops
            if op == "cycle" and not asked:
                continue
            if op != "cycle" and not {"put", "drain"} & set(self.ops):
                continue
            how = cell if asked else EMPTYING
            found = drive(self.generator, running, op, how, count, size)
            self._count(running, op, count)
            if asked:
                key = Key(durability, size, op, cell, name)
                results.setdefault(key, []).append(found)

    def _count(self, running: Running, op: str, count: int) -> None:
        """A server that has not stored what it was given has not been measured."""
        expected = count if op == "put" and running.contestant.stores else 0
        queued = running.queued()
        if queued != expected:
            raise FailedError(f"after {op} of {count} it holds {queued}, not {expected}")

    def _share(self, running: Running) -> float:
        return self.share * running.contestant.shares.get(running.durability, 1.0)


@contextmanager
def _or_out(contestant: Contestant, tell: Tell) -> Iterator[None]:
    try:
        yield
    except (FailedError, OSError) as error:
        tell(f"{contestant.name} is left out: {error}")

"""What a seed stands for: who takes part, how the server is set, what goes wrong and when.

A plan is data: a smaller one, without a client or a fault, can be run as well. That is how a
failing one is made small.
"""

from dataclasses import dataclass, replace
from random import Random

from qserver.build import BUILD

FAULTS = (
    ("kill", 6),
    ("kill_at_change", 4),
    ("cut", 5),
    ("cut_at_change", 8),
    ("stop", 3),
    ("fail_sync", 2),
    ("fail_write", 2),
    ("short_writes", 2),
    ("full", 2),
    ("slow", 2),
    ("clock", 2),
)
"""What can go wrong, and how often that is chosen."""


SMALL_SHARE = 0.3
"""So many runs are small."""


@dataclass(frozen=True)
class Fault:
    """Something goes wrong at a time; `value` says more, by its kind."""

    at: float
    kind: str
    value: float

    def __str__(self) -> str:
        return f"{self.kind}@{self.at:.3f}"


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        seconds: how long clients come and faults happen.
        clients: their numbers, of which each has a script of its own.
        is_small: a few clients and messages are a crowd: `small.py`. Never where it can't be.
    """

    seed: int
    seconds: float
    sync_s: float | None
    segment_bytes_max: int
    disk_sync_s: float
    clients: tuple[int, ...]
    faults: tuple[Fault, ...]
    is_small: bool

    @classmethod
    def of(cls, seed: int) -> "Plan":
        """The plan of a seed."""
        chance = Random(seed)
        seconds = chance.choice((5.0, 10.0, 20.0))
        kinds, weights = zip(*FAULTS, strict=True)
        faults = [
            Fault(
                round(chance.uniform(0.2, seconds), 3),
                chance.choices(kinds, weights)[0],
                chance.random(),
            )
            for _ in range(chance.choice((0, 1, 2, 3, 5)))
        ]
        return cls(
            seed,
            seconds,
            chance.choice((None, None, None, 0.1, 0.0)),
            chance.choice((1500, 4000, 16_000, 1 << 20)),
            chance.choice((1e-4, 1e-3, 1e-2)),
            tuple(range(1, chance.choice((2, 3, 4, 5)))),
            tuple(sorted(faults, key=lambda fault: fault.at)),
            chance.random() < SMALL_SHARE and BUILD == "plain",
        )

    def smaller(self) -> list["Plan"]:
        """Plans with one thing less, which may still fail."""
        parts = [
            replace(self, faults=tuple(other for other in self.faults if other is not fault))
            for fault in self.faults
        ]
        if len(self.clients) > 1:
            parts += [
                replace(self, clients=tuple(other for other in self.clients if other != client))
                for client in self.clients
            ]
        return parts

    @property
    def command(self) -> str:
        """What to type to see it."""
        words = ["python -m tests.simulation", str(self.seed)]
        full = Plan.of(self.seed)
        if self.clients != full.clients:
            words.append("--clients " + ",".join(map(str, self.clients)))
        if self.faults != full.faults:
            numbers = (str(n) for n, fault in enumerate(full.faults) if fault in self.faults)
            words.append("--faults " + (",".join(numbers) or "none"))
        return " ".join(words)

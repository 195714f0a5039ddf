"""What is asked of the figures: each bar met or missed, and by how much."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from benchmarks.comparing.driving import Figures
from benchmarks.comparing.keeping import Kept
from benchmarks.comparing.plan import Cell
from benchmarks.comparing.race import Key, Results

NO_PEERS = ("echo",)


@dataclass(frozen=True)
class Verdict:
    """One bar.

    Attributes:
        least: the ratio that was asked for in each row; what is below is missed. Where less is
            better the ratio is turned round, so that more is always better.
        worst: the least ratio found, and where; None if nothing was measured for this bar.
    """

    bar: str
    least: float
    rows: int
    missed: Sequence[tuple[str, float]]
    worst: tuple[str, float] | None

    @property
    def met(self) -> bool:
        """Whether it is met by all that was measured."""
        return not self.missed

    def __str__(self) -> str:
        if self.worst is None:
            return f"not measured: {self.bar}"
        where, ratio = self.worst
        said = "met" if self.met else f"MISSED in {len(self.missed)} of {self.rows}"
        text = f"{said}: {self.bar}; the least ratio is {ratio:.2f}, {where}"
        others = sorted(self.missed, key=lambda each: each[1])[1:]
        return text + "".join(f"\n    {ratio:.2f} {where}" for where, ratio in others)


def is_ours(server: str) -> bool:
    """Whether a column is one of ours."""
    return server.startswith("qserver")


def verdicts(found: Results, kept: Iterable[Kept], ours: str) -> list[Verdict]:
    """Of one of our columns beside the peers, by throughput.

    A ratio is the median of those of each round, whose runs stood side by side: what a machine does
    from one round to the next is in both of its sides. Beside it stands how many times our CPU a
    message the peer takes.
    """

    def many(key: Key) -> bool:
        return key.cell.ahead > 1

    def crowd(key: Key) -> bool:
        return key.cell.ahead == 1 and key.cell.connections > 1

    def unsynced_crowd(key: Key) -> bool:
        return crowd(key) and key.durability == "none"

    def synced_crowd(key: Key) -> bool:
        return crowd(key) and key.durability == "always"

    def alone(key: Key) -> bool:
        return key.cell == Cell(1, 1)

    def speed(bar: str, least: float, where: Callable[[Key], bool], *peers: str) -> Verdict:
        return _verdict(bar, least, _ratios(found, ours, where, peers))

    return [
        speed("ahead of every peer with more than one message in flight", 1.0, many),
        speed("ahead of beanstalkd and JetStream there", 1.0, many, "beanstalkd", "nats"),
        speed("3 x beanstalkd there", 3.0, many, "beanstalkd"),
        speed("many connections, one request each, no disk: 0.9 of the best", 0.9, unsynced_crowd),
        speed("the same with every reply synced: ahead of all", 1.0, synced_crowd),
        speed("one connection, one request: 0.8 of the best", 0.8, alone),
        _verdict(
            "memory of a queued message at most 1.5 x beanstalkd's (beanstalkd's / ours, 1/1.5)",
            1 / 1.5,
            _memory(kept, ours),
        ),
    ]


def _ratios(
    found: Results, ours: str, where: Callable[[Key], bool], peers: Sequence[str]
) -> list[tuple[str, float]]:
    """Our rate by that of the peer that leaves the least of it, row by row."""
    ratios = []
    for key, rounds in sorted(found.items()):
        if key.server != ours or not where(key):
            continue
        beside = {
            other.server: _ratio(rounds, theirs, "rate")
            for other, theirs in found.items()
            if _row(other) == _row(key)
            and not is_ours(other.server)
            and other.server not in NO_PEERS
            and (not peers or other.server in peers)
        }
        if beside:
            best = min(beside, key=lambda name: beside[name])
            row = f"{key.durability} {key.op} {key.cell} {key.body_bytes} B beside {best}"
            cpu = 1 / _ratio(rounds, found[replace(key, server=best)], "server_us")
            ratios.append((f"{row} (by CPU {cpu:.2f})", beside[best]))
    return ratios


def _ratio(ours: Sequence[Figures], theirs: Sequence[Figures], name: str) -> float:
    # A peer that was left out has fewer rounds.
    pairs = zip(ours, theirs, strict=False)
    ratios: list[float] = [getattr(mine, name) / getattr(yours, name) for mine, yours in pairs]
    return statistics.median(ratios)


def _row(key: Key) -> tuple[str, int, str, Cell]:
    return key.durability, key.body_bytes, key.op, key.cell


def _memory(kept: Iterable[Kept], ours: str) -> list[tuple[str, float]]:
    each = {(one.durability, one.server): one.bytes_each for one in kept}
    return [
        (durability, each[durability, "beanstalkd"] / max(taken, 1.0))
        for (durability, server), taken in each.items()
        if server == ours and (durability, "beanstalkd") in each
    ]


def _verdict(bar: str, least: float, ratios: list[tuple[str, float]]) -> Verdict:
    missed = [each for each in ratios if each[1] < least]
    worst = min(ratios, key=lambda each: each[1], default=None)
    return Verdict(bar, least, len(ratios), missed, worst)

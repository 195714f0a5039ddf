"""The dedup keys of one queue: which id a key was stored under, for a window."""

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain, islice, takewhile
from typing import Final

SHARDED_FROM: Final = 8192
"""With more keys they stand in several tables, so that none is large when it grows."""

SHARDS: Final = 256
"""Those of a million keys have 4,000 each: one grows in 0.1 ms, one for all would in 38."""

Entry = tuple[int, float, int]
"""The id, until when the key holds, and the segment that has the record."""


class Dedup:
    """Keys with the time until which each holds, in monotonic seconds.

    In each table they stand in the order of their segments. While all have the same window they
    expire in the order they came, which a deque keeps; one that expires before the last of these
    goes to a heap.
    """

    __slots__ = ("_count", "_early", "_mask", "_next_moved", "_order", "_shards")

    def __init__(self) -> None:
        self._shards: list[dict[str, Entry]] = [{}]
        self._mask = 0
        self._count = 0
        self._next_moved = 0
        self._order: deque[tuple[float, str]] = deque()
        self._early: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return self._count

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Each key with what is known of it."""
        return chain.from_iterable([shard.items() for shard in self._shards])

    def find(self, key: str, now: float) -> int | None:
        """The id that was stored under the key, if that holds still."""
        entry = self._shard(key).get(key)
        return entry[0] if entry is not None and entry[1] > now else None

    def has_none(self, keys: Sequence[str]) -> bool:
        """Whether none of these was stored, even long ago."""
        shards, mask = self._shards, self._mask
        if not mask:
            return shards[0].keys().isdisjoint(keys)
        return not any(key in shards[hash(key) & mask] for key in keys)

    def add_one(self, key: str, message_id: int, until: float, segment: int) -> int | None:
        """As `add`, for one key; answers the segment of the entry that this replaces, if one is."""
        shard = self._shard(key)
        replaced = shard.pop(key, None)  # so that it goes to the end
        shard[key] = (message_id, until, segment)
        self._count += replaced is None
        if self._count > SHARDED_FROM and not self._mask:
            self._begin_shards()
        if not self._order or until >= self._order[-1][0]:
            self._order.append((until, key))
        else:
            heappush(self._early, (until, key))
        return None if replaced is None else replaced[2]

    def add(self, keys: Sequence[str], ids: Sequence[int], until: float, segment: int) -> list[int]:
        """Remember keys, each under its id; `segment` is where the journal has them.

        Returns:
            The segments of entries that these replace.
        """
        shards, mask = self._shards, self._mask
        old: list[int] = []
        for key, message_id in zip(keys, ids, strict=True):
            shard = shards[hash(key) & mask]
            if key in shard:
                old.append(shard.pop(key)[2])
            shard[key] = (message_id, until, segment)
        self._count += len(keys) - len(old)
        if self._count > SHARDED_FROM and not mask:
            self._begin_shards()
        if not self._order or until >= self._order[-1][0]:
            self._order.extend([(until, key) for key in keys])
        else:
            for key in keys:
                heappush(self._early, (until, key))
        return old

    def _shard(self, key: str) -> dict[str, Entry]:
        return self._shards[hash(key) & self._mask]

    def _begin_shards(self) -> None:
        entries = self._shards[0]
        self._mask = SHARDS - 1
        self._shards = [{} for _ in range(SHARDS)]
        for key, entry in entries.items():
            self._shard(key)[key] = entry

    def has_over(self, now: float) -> bool:
        """Whether the time of a key is over."""
        order, early = self._order, self._early
        return bool(order and order[0][0] <= now) or bool(early and early[0][0] <= now)

    def expire(self, now: float, count: int) -> list[int]:
        """Forget keys whose time is over, up to about `count`; the segments that had them."""
        segments: list[int] = []
        while count > 0 and self._order and self._order[0][0] <= now:
            self._forget(self._order.popleft(), segments)
            count -= 1
        while count > 0 and self._early and self._early[0][0] <= now:
            self._forget(heappop(self._early), segments)
            count -= 1
        return segments

    def _forget(self, due: tuple[float, str], segments: list[int]) -> None:
        until, key = due
        shard = self._shard(key)
        entry = shard.get(key)
        if entry is not None and entry[1] == until:  # else it was used again
            del shard[key]
            self._count -= 1
            segments.append(entry[2])

    def move(self, segment: int, target: int, count: int) -> list[tuple[str, int, float]]:
        """Let keys that stand in `segment`, the oldest one, stand in `target`: up to `count`.

        Returns:
            Key, id, and until when it holds, of each.
        """
        moved: list[tuple[str, int, float]] = []
        for _ in self._shards:
            shard = self._shards[self._next_moved & self._mask]
            left = count - len(moved)
            first = takewhile(lambda item: item[1][2] == segment, islice(shard.items(), left))
            found = [(key, message_id, until) for key, (message_id, until, _) in first]
            for key, message_id, until in found:
                del shard[key]
                shard[key] = (message_id, until, target)
            moved += found
            if len(moved) >= count:
                break
            self._next_moved += 1  # and the next call goes on there
        return moved

    def shift(self, seconds: float) -> None:
        """Let every key hold so much longer."""
        for shard in self._shards:
            for key, (message_id, until, segment) in shard.items():
                shard[key] = (message_id, until + seconds, segment)
        self._order = deque((until + seconds, key) for until, key in self._order)
        self._early = [(until + seconds, key) for until, key in self._early]
        heapify(self._early)  # rounding may have made two of them equal

    def sort(self) -> None:
        """Put keys that were added out of order into the order in which they expire."""
        self._order = deque(sorted([*self._order, *self._early]))
        self._early = []

    def next_deadline(self) -> float | None:
        """When the first key expires."""
        firsts = [order[0][0] for order in (self._order, self._early) if order]
        return min(firsts, default=None)

    def segments(self) -> list[int]:
        """The segment of each key."""
        return [entry[2] for _, entry in self.items()]

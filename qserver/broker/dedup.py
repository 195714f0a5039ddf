"""The dedup keys of one queue: which id a key was stored under, for a window."""

from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush


class Dedup:
    """Keys with the time until which each holds, in monotonic seconds.

    They stand in the order of their segments. While all have the same window they expire in the
    order they came, which a deque keeps; one that expires before the last of these goes to a heap.
    """

    __slots__ = ("_early", "_keys", "_order")

    def __init__(self) -> None:
        self._keys: dict[str, tuple[int, float, int]] = {}
        self._order: deque[tuple[float, str]] = deque()
        self._early: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str, now: float) -> int | None:
        """The id that was stored under the key, if that holds still."""
        entry = self._keys.get(key)
        return entry[0] if entry is not None and entry[1] > now else None

    def has_none(self, keys: Iterable[str]) -> bool:
        """Whether none of these was stored, even long ago."""
        return self._keys.keys().isdisjoint(keys)

    def add_one(self, key: str, message_id: int, until: float, segment: int) -> int | None:
        """As `add`, for one key; answers the segment of the entry that this replaces, if one is."""
        replaced = self._keys.pop(key, None)
        self._keys[key] = (message_id, until, segment)
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
        known = self._keys
        old = [known.pop(key) for key in keys if key in known]  # so that it goes to the end
        for key, message_id in zip(keys, ids, strict=True):
            known[key] = (message_id, until, segment)
        if not self._order or until >= self._order[-1][0]:
            self._order.extend([(until, key) for key in keys])
        else:
            for key in keys:
                heappush(self._early, (until, key))
        return [segment for _, _, segment in old]

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
        entry = self._keys.get(key)
        if entry is not None and entry[1] == until:  # else it was used again
            del self._keys[key]
            segments.append(entry[2])

    def move(self, segment: int, target: int, count: int) -> list[tuple[str, int, float]]:
        """Let keys that stand in `segment`, the oldest one, stand in `target`: up to `count`.

        Returns:
            Key, id, and until when it holds, of each.
        """
        found: list[tuple[str, int, float]] = []
        for key, (message_id, until, where) in self._keys.items():
            if where != segment or len(found) >= count:
                break
            found.append((key, message_id, until))
        for key, message_id, until in found:
            del self._keys[key]
            self._keys[key] = (message_id, until, target)
        return found

    def shift(self, seconds: float) -> None:
        """Let every key hold so much longer."""
        for key, (message_id, until, segment) in self._keys.items():
            self._keys[key] = (message_id, until + seconds, segment)
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
        return [entry[2] for entry in self._keys.values()]

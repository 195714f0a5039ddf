"""One timer wheel for everything that waits: leases, delays, ttls, waits, graces.

Eight levels of 64 slots. A slot of level 0 is one tick wide (1/64 s), one of level 1 is 64 ticks
wide, and so on: 100,000 years in all, more than `at` can ask for, so a lease of a second and a
delay of a year cost the same.
An item goes to the level of the highest bit in which its tick differs from the present one; when
the wheel comes to a slot above level 0, its items are dealt to the levels below. So an item is
moved seven times at most, whatever it waits for. (Varghese and Lauck 1987, scheme 6; the choice of
level by the differing bit is that of Linux's and tokio's wheels.)

Cancelling is exact and O(1): an item knows the set that holds it. Extending is lazy: a later
`deadline` may simply be written into the item, and when its old slot comes up it is dealt again.

An item fires at the first tick at or after its deadline: never early, 1/64 s late at most, plus
what the caller's loop takes. A call does a bounded amount of work and says when there is more.
"""

import math
from typing import Final, Protocol

TICKS_PER_S: Final = 64
LEVELS: Final = 8
BITS: Final = 6
SLOTS: Final = 1 << BITS
MASK: Final = SLOTS - 1

SET_MAX: Final = 8192
"""A slot with more items has several sets: while a set of a million grows, all have to wait."""


class Timed(Protocol):
    """What the wheel can hold."""

    deadline: float
    slot: "Slot | None"


Slot = set[Timed]


class Wheel:
    """Items by deadline, in monotonic seconds.

    Attributes:
        has_new_slot: whether `next_deadline` may have come nearer, or have passed, since the caller
            last set this to False.
    """

    __slots__ = ("_occupied", "_opened", "_set_max", "_slots", "_tick", "has_new_slot")

    def __init__(self, now: float, set_max: int = SET_MAX) -> None:
        self._set_max = set_max
        self._tick = int(now * TICKS_PER_S)
        self._opened: list[Slot] = []
        self._slots: list[list[list[Slot] | None]] = [[None] * SLOTS for _ in range(LEVELS)]
        self._occupied = [0] * LEVELS
        self.has_new_slot = True

    def slot_for(self, deadline: float) -> Slot:
        """The set to put an item with that deadline into, for callers with many of one deadline.

        Whoever adds an item to it must set the item's `deadline` and `slot`.
        """
        tick = max(math.ceil(deadline * TICKS_PER_S), self._tick)
        level = max((tick ^ self._tick).bit_length() - 1, 0) // BITS
        index = (tick >> (level * BITS)) & MASK
        slots = self._slots[level][index]
        if slots is None:
            slots = self._slots[level][index] = [set()]
            self._occupied[level] |= 1 << index
            self.has_new_slot = True
        slot = slots[-1]
        if len(slot) >= self._set_max:
            slot = set()
            slots.append(slot)
        return slot

    def schedule(self, item: Timed, deadline: float) -> None:
        """Let the item fire at its deadline, instead of whenever it would have."""
        if item.slot is not None:
            item.slot.discard(item)
        item.deadline = deadline
        slot = item.slot = self.slot_for(deadline)
        slot.add(item)

    def cancel(self, item: Timed) -> None:
        """Let the item not fire; nothing if it would not have."""
        if item.slot is not None:
            item.slot.discard(item)
            item.slot = None

    def next_deadline(self) -> float | None:
        """When `advance` is to be called next; None if nothing is held.

        It may be early (items are dealt down then, or were cancelled), never late.
        """
        if self._opened:
            return self._tick / TICKS_PER_S
        found = self._next_slot()
        return None if found is None else found[2] / TICKS_PER_S

    def advance(self, now: float, budget: int) -> tuple[list[Timed], bool]:
        """Take out what is due, handling up to `budget` items.

        Returns:
            The items that fired, their `slot` None; and whether the budget ended it, so that
            there may be more due now.
        """
        self.has_new_slot = True
        fired: list[Timed] = []
        target = int(now * TICKS_PER_S)
        while True:
            while self._opened:
                slot = self._opened[-1]
                if not slot:
                    self._opened.pop()
                    continue
                if budget <= 0:
                    return fired, True
                budget -= 1
                item = slot.pop()
                item.slot = None
                if item.deadline * TICKS_PER_S <= self._tick:
                    fired.append(item)
                else:
                    self.schedule(item, item.deadline)
            found = self._next_slot()
            if found is None or found[2] > target:
                self._tick = max(self._tick, target)
                return fired, False
            self._open(*found)

    def _open(self, level: int, index: int, start: int) -> None:
        """Come to a slot: what is in it is due, or is to be dealt to the levels below.

        It is taken out of its level, since until it is empty it comes before all the others.
        """
        slots = self._slots[level][index]
        assert slots is not None
        self._opened = slots[::-1]  # the last is taken first: who came first, about
        self._slots[level][index] = None
        self._occupied[level] &= ~(1 << index)
        self._tick = start

    def _next_slot(self) -> tuple[int, int, int] | None:
        """Level, index and first tick of the earliest slot in use.

        Every item of a level is due before all items of the levels above, since it shares more of
        its high bits with the present tick.
        """
        for level, occupied in enumerate(self._occupied):
            if occupied:
                shift = level * BITS
                index = (occupied & -occupied).bit_length() - 1
                rotation = self._tick >> (shift + BITS) << (shift + BITS)
                return level, index, rotation | (index << shift)
        return None

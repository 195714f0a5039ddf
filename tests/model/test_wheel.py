"""The timer wheel beside a plain table of deadlines."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from qserver.broker.wheel import LEVELS, TICKS_PER_S, Slot, Timed, Wheel

TICK_S = 1 / TICKS_PER_S
YEAR_S = 365 * 86_400.0

NAMES = st.integers(0, 30)
SPANS = st.one_of(
    st.floats(-1, 5),
    st.floats(0, 5000),
    st.floats(0, 8000 * YEAR_S),
    st.integers(0, 1 << 20).map(lambda ticks: ticks / TICKS_PER_S),
    st.integers(0, 42).map(lambda bits: (1 << bits) / TICKS_PER_S),
)
STARTS = st.one_of(st.just(0.0), st.floats(0, 1e9), st.just((1 << 24) / TICKS_PER_S - TICK_S))


class Item:
    """Counts how often the wheel puts it somewhere."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.deadline = 0.0
        self.moves = 0
        self._slot: Slot | None = None

    @property
    def slot(self) -> Slot | None:
        return self._slot

    @slot.setter
    def slot(self, slot: Slot | None) -> None:
        self.moves += slot is not None
        self._slot = slot


class WheelLife(RuleBasedStateMachine):
    """Any items at any times, looked for with any budget."""

    def __init__(self) -> None:
        super().__init__()
        self.start(0.0)

    @rule(now=STARTS)
    def start(self, now: float) -> None:
        self.now = now
        self.wheel = Wheel(now, set_max=2)
        self.items = {name: Item(name) for name in range(31)}
        self.held: dict[int, float] = {}

    @rule(name=NAMES, span=SPANS)
    def schedule(self, name: int, span: float) -> None:
        self.held[name] = self.now + span
        self.wheel.schedule(self.items[name], self.now + span)

    @rule(names=st.sets(NAMES, min_size=1), span=SPANS)
    def schedule_together(self, names: set[int], span: float) -> None:
        """As a GET does with what it leases."""
        deadline = self.now + span
        slot = self.wheel.slot_for(deadline)
        for name in names:
            item = self.items[name]
            if item.slot is not None:
                item.slot.discard(item)
            item.deadline, item.slot = deadline, slot
            slot.add(item)
            self.held[name] = deadline

    @rule(name=NAMES)
    def cancel(self, name: int) -> None:
        self.held.pop(name, None)
        self.wheel.cancel(self.items[name])

    @rule(name=NAMES, span=SPANS)
    def extend(self, name: int, span: float) -> None:
        """As a TOUCH does: the wheel is not told."""
        if name in self.held and span > 0:
            self.held[name] += span
            self.items[name].deadline = self.held[name]

    @rule(span=SPANS, budget=st.integers(1, 50))
    def advance(self, span: float, budget: int) -> None:
        self.now += max(span, 0.0)
        more = True
        while more:
            fired, more = self.wheel.advance(self.now, budget)
            assert len(fired) <= budget
            for item in fired:
                assert item.slot is None
                assert isinstance(item, Item)
                assert self.held.pop(item.name) <= self.now, "it is early"
        assert min(self.held.values(), default=inf) > self.now - TICK_S, "something is late"

    @rule(span=SPANS)
    def advance_once(self, span: float) -> None:
        """What the budget leaves over stays to be done, and can still be changed."""
        self.now += max(span, 0.0)
        fired, _ = self.wheel.advance(self.now, 1)
        for item in fired:
            assert isinstance(item, Item)
            assert self.held.pop(item.name) <= self.now, "it is early"

    @rule()
    def advance_when_told(self) -> None:
        """Called just when it says, it fires everything within a tick of its deadline."""
        told = self.wheel.next_deadline()
        first = min(self.held.values(), default=inf)
        if told is not None and first < inf:
            assert told <= max(first, self.now) + TICK_S, "it is told too late"
            self.now = max(self.now, told)
            self.advance(0.0, 50)

    @invariant()
    def it_wants_to_be_called_while_it_holds_anything(self) -> None:
        assert self.wheel.next_deadline() is not None or not self.held

    @invariant()
    def each_slot_is_known_to_its_items(self) -> None:
        for name, item in self.items.items():
            assert (item.slot is not None) == (name in self.held)
            assert item.slot is None or item in item.slot

    def teardown(self) -> None:
        for name in list(self.held):
            self.cancel(name)
        self.advance(10_000 * YEAR_S, 50)
        assert self.wheel.next_deadline() is None


class LongWheelLife(WheelLife):
    """The same, for a long time."""


WheelLife.TestCase.settings = settings(max_examples=50, stateful_step_count=40)
LongWheelLife.TestCase.settings = settings(max_examples=800, stateful_step_count=60)
TestWheelLife = WheelLife.TestCase
TestLongWheelLife = pytest.mark.slow(LongWheelLife.TestCase)


@given(STARTS, SPANS.filter(lambda span: span >= 0))
def test_an_item_is_moved_seven_times_at_most_whatever_it_waits_for(
    now: float, span: float
) -> None:
    wheel, item = Wheel(now), Item(0)
    wheel.schedule(item, now + span)
    called = 0
    fired: list[Timed] = []
    while not fired:
        told = wheel.next_deadline()
        assert told is not None
        fired, more = wheel.advance(max(told, now), 10)
        called += 1
        assert not more
    assert fired == [item]
    assert item.moves <= LEVELS
    assert called <= LEVELS


@pytest.mark.parametrize("span", [1.0, YEAR_S])
def test_a_long_wait_is_one_call_if_nobody_looks_meanwhile(span: float) -> None:
    wheel, item = Wheel(0.0), Item(0)
    wheel.schedule(item, span)
    fired, more = wheel.advance(span, 10)
    assert (fired, more) == ([item], False)
    assert item.moves <= LEVELS


def test_a_wheel_that_was_idle_for_long_has_gone_on_meanwhile() -> None:
    wheel, item = Wheel(0.0), Item(0)
    wheel.advance(float(1 << 20), 10)
    wheel.schedule(item, (1 << 20) + TICK_S)
    assert wheel.advance((1 << 20) + TICK_S, 10) == ([item], False)
    assert item.moves == 1


def test_nothing_held_wants_nothing() -> None:
    assert Wheel(17.3).next_deadline() is None


def test_a_deadline_in_the_past_fires_at_the_next_call() -> None:
    wheel, item = Wheel(1000.0), Item(0)
    wheel.schedule(item, -1e9)
    assert wheel.advance(1000.0, 10) == ([item], False)

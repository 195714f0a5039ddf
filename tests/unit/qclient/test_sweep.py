"""A long listing read in turns."""

from collections.abc import AsyncIterator

import pytest

from qclient import sweep
from qclient.sweep import Sweep


class Listing:
    """Numbers in order that change between two turns."""

    def __init__(self, *there: int) -> None:
        self.there = set(there)
        self.read = 0

    async def behind(self, after: int | None) -> AsyncIterator[int]:
        for number in sorted(self.there):
            if after is None or number > after:
                self.read += 1
                yield number

    def sweep(self, weight: int = 0) -> Sweep[int, int]:
        return Sweep(self.behind, lambda row: row, lambda _: weight)


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "ROWS_MAX", 4)
    monkeypatch.setattr(sweep, "BYTES_MAX", 100)


async def test_a_turn_reads_no_more_than_the_bound_and_the_next_goes_on_behind_it() -> None:
    listing = Listing(*range(10))
    sweep = listing.sweep()
    turns = [(await sweep.turn()).rows for _ in range(3)]
    assert turns == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert (listing.read, sweep.rounds) == (10, 1)
    assert (await sweep.turn()).rows == [0, 1, 2, 3]


async def test_a_turn_ends_when_bodies_are_heavy_but_always_gets_on() -> None:
    sweep = Listing(1, 2, 3).sweep(weight=60)
    assert (await sweep.turn()).rows == [1, 2]
    heavy = Listing(1, 2).sweep(weight=1000)
    assert [(await heavy.turn()).rows for _ in range(3)] == [[1], [2], []]


async def test_news_are_told_once() -> None:
    listing = Listing(1, 3)
    sweep = listing.sweep()
    assert (await sweep.turn()).news == [1, 3]
    assert (await sweep.turn()).news == []
    listing.there.add(2)
    assert (await sweep.turn()).news == [2]
    assert sweep.known == {1, 2, 3}


async def test_what_a_whole_round_did_not_meet_is_gone_and_is_news_when_it_comes_again() -> None:
    listing = Listing(*range(6))
    sweep = listing.sweep()
    await sweep.turn()
    await sweep.turn()
    listing.there -= {1, 5}
    halfway = await sweep.turn()
    assert (halfway.rows, halfway.gone) == ([0, 2, 3, 4], set())
    assert (await sweep.turn()).gone == {1, 5}
    listing.there.add(5)
    assert [(await sweep.turn()).news for _ in range(2)] == [[], [5]]


async def test_a_row_that_came_behind_the_cursor_waits_for_the_next_round_and_is_not_gone() -> None:
    listing = Listing(1, 2, 3, 4, 5)
    sweep = listing.sweep()
    await sweep.turn()
    listing.there.add(0)
    assert (await sweep.turn()).rows == [5]
    found = await sweep.turn()
    assert (found.news, found.gone) == ([0], set())


async def test_a_round_is_turns_up_to_the_end() -> None:
    sweep = Listing(*range(9)).sweep()
    assert [turn.rows async for turn in sweep.round()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    empty = Listing().sweep()
    assert [turn.rows async for turn in empty.round()] == [[]]


async def test_a_turn_that_fails_halfway_is_read_on_and_what_it_had_found_is_told() -> None:
    listing = Listing(1, 2, 3)

    async def breaking(after: int | None) -> AsyncIterator[int]:
        async for row in listing.behind(after):
            if row == 3 and listing.read == 3:
                raise ConnectionError
            yield row

    sweep: Sweep[int, int] = Sweep(breaking, lambda row: row)
    with pytest.raises(ConnectionError):
        await sweep.turn()
    found = await sweep.turn()
    assert (found.rows, found.news, listing.read) == ([1, 2, 3], [1, 2, 3], 4)
    assert (await sweep.turn()).news == []

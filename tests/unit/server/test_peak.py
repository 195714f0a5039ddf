"""When memory is given back, and which tables are made anew then."""

import pytest

from qserver.server.peak import MESSAGES_MAX, PEAK_BYTES_MIN, REST_BYTES_MIN, Peak
from tests.unit.broker.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def looks(bench: Bench, *taken: int) -> list[bool]:
    """What a look answers after each of these figures of the memory in use."""
    peak = Peak(bench.broker)
    answers = []
    for figure in taken:
        bench.broker.memory = figure
        answers.append(peak.look())
    return answers


def test_a_peak_is_over_when_half_of_it_has_gone(bench: Bench) -> None:
    top = 8 * PEAK_BYTES_MIN
    assert looks(bench, top, top // 2 + 1, top // 2, top // 2, top // 4 + 1, top // 4) == [
        *[False, False, True],
        *[False, False, True],
    ]


def test_memory_that_grows_or_stays_is_no_peak(bench: Bench) -> None:
    assert not any(looks(bench, *range(0, 100 * PEAK_BYTES_MIN, PEAK_BYTES_MIN)))


def test_little_that_comes_and_goes_is_no_peak(bench: Bench) -> None:
    assert not any(looks(bench, *[PEAK_BYTES_MIN - 1, 0] * 10))


def test_the_rest_of_a_peak_is_worth_a_look_until_next_to_nothing_is_left(bench: Bench) -> None:
    rest = 2 * REST_BYTES_MIN
    figures = [PEAK_BYTES_MIN, rest, rest, 1, rest, 1]
    assert looks(bench, *figures) == [False, True, False, True, False, False]


def test_after_a_peak_the_index_of_an_empty_queue_holds_nothing(bench: Bench) -> None:
    for _ in range(3000):
        bench.put()
    bench.ack(*bench.get(count=3000))
    peak = Peak(bench.broker)
    peak.bytes = PEAK_BYTES_MIN
    assert peak.look()
    assert len(bench.broker.queues["q"].index) == 0
    assert peak.look() is False


def test_the_index_of_an_empty_queue_is_empty_and_goes_on(bench: Bench) -> None:
    for _ in range(3000):
        bench.put()
    bench.ack(*bench.get(count=3000))
    index = bench.broker.queues["q"].index
    assert len(index) > 1000
    index.shrink()
    assert len(index) == 0
    bench.put()
    assert list(index.after(0)) == [3001]


def test_where_much_is_left_indexes_stay_as_they_are(bench: Bench) -> None:
    for _ in range(MESSAGES_MAX + 1):
        bench.put()
    bench.put("b")
    bench.ack(*bench.get("b"))
    peak = Peak(bench.broker)
    peak.bytes = 100 * PEAK_BYTES_MIN
    assert peak.look()
    assert len(bench.broker.queues["b"].index) == 1

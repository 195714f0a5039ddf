"""What is young grows old while it is small."""

import gc
from collections import deque

from qserver.server.garbage import Garbage
from tests.unit.broker.bench import Bench


def test_what_is_young_grows_old_ten_times_a_second() -> None:
    garbage, bench = Garbage(), Bench()
    assert garbage.ages_at == 0.0
    bench.put()
    assert any(isinstance(each, deque) for each in gc.get_objects(0))
    garbage.let_age(7.0)
    assert not any(isinstance(each, deque) for each in gc.get_objects(0) + gc.get_objects(1))
    assert garbage.ages_at == 7.1

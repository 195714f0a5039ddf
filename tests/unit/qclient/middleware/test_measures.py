"""What metrics say about a run, beside what the worker settles."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from qclient.middleware import CallNext, standard
from qclient.middleware.measures import Measure, measured
from qclient.tasks import Reject, Release, Retry, Why
from qclient.worker.delivery import Delivery
from qclient.worker.outcome import Counts
from tests.unit.qclient.client_fakes import virtual
from tests.unit.qclient.middleware.chains import TIME, Play, never, nothing, raising, run
from tests.unit.qclient.worker.fakes import delivery, task_of

pytestmark = pytest.mark.usefixtures("time_stands")

ENDINGS = [
    (nothing, None, "done", "ack 1.1"),
    (raising(ValueError()), None, "failed", "nack 1.1 delay=2"),
    (raising(Retry(after=9)), None, "failed", "nack 1.1 delay=9"),
    (raising(Reject()), None, "dead", "nack 1.1 dead"),
    (raising(Release()), None, "released", "release 1.1 delay=1"),
    (never, Why.TIMEOUT, "failed", "nack 1.1 delay=2"),
    (never, Why.STOP, "released", "release 1.1"),
    (never, Why.LOST, "lost", None),
    (raising(asyncio.CancelledError()), None, "failed", "nack 1.1 delay=2"),
]


@pytest.mark.parametrize(("play", "why", "ended", "word"), ENDINGS)
def test_the_outermost_sees_what_the_worker_settles(
    play: Play, why: Why | None, ended: str, word: str | None
) -> None:
    seen: list[Measure] = []

    async def outermost(call_next: CallNext, given: Delivery) -> Any:
        raised: BaseException | None = None
        try:
            return await call_next(given)
        except BaseException as error:
            raised = error
            raise
        finally:
            seen.append(measured(given, raised))

    with capture_logs():
        words, counts = virtual(run([outermost, *standard()], delivery(), play, why))
    assert [measure.ended for measure in seen] == [ended]
    assert words == ([] if word is None else [word])
    assert counts == Counts(**{ended: 1})


def test_what_is_given_back_is_no_warning() -> None:
    with capture_logs() as logged:
        virtual(run(standard(), delivery(), raising(Release("not now"))))
    assert logged == [{"event": "given back", "log_level": "debug", "reason": "not now"}]


def test_a_run_that_did_not_come_to_an_end_has_no_duration() -> None:
    given = delivery()
    given.due_ms = TIME.time() * 1000
    assert measured(given, Release()) == Measure("released")
    given.message.is_lost = True
    assert measured(given, None) == Measure("lost")


def began(ago_s: float, due_s_before: float, **metadata: Any) -> Measure:
    """Of a run that began so long ago, and could have begun so long before that."""
    given = delivery(1, task_of(), **metadata)
    given.began_at = TIME.monotonic() - ago_s
    given.due_ms = (TIME.time() - ago_s - due_s_before) * 1000
    return measured(given, None)


def test_the_duration_is_from_its_begin_and_the_latency_up_to_it() -> None:
    measure = began(5, 60)
    assert measure.seconds == pytest.approx(5)
    assert measure.latency_s == pytest.approx(60)


def test_a_clock_that_is_ahead_makes_no_negative_latency() -> None:
    assert began(5, -60).latency_s == 0


@pytest.mark.parametrize("metadata", [{"failures": 1}, {"losses": 1}])
def test_the_latency_is_that_of_first_attempts(metadata: dict[str, int]) -> None:
    assert began(5, 60, **metadata).latency_s is None


def test_a_delivery_that_was_only_given_back_before_is_a_first_attempt() -> None:
    assert began(5, 60, deliveries=7).latency_s == pytest.approx(60)


def test_without_a_time_there_is_no_latency() -> None:
    given = delivery()
    given.began_at = TIME.monotonic()
    measure = measured(given, None)
    assert (measure.ended, measure.latency_s) == ("done", None)

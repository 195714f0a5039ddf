"""What becomes of a run, with the standard middleware around it."""

import asyncio
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any, cast

import pytest
import structlog
from structlog.testing import capture_logs

from qclient.middleware import compose, standard
from qclient.middleware.logging import Logging
from qclient.middleware.timeout import timeout
from qclient.settling import Settling
from qclient.tasks import Reject, Retry, Why
from qclient.worker.delivery import Delivery
from qclient.worker.outcome import Counts, Outcomes, reason
from tests.unit.qclient.client_fakes import passes, until, virtual
from tests.unit.qclient.worker.fakes import Bench, Settled, delivery, task_of

Play = Callable[[], Coroutine[Any, Any, Any]]


def raising(error: BaseException) -> Play:
    async def play() -> None:
        raise error

    return play


def outcomes() -> tuple[Settled, Outcomes]:
    settled = Settled()
    return settled, Outcomes(cast("Settling", settled), Counts())


def run(play: Play, given: Delivery, why: Why | None = None) -> tuple[Settled, Counts]:
    """Run once with the standard middleware; cancelled for `why` once it waits."""
    settled, out = outcomes()

    async def main() -> None:
        middleware = compose(standard(), lambda _: play())
        bench = Bench(1, middleware)
        bench.slots._finish = out.finish
        bench.slots.take([given])
        await until(lambda: given.slot is not None)
        if why is not None:
            bench.slots.cancel(given, why)
        await bench.slots.wait_quiet()
        await bench.slots.close()

    with capture_logs():
        virtual(main())
    return settled, out.counts


def test_a_run_that_ends_well_is_acked() -> None:
    settled, counts = run(lambda: passes(1), delivery())
    assert (settled.words, counts) == (["ack 1.1"], Counts(done=1))


@pytest.mark.parametrize(("failures", "after"), [(0, "2"), (1, "4"), (2, "8"), (3, "8")])
def test_failures_are_tried_again_after_a_backoff_that_doubles_to_its_bound(
    failures: int, after: str
) -> None:
    settled, counts = run(raising(ValueError("bad")), delivery(failures=failures))
    assert (settled.words, counts) == ([f"nack 1.1 delay={after}"], Counts(failed=1))
    assert (settled.reasons[0] or "").startswith("ValueError: bad\n")


@pytest.mark.parametrize(
    ("limit", "failures", "word"),
    [(5, 3, "nack 1.1 delay=8"), (5, 4, "nack 1.1 dead"), (1, 0, "nack 1.1 dead")],
)
def test_the_last_attempt_goes_to_the_dead_letters(limit: int, failures: int, word: str) -> None:
    task = task_of(max_attempts=limit)
    settled, _ = run(raising(ValueError("bad")), delivery(1, task, failures=failures))
    assert settled.words == [word]
    last = f"failed {failures + 1} of {limit} times"
    assert (settled.reasons[0] or "").endswith(last) == word.endswith("dead")


def test_losses_and_deliveries_are_no_failures() -> None:
    settled, _ = run(raising(ValueError()), delivery(deliveries=9, losses=8))
    assert settled.words == ["nack 1.1 delay=2"]


def test_retry_says_when_and_counts_as_a_failure() -> None:
    settled, counts = run(raising(Retry("busy", after=60)), delivery())
    assert (settled.words, counts.failed) == (["nack 1.1 delay=60"], 1)
    assert (settled.reasons[0] or "").startswith("busy\n")
    settled, counts = run(raising(Retry(after=60)), delivery(failures=4))
    assert (settled.words, counts.dead) == (["nack 1.1 dead"], 1)


def test_reject_goes_to_the_dead_letters_at_once() -> None:
    settled, counts = run(raising(Reject("no such user")), delivery())
    assert (settled.words, counts) == (["nack 1.1 dead"], Counts(dead=1))
    assert (settled.reasons[0] or "").startswith("no such user\n")


def test_a_timeout_is_a_failure_that_says_where_it_was() -> None:
    settled, counts = run(lambda: passes(99), delivery(), Why.TIMEOUT)
    assert (settled.words, counts.failed) == (["nack 1.1 delay=2"], 1)
    text = settled.reasons[0] or ""
    assert text.startswith("TimeoutError: it ran for longer than its timeout of 3600 s\n")
    assert "passes: await future" in text


def test_a_timeout_is_the_tasks_and_not_that_of_the_middleware_around_it() -> None:
    settled, out = outcomes()

    async def lingering(call_next: Any, given: Delivery) -> Any:
        result = await call_next(given)
        benches[0].now += 60
        await passes(1)
        return result

    async def main() -> None:
        bench = Bench(1, compose([lingering, timeout], lambda _: passes(0.1)))
        benches.append(bench)
        bench.slots._finish = out.finish
        bench.slots.take([delivery(1, task_of(timeout=30))])
        await bench.slots.wait_quiet()
        await bench.slots.close()

    benches: list[Bench] = []
    virtual(main())
    assert settled.words == ["ack 1.1"]


def test_a_stop_releases_and_counts_nothing() -> None:
    settled, counts = run(lambda: passes(99), delivery(), Why.STOP)
    assert (settled.words, counts) == (["release 1.1"], Counts(released=1))


@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit])
def test_a_task_that_ends_itself_has_failed_by_the_rules_of_the_task(
    kind: type[BaseException],
) -> None:
    settled, counts = run(raising(kind("own")), delivery(failures=1))
    assert (settled.words, counts) == (["nack 1.1 delay=4"], Counts(failed=1))
    assert (settled.reasons[0] or "").startswith(f"{kind.__name__}: own\n")
    settled, counts = run(raising(kind("own")), delivery(failures=4))
    assert (settled.words, counts) == (["nack 1.1 dead"], Counts(dead=1))


def test_a_task_that_cancels_itself_while_it_waits_has_failed_too() -> None:
    async def play() -> None:
        asyncio.get_running_loop().call_soon(cast("Any", asyncio.current_task()).cancel)
        await passes(1)

    settled, _ = run(play, delivery())
    assert settled.words == ["nack 1.1 delay=2"]


@pytest.mark.parametrize("play", [lambda: passes(99), raising(ValueError())])
def test_of_a_lost_lease_nothing_is_settled(play: Play) -> None:
    given = delivery()
    given.message.is_lost = True
    settled, counts = run(play, given, Why.LOST)
    assert (settled.words, counts) == ([], Counts(lost=1))


def test_without_middleware_an_exception_is_left_to_the_queues_backoff() -> None:
    settled, out = outcomes()
    out.finish(delivery(), ValueError("bad"))
    assert settled.words == ["nack 1.1"]


def test_a_reason_has_type_text_and_the_users_lines_and_is_bounded() -> None:
    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        raise KeyError("missing")

    try:
        deep(50)
    except KeyError as error:
        first, *lines = reason(error).split("\n")
    assert first == "KeyError: 'missing'"
    assert len(lines) == 6
    assert all(" deep: " in line and line.startswith("  ") for line in lines)
    assert len(reason(ValueError("ä" * 9000)).encode()) <= 4096
    assert reason(ValueError()) == "ValueError"


def test_what_fails_is_logged_with_the_ids_of_its_delivery_and_what_ends_well_is_not() -> None:
    entries: list[dict[str, Any]] = []

    def processor(_logger: object, level: str, event: MutableMapping[str, Any]) -> str:
        merged = structlog.contextvars.merge_contextvars(None, level, event)
        entries.append({**merged, "at": level})
        raise structlog.DropEvent

    async def log_and_fail() -> None:
        structlog.get_logger().info("inside")
        raise Reject("no")

    async def main() -> None:
        middleware = compose(standard(), lambda _: log_and_fail())
        fine = compose([Logging()], lambda _: passes(1))
        with pytest.raises(Reject):
            await middleware(delivery(7))
        await fine(delivery(8))

    before = structlog.get_config()
    structlog.configure(processors=[processor], wrapper_class=structlog.stdlib.BoundLogger)
    try:
        virtual(main())
    finally:
        structlog.configure(**before)
    ids = {"message": "7.7", "task": "nothing", "queue": "q", "attempt": 1}
    assert [(entry["event"], entry["at"]) for entry in entries] == [
        ("inside", "info"),
        ("failed for good", "error"),
    ]
    assert all(ids.items() <= entry.items() for entry in entries)


def test_middleware_is_composed_in_order_the_first_outermost() -> None:
    said: list[str] = []

    def noting(name: str) -> Any:
        async def wrap(call_next: Any, given: Delivery) -> Any:
            said.append(f"{name} in")
            result = await call_next(given)
            said.append(f"{name} out")
            return result

        return wrap

    async def innermost(given: Delivery) -> int:
        said.append("run")
        return given.id

    composed = compose([noting("a"), noting("b")], cast("Any", innermost))
    assert virtual(composed(delivery(5))) == 5
    assert said == ["a in", "b in", "run", "b out", "a out"]

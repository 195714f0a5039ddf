"""Where a job stands and what came of it, as RESULT says it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from qclient import BadBody, BadRequest, Closed, ConnectionLost, NotFound, Outcome, Put
from qclient.tasks import App, Job, JobFailed, JobNotEnded, Progress, State, Status
from qclient.tasks.job import WAIT_S, read_progress, written_progress


class Answers:
    """An outlet that answers RESULT with these, one after the other; None is not-found."""

    def __init__(self, *outcomes: Outcome[Any] | None) -> None:
        self.outcomes = list(outcomes)
        self.waits: list[float] = []

    async def result(self, id: int, *, wait: Any = 0) -> Outcome[Any]:  # noqa: A002
        self.waits.append(wait)
        outcome = self.outcomes.pop(0)
        if outcome is None:
            raise NotFound(f"message {id} is not there")
        return outcome

    async def put_with(self, head: bytes, item: object, dedup: str | None = None) -> Put:
        return Put(7, is_duplicate=dedup == "again")

    async def put_many(self, queue: str, bodies: Any, **_: Any) -> list[int]:
        return [7 + at for at, _ in enumerate(bodies)]


def answer(state: str, raw: bytes = b"null", **info: str) -> Outcome[Any]:
    return Outcome(7, state, raw, info)


@dataclass
class Sum:
    total: int


@dataclass
class Difference:
    total: int


app = App(queue="q")


@app.task(keep_result=timedelta(hours=1))
async def add(numbers: Sequence[int]) -> Sum:
    return Sum(sum(numbers))


@app.task
async def forget() -> int:
    return 3


@app.task(keep_result=60)
def anything(what):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  the point
    return what


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (answer("ready"), Status(7, State.WAITING)),
        (answer("delayed", failures="1"), Status(7, State.WAITING, failures=1, is_delayed=True)),
        (
            answer("leased", progress='{"fraction":0.4,"text":"frames"}'),
            Status(7, State.RUNNING, Progress(0.4, "frames")),
        ),
        (answer("done", b"3", losses="2"), Status(7, State.DONE, losses=2)),
        (answer("dead", reason="no mailbox"), Status(7, State.DEAD, reason="no mailbox")),
        (None, Status(7, State.GONE)),
    ],
)
async def test_a_status_says_what_the_server_knows(
    outcome: Outcome[Any] | None, status: Status
) -> None:
    with app.bound(Answers(outcome)):
        assert await add.job(7).status() == status


def test_a_job_has_ended_when_nothing_more_will_be_done() -> None:
    ended = {state for state in State if Status(7, state).has_ended}
    assert ended == {State.DONE, State.DEAD, State.GONE}


async def test_a_result_is_what_the_function_is_annotated_to_return() -> None:
    with app.bound(Answers(answer("done", b'{"total":6}'))):
        assert await add.job(7).result() == Sum(6)


async def test_without_an_annotation_any_json_is_right() -> None:
    with app.bound(Answers(answer("done", b'{"total":6}'))):
        assert await anything.job(7).result() == {"total": 6}


async def test_what_is_not_what_is_annotated_is_refused_and_says_whose_it_is() -> None:
    with (
        app.bound(Answers(answer("done", b'{"total":"6"}'))),
        pytest.raises(BadBody, match=r"7, its result, .*total"),
    ):
        await add.job(7).result()


async def test_a_dead_job_raises_its_reason() -> None:
    with (
        app.bound(Answers(answer("dead", reason="ValueError: no paper"))),
        pytest.raises(JobFailed, match="job 7 is dead: ValueError: no paper") as failed,
    ):
        await add.job(7).result()
    assert (failed.value.id, failed.value.reason) == (7, "ValueError: no paper")


async def test_a_job_that_is_gone_is_not_waited_for() -> None:
    with (
        app.bound(Answers(None)),
        pytest.raises(NotFound, match="job 7 is gone, or never was"),
    ):
        await add.job(7).result()


async def test_a_job_that_has_not_ended_in_time_goes_on() -> None:
    answers = Answers(answer("leased"))
    with (
        app.bound(answers),
        pytest.raises(JobNotEnded, match="job 7 is running, and has not ended within 0 s") as late,
    ):
        await add.job(7).result(timeout=0)
    assert answers.waits == [0]
    assert (late.value.id, late.value.state) == (7, State.RUNNING)


async def test_a_job_that_has_not_ended_is_a_timeout_and_no_lost_connection() -> None:
    with app.bound(Answers(answer("ready"))), pytest.raises(TimeoutError) as late:
        await add.job(7).result(timeout=0)
    assert isinstance(late.value, JobNotEnded)
    assert not isinstance(late.value, ConnectionLost)
    assert (late.value.code, late.value.is_retryable) == ("job-not-ended", True)


async def test_an_answer_that_is_no_end_is_asked_again_for_what_is_left() -> None:
    answers = Answers(answer("ready"), answer("leased"), answer("done", b'{"total":1}'))
    with app.bound(answers):
        assert await add.job(7).result(timeout=timedelta(seconds=5)) == Sum(1)
    assert len(answers.waits) == 3
    assert 5 >= answers.waits[0] > answers.waits[2] > 4


async def test_without_a_timeout_it_waits_as_long_as_a_server_lets_it_and_asks_again() -> None:
    answers = Answers(answer("ready"), answer("done", b'{"total":1}'))
    with app.bound(answers):
        assert await add.job(7).result() == Sum(1)
    assert answers.waits == [WAIT_S, WAIT_S]


async def test_no_wait_is_longer_than_any_server_lets_it() -> None:
    answers = Answers(answer("done", b'{"total":1}'))
    with app.bound(answers):
        assert await add.job(7).result(timeout=timedelta(days=1)) == Sum(1)
    assert answers.waits == [WAIT_S]


async def test_a_task_that_keeps_no_result_says_so_before_it_is_waited_for() -> None:
    answers = Answers()
    with (
        app.bound(answers),
        pytest.raises(BadRequest, match=r"task 'forget' keeps no result: .*keep_result"),
    ):
        await forget.job(7).result()
    assert answers.waits == []


async def test_every_way_to_put_gives_jobs_that_can_be_asked() -> None:
    with app.bound(Answers(*[answer("ready")] * 5)):
        jobs = [
            await add.put([1]),
            await add.put_in(60, [1]),
            *await add.put_many([add.call([1]), add.call([2])]),
            await add.with_options(queue="other", dedup="again").put([1]),
        ]
        assert [await job.status() for job in jobs] == [Status(7, State.WAITING)] * 5
    assert [job.queue for job in jobs] == ["q", "q", "q", "q", "other"]
    assert [job.id for job in jobs] == [7, 7, 7, 8, 7]
    assert [job.is_duplicate for job in jobs] == [False] * 4 + [True]


async def test_a_job_asks_only_through_an_app_that_is_connected() -> None:
    with pytest.raises(Closed, match="the app is not connected"):
        await add.job(7).status()
    with pytest.raises(Closed, match="made by hand"):
        await Job[int](7, "q").status()


def test_a_synchronous_client_s_answer_is_read_the_same_way() -> None:
    assert add.job(7).read(answer("done", b'{"total":6}')) == Sum(6)
    with pytest.raises(JobFailed):
        add.job(7).read(answer("dead"))
    with pytest.raises(JobNotEnded, match=r"job 7 is running, and has not ended$"):
        add.job(7).read(answer("leased"))


@pytest.mark.parametrize(
    ("progress", "written"),
    [
        (Progress(0.25), b"0.25"),
        (Progress(0.25, "a"), b'{"fraction":0.25,"text":"a"}'),
        (Progress(text="a"), b'{"fraction":null,"text":"a"}'),
    ],
)
def test_progress_is_a_number_where_that_says_all(progress: Progress, written: bytes) -> None:
    assert written_progress(progress) == written


@pytest.mark.parametrize(
    ("said", "progress", "shown"),
    [
        (0.5, Progress(0.5), "50%"),
        (1, Progress(1.0), "100%"),
        ({"fraction": 0.5, "text": "half"}, Progress(0.5, "half"), "50% half"),
        ({"text": "half"}, Progress(None, "half"), "half"),
        ({"at": 3, "text": 4}, Progress(None, '{"at":3,"text":4}'), '{"at":3,"text":4}'),
        ("half", Progress(None, "half"), "half"),
        (True, Progress(None, "true"), "true"),
        ([1], Progress(None, "[1]"), "[1]"),
    ],
)
def test_progress_that_anyone_left_is_read(said: Any, progress: Progress, shown: str) -> None:
    assert read_progress(said) == progress
    assert str(progress) == shown


def test_no_progress_is_none() -> None:
    assert read_progress(None) is None


@pytest.mark.parametrize("keep", [0, -1, float("nan")])
def test_a_result_is_kept_for_some_time_or_not_at_all(keep: float) -> None:
    with pytest.raises(BadRequest, match="keep_result"):
        App().task(keep_result=keep)(forget.function)


def test_an_annotation_that_no_json_can_become_is_told_at_the_start() -> None:
    def either() -> Sum | Difference:  # nothing in the JSON says which
        return Sum(3)

    with pytest.raises(TypeError, match="dataclass"):
        App().task(keep_result=60)(either).prepare()
    App().task(either).prepare()

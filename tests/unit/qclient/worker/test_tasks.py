"""Tasks, their arguments and their messages."""

import enum
import inspect
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from inspect import Parameter
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest

from qclient import BadName, BadRequest, Closed
from qclient.tasks import App, AsyncTask, PlainTask, Reject, Retry
from qclient.tasks.arguments import Arguments
from qclient.tasks.envelope import arrived
from qclient.tasks.task import Task
from tests.unit.qclient.client_fakes import connected, virtual


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int


class Mail(msgspec.Struct):
    to: str


def read(function: Callable[..., Any], args: str = "[]", kwargs: str = "{}") -> Any:
    call = arrived(f'{{"task":"t","args":{args},"kwargs":{kwargs}}}'.encode())
    found_args, found_kwargs = Arguments(function).read(call.args, call.kwargs)
    return tuple(found_args), dict(found_kwargs)


def many(
    mail: Mail,
    point: Point,
    when: datetime,
    uuid: UUID,
    colour: Colour = Colour.RED,
    *,
    pause: timedelta = timedelta(),
    data: bytes = b"",
    later: "Later | None" = None,
) -> None: ...


class Later(msgspec.Struct):
    """Named before it is there."""

    n: int


UUID_TEXT = "12345678-1234-5678-1234-567812345678"


def test_arguments_become_what_the_function_annotates() -> None:
    args = f'[{{"to":"ada"}},{{"x":1}},"2027-01-31T09:30:00Z","{UUID_TEXT}","red"]'
    kwargs = '{"pause":"PT2S","data":"aGk=","later":{"n":3}}'
    assert read(many, args, kwargs) == (
        (
            Mail("ada"),
            Point(1),
            datetime(2027, 1, 31, 9, 30, tzinfo=UTC),
            UUID(UUID_TEXT),
            Colour.RED,
        ),
        {"pause": timedelta(seconds=2), "data": b"hi", "later": Later(3)},
    )


def test_a_parameter_without_annotation_takes_any_json() -> None:
    def free(a, b=2):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        ...

    assert read(free, '[{"x":[1]}]', '{"b":null}') == (({"x": [1]},), {"b": None})


def test_values_for_stars_are_read_as_they_are_annotated() -> None:
    def stars(first: str, *rest: int, **more: Point) -> None: ...

    assert read(stars, '["a",1,2]', '{"p":{"x":1}}') == (("a", 1, 2), {"p": Point(1)})
    with pytest.raises(Reject, match="bad argument rest: Expected `int`, got `str`"):
        read(stars, '["a",1,"2"]')


def small(n: Annotated[int, msgspec.Meta(ge=1)], *, flag: bool = False) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ("[]", "{}", "bad arguments: missing a required argument: 'n'"),
        ("[1,2]", "{}", "bad arguments: too many positional arguments"),
        ("[1]", '{"n":2}', "bad arguments: multiple values for argument 'n'"),
        ("[1]", '{"m":2}', "bad arguments: got an unexpected keyword argument 'm'"),
        ('["1"]', "{}", "bad argument n: Expected `int`, got `str`"),
        ("[0]", "{}", "bad argument n: Expected `int` >= 1"),
        ("[1]", '{"flag":1}', "bad argument flag: Expected `bool`, got `int`"),
        ("[1.5]", "{}", "bad argument n: Expected `int`, got `float`"),
    ],
)
def test_what_does_not_fit_is_rejected_with_a_reason(args: str, kwargs: str, why: str) -> None:
    with pytest.raises(Reject) as caught:
        read(small, args, kwargs)
    assert str(caught.value) == why


def signature(draw: random.Random) -> inspect.Signature:
    """Any kinds of parameters, with and without defaults."""
    names = iter("abcdefgh")
    kinds: list[Any] = [Parameter.POSITIONAL_ONLY] * draw.randint(0, 2)
    kinds += [Parameter.POSITIONAL_OR_KEYWORD] * draw.randint(0, 3)
    required = draw.randint(0, len(kinds))
    found = [
        Parameter(next(names), kind, default=Parameter.empty if at < required else 1)
        for at, kind in enumerate(kinds)
    ]
    if draw.random() < 0.3:
        found.append(Parameter("rest", Parameter.VAR_POSITIONAL))
    for _ in range(draw.randint(0, 2)):
        default = draw.choice([1, Parameter.empty])
        found.append(Parameter(next(names), Parameter.KEYWORD_ONLY, default=default))
    if draw.random() < 0.3:
        found.append(Parameter("more", Parameter.VAR_KEYWORD))
    return inspect.Signature(found)


def can_bind(check: Callable[..., Any], *given: Any, **named: Any) -> bool:
    try:
        check(*given, **named)
    except TypeError:
        return False
    return True


def test_what_is_checked_is_what_python_itself_would_bind() -> None:
    draw = random.Random(7)
    seen: Counter[bool] = Counter()
    for _ in range(500):
        made = signature(draw)

        def function(*_: object, **__: object) -> None: ...

        function.__signature__ = made  # type: ignore[attr-defined]
        arguments = Arguments(function)
        for _ in range(20):
            args = [1] * draw.randint(0, 6)
            kwargs = dict.fromkeys(draw.sample("abcdefghz", draw.randint(0, 4)), 1)
            expected = can_bind(made.bind, *args, **kwargs)
            assert can_bind(arguments.check, args, kwargs) == expected
            seen[expected] += 1
    assert min(seen.values()) > 500


def test_an_argument_that_must_be_named_is_missed() -> None:
    def named(n: int, *, flag: bool) -> None: ...

    with pytest.raises(Reject, match="missing a required argument: 'flag'"):
        read(named, "[1]")


@pytest.mark.parametrize(
    "raw",
    [
        b"3",
        b"null",
        b"{}",
        b'{"task":3}',
        b'{"task":"t","args":{}}',
        b'{"task":"t","kwargs":[]}',
        b'{"task":"t","args":' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"task":"t"',
    ],
)
def test_what_is_no_call_is_rejected(raw: bytes) -> None:
    with pytest.raises(Reject, match="not a task, like"):
        arrived(raw)


def test_what_a_newer_program_adds_is_passed_over() -> None:
    assert arrived(b'{"v":2,"task":"t","more":[]}').task == "t"


def make(app: App) -> Task[..., None]:
    @app.task(queue="mail", priority=9)
    async def send(a: int, b: int = 2) -> None: ...

    return send


def test_a_task_puts_its_call_as_anyone_could_write_it() -> None:
    async def main() -> None:
        app = App()
        send = make(app)
        async with connected(dedup=False) as (server, client):
            with app.bound(client):
                job = await send.put(1)
                assert (job.id, job.queue, job.is_duplicate) == (1, "mail", False)
                await send.put_in(timedelta(seconds=90), 1, b=3)
                await send.put_at(datetime(2027, 1, 31, tzinfo=UTC), 1)
                jobs = await send.put_many(send.call(n) for n in range(2))
                assert [each.id for each in jobs] == [4, 5]
                await send.with_options(queue="other", key="k", dedup="d").put(1)
                await send.put(1)
            head = "PUT mail "
            assert server.sent("PUT") == [
                head + 'priority=9 {"task":"send","args":[1]}',
                head + 'delay=90 priority=9 {"task":"send","args":[1],"kwargs":{"b":3}}',
                head + 'at=2027-01-31T00:00:00Z priority=9 {"task":"send","args":[1]}',
                head + 'priority=9 {"task":"send","args":[0]}',
                head + 'priority=9 {"task":"send","args":[1]}',
                'PUT other priority=9 key=k dedup=d {"task":"send","args":[1]}',
                head + 'priority=9 {"task":"send","args":[1]}',
            ]

    virtual(main())


def test_a_wrong_call_is_refused_before_anything_is_sent() -> None:
    async def main() -> None:
        app = App()
        send: Any = make(app)
        async with connected() as (server, client):
            with app.bound(client):
                for wrong in ((), (1, 2, 3)):
                    with pytest.raises(TypeError):
                        await send.put(*wrong)
                    with pytest.raises(TypeError):
                        await send.put_in(1, *wrong)
                    with pytest.raises(TypeError):
                        await send.put_at(datetime.now(UTC), *wrong)
                    with pytest.raises(TypeError):
                        send.call(*wrong)
            assert server.sent("PUT") == []

    virtual(main())


def test_an_app_that_is_not_connected_says_so() -> None:
    async def main() -> None:
        app = App()
        send = make(app)
        with pytest.raises(Closed, match="the app is not connected"):
            await send.put(1)
        async with connected() as (server, _), app.connect(server.url):
            await send.put(1)
        with pytest.raises(Closed):
            await send.put(1)

    virtual(main())


def test_clients_that_are_bound_one_inside_the_other_may_end_in_any_order() -> None:
    async def main() -> None:
        app = App()
        send = make(app)
        async with connected() as (one, first), connected() as (two, second):
            outer, inner = app.bound(first), app.bound(second)
            outer.__enter__()
            inner.__enter__()
            await send.put(1)
            outer.__exit__(None, None, None)
            await send.put(2)
            inner.__exit__(None, None, None)
            assert (len(one.sent("PUT")), len(two.sent("PUT"))) == (0, 2)
            with pytest.raises(Closed):
                await send.put(3)

    virtual(main())


def test_calling_a_task_calls_its_function() -> None:
    app = App()

    @app.task
    def twice(n: int) -> int:
        """Twice."""
        return 2 * n

    assert isinstance(twice, PlainTask)
    assert (twice(4), twice.name, twice.__doc__) == (8, "twice", "Twice.")

    @app.task()
    async def thrice(n: int) -> int:
        return 3 * n

    async def main() -> int:
        return await thrice(4)

    assert isinstance(thrice, AsyncTask)
    assert virtual(main()) == 12
    assert (twice.rules.where, thrice.rules.where) == ("thread", "loop")


def test_an_app_knows_its_tasks_and_queues_in_order() -> None:
    app = App(queue="low")
    make(app)
    app.task(name="again", timeout=timedelta(minutes=1))(make)
    assert list(app.tasks) == ["send", "again"]
    assert app.queues == ("mail", "low")
    assert app.tasks["again"].rules.timeout_s == 60


def test_a_task_that_makes_no_sense_is_refused_where_it_is_written() -> None:
    app = App()
    make(app)

    async def waits() -> None: ...

    with pytest.raises(BadRequest, match="there is a task 'send' already"):
        make(app)
    with pytest.raises(BadRequest, match="'waits' is async: it runs on the loop, not in a process"):
        app.task(where="process")(waits)
    with pytest.raises(BadRequest, match="max_attempts is 1 or more"):
        app.task(max_attempts=0)(waits)
    with pytest.raises(BadRequest, match="timeout is 0 seconds or more"):
        app.task(timeout=-1)(waits)
    with pytest.raises(BadName, match="not a name"):
        app.task(queue="no spaces")(waits)


def test_retry_takes_seconds_or_a_timedelta() -> None:
    assert Retry(after=timedelta(minutes=1)).after_s == 60
    assert (Retry("why", after=2.5).after_s, str(Retry("why")), Retry().after_s) == (
        2.5,
        "why",
        None,
    )

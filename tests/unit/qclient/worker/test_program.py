"""What the command makes of its words, and what it says before it begins."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qclient import BadRequest
from qclient.middleware.logging import Logging
from qclient.tasks import App
from qclient.worker import Settings, Worker
from qclient.worker.fetching import Fetching
from qclient.worker.health import Health
from qclient.worker.program import banner, load, parse_queues
from tests.unit.qclient.worker.fakes import task_of


@pytest.mark.parametrize(
    ("words", "queues"),
    [
        ((), ()),
        (("a", "b"), ("a", "b")),
        (("a:3", "b"), {"a": 3, "b": 1}),
        (("shop:mail:3", "b:1"), {"shop:mail": 3, "b": 1}),
        (("shop:mail",), ("shop:mail",)),
        (("shop:mail", "b:2"), {"shop:mail": 1, "b": 2}),
    ],
)
def test_queues_have_weights_where_one_has(words: tuple[str, ...], queues: object) -> None:
    assert parse_queues(words) == queues


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_an_app_is_found_by_module_and_name_in_the_current_directory(here: Path) -> None:
    (here / "shop_one.py").write_text(
        "from qclient.tasks import App\napp = App('one')\nother = App('two')\nnone = 3\n"
    )
    assert load("shop_one").name == "one"
    assert load("shop_one:other").name == "two"
    with pytest.raises(BadRequest, match="'shop_one' has no App called 'none'"):
        load("shop_one:none")
    with pytest.raises(BadRequest, match="there is no module 'shop_two'"):
        load("shop_two:app")
    with pytest.raises(BadRequest, match=r"there is no module 'shop_three.tasks'"):
        load("shop_three.tasks")


def test_a_module_that_can_not_be_imported_itself_says_what_it_lacks(here: Path) -> None:
    (here / "shop_four.py").write_text("import no_such_thing\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_thing"):
        load("shop_four:app")


def test_the_banner_lists_tasks_queues_and_settings() -> None:
    app = App("shop", middleware=[Logging()])
    task_of("send", app, queue="mail", timeout=30, max_attempts=3)
    task_of("clean", app, timeout=None)
    app.cron("30 2 * * *", timezone="Europe/Vienna", catch_up="all")(app.tasks["clean"])
    said = banner(
        Worker(app, "qserver://:secret@localhost:1", Settings(queues={"mail": 3, "low": 1})),
        "shop:app",
    )
    for words in (
        "shop:app at qserver://localhost:1",
        "queues      mail (weight 3), low (weight 1)",
        "places      100, prefetch auto",
        "leases      15 s, renewed every 5 s",
        "middleware  Logging",
        "send   mail, loop, timeout 30 s, 3 attempts",
        "clean  default, loop, no timeout, 5 attempts",
        "clean  30 2 * * * Europe/Vienna, catch up all, next 2",
    ):
        assert words in said


def test_a_worker_that_could_do_nothing_is_refused() -> None:
    app = App()
    with pytest.raises(BadRequest, match="has no tasks"):
        Worker(app)
    task_of("send", app)
    for wrong in (
        Settings(concurrency=0),
        Settings(prefetch=-1),
        Settings(queues={"a": 0, "b": 1}),
    ):
        with pytest.raises(BadRequest):
            Worker(app, settings=wrong)


@pytest.mark.parametrize(
    ("now", "free", "is_well"),
    [(100.0, 5, True), (129.9, 5, True), (130.1, 5, False), (500.0, 0, True)],
)
def test_a_worker_is_well_when_it_was_heard_or_has_no_place_to_ask_for(
    now: float, free: int, is_well: Any
) -> None:
    fetching = SimpleNamespace(heard_at=100.0, slots=SimpleNamespace(free=free))
    assert Health(cast("Fetching", fetching), wait_s=20).is_well(now) == is_well

"""A process that is a worker: an app found by name, a banner, logs, signals."""

import asyncio
import importlib
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from qclient.dialler import shown
from qclient.errors import BadRequest
from qclient.tasks.app import App
from qclient.worker import membership, reload
from qclient.worker.crew import Crew, own_command
from qclient.worker.logs import set_up
from qclient.worker.settings import Settings
from qclient.worker.signals import stopping_on_signals
from qclient.worker.worker import Worker


def work(where: str, url: str, settings: Settings, log_level: str, *, processes: int = 1) -> None:
    """Run the app that `where` names until it is stopped, as one of so many processes.

    Raises:
        BadRequest: there is no such app, or a setting makes no sense.
        CannotConnect: no server answers.
    """
    app = load(where)
    set_up(log_level)
    number = membership.number()
    if number is not None:
        settings = membership.settings_of(settings, number, processes)
    uvloop.run(_work(app, where, url, settings, number))


async def _work(app: App, where: str, url: str, settings: Settings, number: int | None) -> None:
    worker = Worker(app, url, settings)
    if number is None or number == 1:
        sys.stderr.write(banner(worker, where))
    if number is not None:
        membership.follow(worker)
    with stopping_on_signals(worker):
        await worker.run()


def lead(where: str, log_level: str, *, processes: int, is_reloading: bool) -> int:
    """Start so many workers by this process's own command line, and look after them.

    Returns:
        The exit code.

    Raises:
        BadRequest: reloading needs a package that is not there.
    """
    set_up(log_level)
    if is_reloading:
        reload.check()
    watched = ", started again when a file below this directory changes" if is_reloading else ""
    count = "1 process" if processes == 1 else f"{processes} processes"
    sys.stderr.write(f"qclient worker: {where} in {count}{watched}\n")
    return asyncio.run(_lead(processes, is_reloading=is_reloading))


async def _lead(processes: int, *, is_reloading: bool) -> int:
    changes = reload.changes(Path.cwd()) if is_reloading else None
    return await Crew(own_command(), processes, changes=changes).run()


def load(where: str) -> App:
    """The app that `module:name` names; the current directory is looked in first."""
    module, _, name = where.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise  # the module is there, but not one that it imports
        raise BadRequest(f"there is no module {module!r}") from None
    app = getattr(found, name or "app", None)
    if not isinstance(app, App):
        raise BadRequest(f"{module!r} has no App called {name or 'app'!r}")
    return app


def parse_queues(words: tuple[str, ...]) -> tuple[str, ...] | dict[str, int]:
    """Queues in order, or with weights where one has a weight; the others weigh 1."""
    parted = [word.rpartition(":") for word in words]
    weighted = {name: int(weight) for name, _, weight in parted if name and weight.isdecimal()}
    if not weighted:
        return words
    return {
        (name if name and weight.isdecimal() else word): weighted.get(name, 1)
        for word, (name, _, weight) in zip(words, parted, strict=True)
    }


def banner(worker: Worker, where: str) -> str:
    """What is about to run, for people: tasks, queues, settings."""
    app, settings = worker.app, worker.settings
    is_weighted = isinstance(settings.queues, Mapping)
    queues = ", ".join(
        f"{name} (weight {weight})" if is_weighted else name
        for name, weight in worker.weights.items()
    )
    middleware = [getattr(each, "__name__", type(each).__name__) for each in worker.middleware]
    prefetch = "auto" if settings.prefetch is None else settings.prefetch
    lines = [
        f"qclient worker: {where} at {shown(worker.url)}",
        f"  session     {worker.session}, kept for {settings.session_grace_s:g} s",
        f"  queues      {queues}",
        f"  places      {settings.concurrency}, prefetch {prefetch}",
        f"  leases      {settings.lease_s:g} s, renewed every {settings.lease_s / 3:g} s",
        f"  stop        {settings.grace_s:g} s for running tasks",
        f"  middleware  {', '.join(middleware) or 'none'}",
        *_health_lines(settings),
        "  tasks",
    ]
    width = max((len(name) for name in app.tasks), default=0)
    for name, task in app.tasks.items():
        rules = task.rules
        limit = "no timeout" if rules.timeout_s is None else f"timeout {rules.timeout_s:g} s"
        lines.append(
            f"    {name:<{width}}  {task.queue}, {rules.where}, {limit}, "
            f"{rules.max_attempts} attempts"
        )
    return "\n".join([*lines, *_periodic_lines(app, datetime.now(UTC))]) + "\n"


def _health_lines(settings: Settings) -> list[str]:
    path, port = settings.health_file, settings.health_port
    told = [f"file {path}"] if path is not None else []
    told += [f"port {port}"] if port is not None else []
    return [f"  health      {', '.join(told)}"] if told else []


def _periodic_lines(app: App, now: datetime) -> list[str]:
    if not app.periodic:
        return []
    width = max(len(each.task.name) for each in app.periodic)
    return ["  periodic"] + [
        f"    {each.task.name:<{width}}  {each}, next {each.schedule.after(now):%Y-%m-%d %H:%M:%SZ}"
        for each in app.periodic
    ]
